"""Every way to read a pose off the towers, and the landmark networks themselves, on the same tracks of a recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.embedding.augmented_views import ONE_VIEW
from backend.embedding.fit_terms import RefineSettings
from backend.embedding.keypoints import H36M_NAMES, KEYPOINT_NAMES
from backend.embedding.pose_model import PoseModel, PoseOptions
from backend.embedding.windows import solvable_frames
from backend.evaluation.recording import Recording, RecordingCamera, score_recording
from backend.evaluation.report import Scored
from backend.evaluation.wide_parts import WIDE_HITS, WIDE_NAME, WIDE_PARTS
from backend.keypoint_layouts import HUMAN36M
from backend.people import PeopleOptions, Quality, track_people
from backend.types import Array, Intrinsics, PersonTrack
from backend.video import open_video
from blender_addon.motion.body import canonical_body

PEER = "the landmark network's own 3D (peer)"
"""What every other method is compared with: BlazePose's world landmarks."""
_SIDES = {"l": "left", "r": "right"}


@dataclass(frozen=True, slots=True)
class MethodErrors:
    """A method's mean errors over a recording's cameras; mpjpe_clip_mm over the trusted ones only."""

    network: str
    method: str
    mpjpe_clip_mm: float
    pa_mpjpe_mm: float
    acceleration_mm: float


def recording_scores(
    recording: Recording, model: PoseModel, qualities: tuple[Quality, ...], ablations: bool = False
) -> list[Scored]:
    """Errors of every method for each landmark network and camera, on our own detector, tracker and crops; with
    `ablations` also of structured inference without each of its parts.
    """
    rows: list[Scored] = []
    for quality in qualities:
        plain = [recording_track(camera, quality, mirror=False) for camera in recording.cameras]
        tracks = [recording_track(camera, quality, mirror=True) for camera in recording.cameras]
        methods = {PEER: landmark_joints} | _methods(model) | (_ablations(model) if ablations else {})
        for method, read in methods.items():
            for camera, track in zip(recording.cameras, plain if method == PEER else tracks, strict=True):
                matrix = Intrinsics(camera.matrix, camera.width, camera.height, "calibration")
                joints = read(track, matrix)
                errors = score_recording(recording, camera, track.times_s - track.times_s[0], joints)
                name = f"{quality.value.removeprefix('pose_')}: {method}"
                rows.append(Scored(name, recording.name, len(track.times_s), errors, camera.trusted))
    return rows


def recording_errors(scores: Sequence[Scored]) -> list[MethodErrors]:
    """The mean over cameras of each method, every camera counting alike."""
    methods = dict.fromkeys(row.method for row in scores)
    return [_mean(method, [row for row in scores if row.method == method]) for method in methods]


def recording_track(camera: RecordingCamera, quality: Quality, mirror: bool) -> PersonTrack:
    """The person in a camera of a recording; `mirror` flips every other frame."""
    reader = open_video(camera.video)
    options = PeopleOptions(quality=quality, max_people=1, mirror=mirror)
    return track_people(reader.frames(), reader.info, options)[0]


def _methods(model: PoseModel) -> dict[str, Callable[[PersonTrack, Intrinsics], Array]]:
    plain = PoseOptions()
    wide = replace(plain, neighbours=WIDE_HITS, parts=WIDE_PARTS)
    return {
        "the same, in a mirror in turns": landmark_joints,
        "Max": lambda track, camera: retrieved_joints(model, track, camera, plain, 1),
        "Avg(20)": lambda track, camera: retrieved_joints(model, track, camera, plain, 20),
        "Avg(100)": lambda track, camera: retrieved_joints(model, track, camera, plain, 100),
        "Avg(500)": lambda track, camera: retrieved_joints(model, track, camera, plain, 500),
        "by parts": lambda track, camera: retrieved_joints(model, track, camera, plain, 0),
        WIDE_NAME: lambda track, camera: retrieved_joints(model, track, camera, wide, 0),
        "auxiliary head": lambda track, camera: auxiliary_joints(model, track, camera, plain),
        "structured inference": lambda track, camera: model.solve(track, camera, plain).joints_camera_m,
        "structured inference, temporal path": lambda track, camera: (
            model.solve(track, camera, replace(plain, path=True)).joints_camera_m
        ),
    }


def _ablations(model: PoseModel) -> dict[str, Callable[[PersonTrack, Intrinsics], Array]]:
    plain, fit = PoseOptions(), RefineSettings()
    unclimbed = replace(fit, score_weight=0.0)
    options = {
        "whole poses": replace(plain, parts=None),
        "half of the weight retrieved": replace(plain, retrieval_share=0.5),
        "no retrieved joints": replace(plain, retrieval_share=0.0),
        "score not climbed": replace(plain, refine=unclimbed),
        "neither": replace(plain, retrieval_share=0.0, refine=unclimbed),
        "shaking keypoints trusted alike": replace(plain, refine=replace(fit, shake_share=0.0)),
        "no joint limits": replace(plain, refine=replace(fit, limit_deg=0.0)),
        "one view": replace(plain, views=ONE_VIEW),
    }
    if model.temporal is not None:
        options["folding tower alone"] = replace(plain, temporal_share=0.0)
        options["temporal tower alone"] = replace(plain, temporal_share=1.0)
    return {f"structured inference, {name}": _solving(model, one) for name, one in options.items()}


def _solving(model: PoseModel, options: PoseOptions) -> Callable[[PersonTrack, Intrinsics], Array]:
    return lambda track, camera: model.solve(track, camera, options).joints_camera_m


def landmark_joints(track: PersonTrack, camera: Intrinsics) -> Array:
    """The network's own 3D as Human3.6M's joints (T, 17, 3) m, in the axes of its crop; NaN where nobody is seen."""
    joints = np.full((len(track.times_s), HUMAN36M.count, 3), np.nan)
    for place, name in enumerate(H36M_NAMES):
        bare = f"{_SIDES.get(name[0], '')}_{name[1:]}"
        if bare in KEYPOINT_NAMES:
            joints[:, place] = track.world_m[:, KEYPOINT_NAMES.index(bare)]
    lost = ~solvable_frames(track)
    joints[:, [0, 7, 8, 9, 10]] = 0.0  # not scored; finite so that the frame counts
    joints[lost] = np.nan
    return joints


def retrieved_joints(
    model: PoseModel, track: PersonTrack, camera: Intrinsics, options: PoseOptions, average: int
) -> Array:
    """What retrieval alone says (T, 17, 3) m: the mean of the `average` best poses, or by parts where it is 0."""
    if average:
        options = replace(options, neighbours=max(average, 2), average=average, parts=None)
    clip = model.embed(track, camera, options)
    return _whole(track, model.retrieve(clip, options, track.times_s[solvable_frames(track)])[1])


def auxiliary_joints(model: PoseModel, track: PersonTrack, camera: Intrinsics, options: PoseOptions) -> Array:
    """What the auxiliary head says (T, 17, 3) m."""
    return _whole(track, model.embed(track, camera, options).joints_m)


def _whole(track: PersonTrack, centres_m: Array) -> Array:
    """Human3.6M's joints of every frame from the joint centres (T, 17, 3) of the frames that show the person."""
    out = np.full((len(track.times_s), HUMAN36M.count, 3), np.nan)
    out[solvable_frames(track)] = _with_seen_shoulders(centres_m)
    return out


def _with_seen_shoulders(centres_m: Array) -> Array:
    """Poses without rotations: the shoulders' shift lies along the trunk and from shoulder to shoulder."""
    left, right = H36M_NAMES.index("lshoulder"), H36M_NAMES.index("rshoulder")
    up = _unit(centres_m[:, H36M_NAMES.index("thorax")] - centres_m[:, 0])
    across = _unit(centres_m[:, left] - centres_m[:, right])
    out = centres_m.copy()
    for place in (left, right):
        shift = canonical_body().points["h36m17"][place].shift_m
        out[:, place] += shift[0] * across + shift[2] * up
    return out


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _mean(name: str, rows: Sequence[Scored]) -> MethodErrors:
    network, method = name.split(": ", 1)
    return MethodErrors(
        network,
        method,
        float(np.mean([row.errors.mpjpe_clip_mm for row in rows if row.trusted])),
        float(np.mean([row.errors.pa_mpjpe_mm for row in rows])),
        float(np.mean([row.errors.acceleration_mm for row in rows])),
    )
