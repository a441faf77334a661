"""Rendered videos as the landmark networks see them, solved and held to the exact truth.

`synthesize --held-out --film 24` makes videos of subjects that nothing was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from backend.embedding.keypoints import H36M_NAMES
from backend.embedding.pose_model import PoseModel, PoseOptions
from backend.errors import BadInputError
from backend.evaluation.landmark_track import landmark_track
from backend.evaluation.metrics import LIMB_JOINTS, pose_errors
from backend.evaluation.real import PEER, auxiliary_joints, landmark_joints, retrieved_joints
from backend.evaluation.report import Scored
from backend.people import Quality
from backend.training.render_landmarks import RenderLandmarks, render_landmarks
from backend.types import Array, Intrinsics, PersonTrack
from blender_addon.motion.body import canonical_body, forward_kinematics, seen_points_m
from blender_addon.motion.rotations import quaternion_to_matrix

_LEAST_FRAMES = 3
RAYS = Intrinsics(np.eye(3), 2, 2, "render")
"""The camera of renders: their landmarks come in normalised image coordinates."""

_Method = Callable[[PersonTrack], Array]


def video_scores(folder: Path, model: PoseModel, qualities: tuple[Quality, ...], most: int) -> list[Scored]:
    """Errors of the first `most` videos in which the network finds the person in every frame, video by video.

    Raises BadInputError for a folder without videos, or without a video whose person is found.
    """
    rows: list[Scored] = []
    methods = _methods(model)
    for quality in qualities:
        name = quality.value.removeprefix("pose_")
        for track, truth_m in _videos(render_landmarks(folder, quality), folder, most):
            for method, read in methods.items():
                errors = pose_errors(_limbs(read(track)), _limbs(truth_m))
                rows.append(Scored(f"{name}: {method}", folder.name, len(truth_m), errors))
    return rows


def _methods(model: PoseModel) -> dict[str, _Method]:
    plain, bare = PoseOptions(), PoseOptions(parts=None, retrieval_share=0.0)
    return {
        PEER: lambda track: landmark_joints(track, RAYS),
        "by parts": lambda track: retrieved_joints(model, track, RAYS, plain, 0),
        "auxiliary head": lambda track: auxiliary_joints(model, track, RAYS, plain),
        "structured inference, no retrieved joints": lambda track: model.solve(track, RAYS, bare).joints_camera_m,
        "structured inference": lambda track: model.solve(track, RAYS, plain).joints_camera_m,
    }


def _videos(seen: RenderLandmarks, folder: Path, most: int) -> Iterator[tuple[PersonTrack, Array]]:
    """Tracks of whole videos and their true joints (T, 17, 3) m in the camera."""
    for rows in whole_videos(seen, folder, most):
        yield landmark_track(rows.points, rows.visibility, rows.guess), true_joints_m(rows)


def whole_videos(seen: RenderLandmarks, folder: Path, most: int) -> Iterator[RenderLandmarks]:
    """The first `most` videos in which the network finds the person in every frame.

    Raises BadInputError for a folder without videos, or without such a video.
    """
    videos, lengths = np.unique(seen.video, return_counts=True)
    if not (lengths >= _LEAST_FRAMES).any():
        raise BadInputError(f"{folder} holds single images, no videos", "Render some: marionet synthesize --film 24")
    whole = [video for video in videos[lengths >= _LEAST_FRAMES] if seen.found[seen.video == video].all()]
    if not whole:
        raise BadInputError(f"{folder}: no video shows its person in every frame", "Render more videos, or others")
    for video in whole[:most]:
        yield seen.rows(seen.video == video)


def true_joints_m(rows: RenderLandmarks) -> Array:
    """Human3.6M's joints where they are seen; renders know the joints' centres."""
    _, turns = forward_kinematics(canonical_body(), np.asarray(rows.rotations_wxyz, np.float64), np.zeros(3))
    in_camera = np.asarray(rows.camera_from_world, np.float64)[:, None] @ quaternion_to_matrix(turns)
    return seen_points_m("h36m17", np.asarray(rows.joints_m, np.float64), in_camera)


def _limbs(joints_m: Array) -> Array:
    limbs = joints_m[:, [H36M_NAMES.index(name) for name in LIMB_JOINTS]]
    hips = [LIMB_JOINTS.index("lhip"), LIMB_JOINTS.index("rhip")]
    return np.asarray(limbs - limbs[:, hips].mean(axis=1, keepdims=True))
