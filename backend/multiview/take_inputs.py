"""What a take starts from: its videos with their cameras, quick poses of everybody, what is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backend.camera.calibration import read_rig
from backend.embedding.augmented_views import TWO_VIEWS
from backend.embedding.fit_terms import RefineSettings
from backend.embedding.pose_model import PoseOptions
from backend.embedding.windows import solvable_frames
from backend.errors import BadInputError
from backend.multiview.chain import Known
from backend.multiview.recorded_clocks import recorded_offsets
from backend.multiview.take_request import TakeRequest
from backend.multiview.types import CameraSource, CameraView, OffsetSource
from backend.people.options import Choice, Selection
from backend.pipeline import WatchedVideo
from backend.solving.models import SolveModels, pose_options
from backend.solving.opening import OpenedVideo, open_request
from backend.solving.request import SolveRequest
from backend.solving.video_pass import apart_at_cuts
from backend.types import Array, Intrinsics, PoseTrack, Progress, ProgressCallback
from backend.world.gravity import estimate_gravity, gravity_hints
from backend.world.world_track import GravitySettings

_QUICK = RefineSettings(iterations=3)


def open_take(request: TakeRequest) -> list[OpenedVideo]:
    """The take's videos with their cameras: of a calibration, of the set-up, or as for one video. Raises VideoError,
    BadInputError.
    """
    opened = [_opened(place, one) for place, one in enumerate(request.each())]
    if request.calibration is not None:
        rig = read_rig(request.calibration, [one.reader.info for one in opened], request.names)
        return [replace(one, intrinsics=inside) for one, (_, inside) in zip(opened, rig, strict=True)]
    if request.setup is not None:
        cameras = request.setup.cameras
        return [
            one if camera is None else replace(one, intrinsics=_at_size(camera.intrinsics, one))
            for one, camera in zip(opened, cameras, strict=True)
        ]
    return opened


def _opened(place: int, one: SolveRequest) -> OpenedVideo:
    """People of all but the first video are all followed: who is solved is decided in the first."""
    return open_request(replace(one, person=Selection(Choice.ALL)) if place else one)


def _at_size(given: Intrinsics, opened: OpenedVideo) -> Intrinsics:
    """Intrinsics for the video's size. Raises BadInputError for another image shape."""
    info = opened.reader.info
    scale = info.width / given.width
    if abs(info.height / given.height - scale) > 0.02 * scale:
        raise BadInputError(
            f"{info.path.name} is {info.width}x{info.height}, its calibration is for {given.width}x{given.height}",
            "Calibrate with the same image shape, upright as the video is shown, and name the videos in its order",
        )
    matrix = np.asarray(given.matrix, np.float64).copy()
    matrix[:2] *= scale
    return replace(given, matrix=matrix, width=info.width, height=info.height)


def solvable(watched: WatchedVideo) -> WatchedVideo:
    """The video with the people that can be solved."""
    tracks = tuple(track for track in watched.tracked.tracks if solvable_frames(track).any())
    return replace(watched, tracked=replace(watched.tracked, tracks=tracks))


def camera_view(watched: WatchedVideo, models: SolveModels, progress: ProgressCallback, place: int) -> CameraView:
    """The video as a view of the take: quick poses of everybody, and where down is."""
    tracked, poses = watched.tracked, []
    options = _quick_options(watched.request)
    for done, track in enumerate(tracked.tracks):
        progress(Progress("poses", done, len(tracked.tracks)))
        poses.append(models.poses.solve(apart_at_cuts(track, tracked.cuts_s), watched.intrinsics, options))
    down, down_deg = _down(watched, poses)
    info = watched.reader.info
    return CameraView(
        _name(info.path.name, place),
        info,
        watched.intrinsics,
        tracked.tracks,
        tuple(poses),
        tracked.camera_moves,
        down,
        down_deg,
        tracked.cuts_s,
    )


def _name(file: str, place: int) -> str:
    return f"video {place + 1} ({file})"


def _quick_options(request: SolveRequest) -> PoseOptions:
    return replace(pose_options(request), views=TWO_VIEWS, parts=None, neighbours=100, refine=_QUICK)


def _down(watched: WatchedVideo, poses: Sequence[PoseTrack]) -> tuple[Array | None, float]:
    """Gravity in the camera from the scene's edges and everybody's poses, or as given."""
    given = watched.request.gravity_camera
    if given is not None:
        down = np.asarray(given, np.float64)
        return down / np.linalg.norm(down), 1.0
    if not poses:
        return None, 15.0
    longest = max(poses, key=lambda one: int((one.confidence > 0).sum()))
    hints = gravity_hints(longest.gravity_camera, longest.gravity_spread_deg, watched.edges())
    gravity = estimate_gravity(hints, GravitySettings())
    return gravity.down, gravity.uncertainty_deg


def known_beforehand(request: TakeRequest, views: Sequence[CameraView]) -> list[Known]:
    """What is known of clocks and places beforehand: given, of the calibration or the set-up, heard, or stamped."""
    setup, known = request.setup, []
    poses: list[Array | None] = [None for _ in views]
    if request.calibration is not None:
        rig = read_rig(request.calibration, [view.info for view in views], request.names)
        poses = [camera.camera_from_rig for camera, _ in rig]
    elif setup is not None:
        poses = [None if camera is None else camera.camera_from_take for camera in setup.cameras]
    clocks = list(request.offsets) or [None for _ in views]
    if setup is not None and request.keep_offsets and len(setup.offsets) == len(views):
        kept = [replace(one, source=OffsetSource.SETUP) for one in setup.offsets]
        clocks = [one or other for one, other in zip(clocks, kept, strict=True)]
    recorded = recorded_offsets(request.videos, clocks)
    for clock, heard, pose in zip(clocks, recorded, poses, strict=True):
        known.append(Known(clock or heard, pose))
    return known


def camera_source(request: TakeRequest) -> CameraSource:
    """Where camera poses that are known beforehand are from."""
    return CameraSource.SETUP if request.setup is not None else CameraSource.FILE
