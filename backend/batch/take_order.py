"""The order for a take as the stages' own request, without the videos that cannot be read; its cameras as rows.

May import `backend.batch.tasks`, `backend.multiview` and what its requests are made of, `backend.video`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backend.batch.solve_order import solve_request
from backend.batch.tasks import CameraRow, ClipTask
from backend.camera import CameraOptions
from backend.errors import BadInputError, VideoError
from backend.multiview.setup_file import read_setup
from backend.multiview.take_request import CloseUp, TakeRequest, parse_close_ups, parse_offsets
from backend.multiview.types import Offset, TakeSetup
from backend.people.options import Choice
from backend.solving.option_parsing import parse_person
from backend.solving.outputs import write_clips
from backend.video import VideoOptions, open_video
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.clip_cameras import ClipCamera
from blender_addon.motion.clip_warning import ClipWarning, WarningCode


@dataclass(frozen=True, slots=True)
class UsableVideos:
    """The places of a take's videos that can be read, those of its close-ups, and what is to be said of the others."""

    places: tuple[int, ...]
    warnings: tuple[ClipWarning, ...] = ()
    close_ups: tuple[int, ...] = ()


def usable_videos(order: ClipTask, output: Path, device: str) -> UsableVideos:
    """Look at every video of a take. Raises the first VideoError where none can be read."""
    places: list[int] = []
    faults: list[VideoError] = []
    warnings: list[ClipWarning] = []
    for place, video in enumerate(order.videos):
        request = solve_request(replace(order, source=video), output, device)
        try:
            open_video(request.video, request.video_options)
            places.append(place)
        except VideoError as fault:
            faults.append(fault)
            text = f"video {place + 1} ({Path(video).name}) is left out: {fault.message}"
            warnings.append(ClipWarning(WarningCode.VIEW_EXCLUDED, text))
    if not places:
        raise faults[0]
    _check_person(order, places[0], faults)
    close_ups = [place for place, video in enumerate(order.close_ups) if _is_readable(video, warnings)]
    return UsableVideos(tuple(places), tuple(warnings), tuple(close_ups))


def _is_readable(close_up: str, warnings: list[ClipWarning]) -> bool:
    """Whether a close-up can be read; a warning is added where it cannot."""
    try:
        open_video(Path(close_up), VideoOptions())
    except VideoError as fault:
        text = f"{Path(close_up).name} is left out: {fault.message}"
        warnings.append(ClipWarning(WarningCode.VIEW_EXCLUDED, text))
        return False
    return True


def _check_person(order: ClipTask, first: int, faults: Sequence[VideoError]) -> None:
    """Raise BadInputError where a number or a point says who is solved in a first video that cannot be read: in
    another video it is somebody else.
    """
    person = order.solve.person
    if first and parse_person(person).choice in (Choice.INDEX, Choice.CLICK):
        what = f"--person {person} is about the first video, which cannot be read: {faults[0].message}"
        raise BadInputError(what, "Leave this video out of the take, and choose the person in the next one")


def take_request(order: ClipTask, usable: UsableVideos, output: Path, device: str) -> TakeRequest:
    """The request for the videos that can be read. Raises BadInputError for an option that cannot be."""
    places = usable.places
    settings = order.solve
    if settings.camera:
        raise BadInputError("A take has several cameras, and one is picked", "Leave --camera out: they go by name")
    requests = [solve_request(replace(order, source=order.videos[place]), output, device) for place in places]
    calibration = Path(settings.calibration) if settings.calibration else None
    if calibration is not None:
        requests = [replace(request, camera=CameraOptions()) for request in requests]
    requests = [
        request if place == 0 else replace(request, gravity_camera=None)  # it is of the first camera
        for place, request in zip(places, requests, strict=True)
    ]
    count = len(order.videos)
    offsets = parse_offsets([settings.offset] if settings.offset else [], count)
    setup = read_setup(Path(settings.setup)) if settings.setup else None
    close_ups = parse_close_ups(
        [Path(video) for video in order.close_ups], [settings.close_up_offset] if settings.close_up_offset else []
    )
    whole = TakeRequest(  # checks the counts
        tuple(requests[:1] * count), output, offsets, calibration, setup, close_ups=close_ups
    )
    return replace(
        whole,
        videos=tuple(requests),
        offsets=_offsets_among(whole.offsets, places),
        setup=None if whole.setup is None else _setup_among(whole.setup, places),
        close_ups=tuple(_against(whole.offsets, places[0], close_ups[place]) for place in usable.close_ups),
    )


def alone(order: ClipTask, place: int) -> ClipTask:
    """The order for one video of the take by itself. Raises BadInputError for a calibration of several cameras."""
    solve = replace(
        order.solve, offset="", setup="", close_up_offset="", gravity=order.solve.gravity if place == 0 else ""
    )
    return replace(order, source=order.videos[place], more_videos=(), close_ups=(), solve=solve)


def tell_left_out(clips: Sequence[MotionClip], warnings: Sequence[ClipWarning], output: Path) -> tuple[Path, ...]:
    """Write the clips anew with warnings in their headers; their files. Raises OutputError."""
    told = []
    for clip in clips:
        listed = tuple(dict.fromkeys((*clip.header.warnings, *warnings)))
        told.append(replace(clip, header=replace(clip.header, warnings=listed)))
    return write_clips(told, output)


def other_views(order: ClipTask, clip: MotionClip) -> list[tuple[int, ClipCamera]]:
    """The cameras of a take that are used beside the clip's own, with the places of their videos in the order."""
    return [
        (order.videos.index(camera.source), camera)
        for camera in clip.header.cameras
        if camera.used and camera.source != clip.header.source and camera.source in order.videos
    ]


def camera_rows(clip: MotionClip) -> tuple[CameraRow, ...]:
    """The cameras of a solved take; empty for the clip of one video."""
    return tuple(
        CameraRow(
            video=camera.source,
            used=camera.used,
            start_s=round(camera.start_s, 4),
            focal_px=round(float(camera.intrinsics[0, 0]), 1) if camera.used else 0.0,
            focal_share=camera.focal_share,
            rotation_deg=camera.rotation_deg,
            reprojection_px=camera.reprojection_px if math.isfinite(camera.reprojection_px) else 0.0,
            calibrated_from=camera.calibrated_from,
            reason=camera.reason,
        )
        for camera in clip.header.cameras
    )


def _offsets_among(offsets: Sequence[Offset | None], places: Sequence[int]) -> tuple[Offset | None, ...]:
    """The known clocks of some of the videos, against the first of these."""
    if not offsets:
        return ()
    first = offsets[places[0]]
    if first is None:  # what is known refers to a video that cannot be read
        return ()
    rest = [offsets[place] for place in places[1:]]
    return (Offset(), *(None if one is None else replace(one, start_s=one.start_s - first.start_s) for one in rest))


def _against(offsets: Sequence[Offset | None], first: int, close_up: CloseUp) -> CloseUp:
    """A close-up with what is known of its clock against the video at place `first` of the take."""
    clock = Offset() if first == 0 else offsets[first] if offsets else None
    if close_up.offset is None or clock is None:
        return replace(close_up, offset=None)
    return replace(close_up, offset=replace(close_up.offset, start_s=close_up.offset.start_s - clock.start_s))


def _setup_among(setup: TakeSetup, places: Sequence[int]) -> TakeSetup:
    """The set-up of some of the cameras. Gravity and floor are those of the first camera, and stay only with it."""
    kept = replace(
        setup,
        names=tuple(setup.names[place] for place in places),
        cameras=tuple(setup.cameras[place] for place in places),
        offsets=tuple(setup.offsets[place] for place in places) if setup.offsets else (),
    )
    return kept if places[0] == 0 else replace(kept, down=None, floor_m=None)
