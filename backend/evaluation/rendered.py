"""Rendered videos as the landmark networks see them, solved and held to the exact truth.

`synthesize --held-out --film 24` makes videos of subjects that nothing was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from backend.embedding.keypoints import H36M_NAMES, KEYPOINT_NAMES
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
_KNEES_AND_ANKLES = [KEYPOINT_NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "ankle")]
STRUCTURED = "structured inference"
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
        for video in whole_videos(render_landmarks(folder, quality), folder, most):
            track, truth_m = _track(video), true_joints_m(video)
            for method, read in methods.items():
                errors = pose_errors(_limbs(read(track)), _limbs(truth_m))
                named = (method, f"{method}, {posture(video)}") if method == STRUCTURED else (method,)
                rows += [Scored(f"{name}: {one}", folder.name, len(truth_m), errors) for one in named]
    return rows


def posture(video: RenderLandmarks) -> str:
    """Which row of the report a video belongs to, by its true joints.

    "cut off": half of the knees and ankles are hidden or outside the image. "seated or lying": in the median frame the
    trunk is more than 45 degrees, or the thighs are more than 50 degrees, from upright. Otherwise "standing".
    """
    joints = np.einsum("tji,tkj->tki", np.asarray(video.camera_from_world, np.float64), true_joints_m(video))
    place = H36M_NAMES.index
    trunk = joints[:, place("thorax")] - joints[:, place("pelvis")]
    thighs = np.stack([joints[:, place(f"{side}hip")] - joints[:, place(f"{side}knee")] for side in "lr"])
    upright = [np.median(one[..., 2] / np.linalg.norm(one, axis=-1)) for one in (trunk, thighs.mean(0))]
    if video.visible[:, _KNEES_AND_ANKLES].mean() < 0.5:
        return "cut off"
    return "seated or lying" if upright[0] < np.cos(np.pi / 4) or upright[1] < np.cos(np.deg2rad(50.0)) else "standing"


def _methods(model: PoseModel) -> dict[str, _Method]:
    plain, bare = PoseOptions(), PoseOptions(parts=None, retrieval_share=0.0)
    return {
        PEER: lambda track: landmark_joints(track, RAYS),
        "by parts": lambda track: retrieved_joints(model, track, RAYS, plain, 0),
        "auxiliary head": lambda track: auxiliary_joints(model, track, RAYS, plain),
        "structured inference, no retrieved joints": lambda track: model.solve(track, RAYS, bare).joints_camera_m,
        STRUCTURED: lambda track: model.solve(track, RAYS, plain).joints_camera_m,
    }


def _track(rows: RenderLandmarks) -> PersonTrack:
    return landmark_track(rows.points, rows.visibility, rows.guess)


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
