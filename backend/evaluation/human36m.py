"""Human3.6M in the paper's protocol: every k-th frame of the test subjects, four cameras as separate images.

May import `backend.datasets`, `backend.people`, the core; torch only for `structnet`. Poses are compared in camera
coordinates relative to the pelvis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.camera.lens import project_m
from backend.datasets.human36m import Human36mError, Human36mTake
from backend.embedding.pose_model import PoseModel
from backend.evaluation.metrics import pose_errors
from backend.evaluation.real import _methods
from backend.evaluation.report import Scored
from backend.keypoint_layouts import HUMAN36M
from backend.people import PeopleOptions, Quality, track_people
from backend.people.region import Roi, cut
from backend.types import Array, Image
from backend.video import open_video

_AVERAGES = (1, 20, 100, 500)
_PADDING = 1.1


def marionet_scores(
    takes: Sequence[Human36mTake], model: PoseModel, every: int, quality: Quality = Quality.HEAVY
) -> Iterator[Scored]:
    """Errors of every way to read a pose off the shipped towers, one row a take, camera and method.

    The tracker sees every frame, since the towers read windows; every `every`-th frame is compared. Raises
    Human36mError for a video that is missing.
    """
    for take in takes:
        reader = open_video(_video(take))
        tracks = track_people(reader.frames(), reader.info, PeopleOptions(quality=quality, max_people=1))
        frames = np.arange(0, len(take.joints_camera_m), every)
        for method, read in _methods(model).items():
            joints = np.full((len(take.joints_camera_m), HUMAN36M.count, 3), np.nan)
            if tracks:
                places = tracks[0].frame_index
                inside = places < len(joints)
                joints[places[inside]] = read(tracks[0], take.camera.intrinsics)[inside]
            yield _scored(method, take, joints[frames], frames)


def structnet_scores(takes: Sequence[Human36mTake], weights: Path, every: int) -> Iterator[Scored]:
    """Errors of a trained `structnet`: Max, Avg(A) and the auxiliary head, on squares around the true 2D joints, which
    is what the data set's boxes are. Raises WeightsError, Human36mError.
    """
    from backend.embedding.structnet import IMAGE_SIDE
    from backend.embedding.structnet_file import average_m, read_structnet

    net = read_structnet(weights)
    bank = net.bank_m.numpy()
    for take in takes:
        frames = np.arange(0, len(take.joints_camera_m), every)
        pixels = project_m(take.camera.intrinsics, take.joints_camera_m[frames])
        images = _frames(_video(take), frames)
        found = np.array([frame in images for frame in frames])
        crops = [
            cut(images[frame], _square(points), IMAGE_SIDE)
            for frame, points in zip(frames, pixels, strict=True)
            if frame in images
        ]
        if not crops:
            raise Human36mError(f"{take.video} shows none of the {len(frames)} frames that are compared")
        scores, auxiliary = net.scores(np.stack(crops))
        poses = {f"Avg({a})" if a > 1 else "Max": average_m(scores, bank, a) for a in _AVERAGES if a <= len(bank)}
        for method, joints in {**poses, "auxiliary head": auxiliary}.items():
            whole = np.full((len(frames), HUMAN36M.count, 3), np.nan)
            whole[found] = joints
            yield _scored(f"structnet: {method}", take, whole, frames)


def _scored(method: str, take: Human36mTake, joints_m: Array, frames: NDArray[np.intp]) -> Scored:
    truth = take.joints_camera_m[frames]
    errors = pose_errors(joints_m - joints_m[:, :1], truth - truth[:, :1])
    return Scored(method, take.action, len(frames), errors)


def _video(take: Human36mTake) -> Path:
    if not take.video.exists():
        raise Human36mError(f"{take.video} is missing", "Download the subject's videos")
    return take.video


def _square(points_px: Array) -> Roi:
    low, high = points_px.min(axis=0), points_px.max(axis=0)
    x, y = (low + high) / 2
    return Roi(float(x), float(y), float(_PADDING * (high - low).max()))


def _frames(video: Path, wanted: NDArray[np.intp]) -> dict[int, Image]:
    """The images of the wanted frames (by number) that the video has."""
    keep = set(wanted.tolist())
    return {frame.index: frame.image for frame in open_video(video).frames() if frame.index in keep}
