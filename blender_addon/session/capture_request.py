"""From the capture panel's settings to a job request. May import bpy (paths of the open file)."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import bpy
from bpy.types import Context

from ..client.capture_run import CaptureTicket
from ..client.job import JobRequest
from ..client.link import BackendLink
from ..client.people_search import PeopleSearch
from ..client.take_options import take_options
from ..motion.camera_tilt import LEVEL, down_from_tilt
from ..properties import settings
from ..rig.video_rotation import upright_size
from ..wire.connection_file import ConnectionFileError, read_connection_file
from ..wire.messages import SolveOptions
from .backend import AccessError, clip_dir, is_loopback
from .extension import preferences
from .take_videos import (
    calibration_path,
    close_up_count,
    given_offsets,
    is_take,
    look_again,
    setup_path,
    video_paths,
    why_no_take,
)

_ASSUMED_HEIGHT_M = 1.70
# what can be solved beside the body: names of settings and of capabilities of a backend
DETAILS = ("hands", "face")
# the capability of a backend to take the direction down from the client
GRAVITY = "gravity"
# how much of a video before and after a pose is solved with it: motion tells what one image leaves open
_AROUND_POSE_S = 0.5
# the clip of an image is short and still
_IN_STILL_S = 0.2


def why_not_ready(capture: Any) -> str:
    """Why a capture cannot be started with these settings; empty when it can."""
    if capture.source == "FILE" and not capture.video:
        return "Choose a video first, or drop one into the viewport"
    if capture.source == "MOVIE_CLIP" and capture.movie_clip is None:
        return "Choose a clip that is open in the Movie Clip Editor"
    if capture.source == "SEQUENCE" and not capture.folder:
        return "Choose the folder that holds the images"
    if capture.source == "IMAGE" and not capture.image:
        return "Choose the image"
    if uses_range(capture) and capture.end_s <= capture.start_s:
        return "The part to solve ends before it starts"
    return ""


def why_no_capture(capture: Any) -> str:
    """As `why_not_ready`, with what can be wrong with the further videos of a take."""
    return why_not_ready(capture) or (why_no_take(capture) if is_take(capture) else "")


def uses_range(capture: Any) -> bool:
    """Whether only a range of the video is solved; an image has none."""
    return bool(capture.use_range) and capture.source != "IMAGE"


def source_path(capture: Any) -> Path:
    """The video file or image folder that the settings name. Raises AccessError when it is not there."""
    if capture.source == "MOVIE_CLIP":
        path = Path(bpy.path.abspath(capture.movie_clip.filepath))
        path = path.parent if capture.movie_clip.source == "SEQUENCE" else path
    else:
        named = {"FILE": capture.video, "SEQUENCE": capture.folder, "IMAGE": capture.image}
        path = Path(bpy.path.abspath(named[capture.source]))
    if not path.exists():
        raise AccessError(f"There is no video at {path}. Choose it again")
    return path


def solve_options(capture: Any) -> SolveOptions:
    """What the settings ask the backend for."""
    width, height = point_image(capture)
    return SolveOptions(
        start_s=capture.start_s if uses_range(capture) else None,
        end_s=capture.end_s if uses_range(capture) else None,
        person=person_word(capture),
        height_m=capture.height_m if capture.know_height else None,
        fov_deg=capture.fov_deg if capture.know_fov else None,
        quality=capture.quality,
        smoothing="off",  # the clip keeps what was solved; smoothing is a setting of the bake
        slow_motion=1.0 if capture.source == "IMAGE" else capture.slow_motion,
        sequence_fps=capture.sequence_fps if capture.source == "SEQUENCE" else None,
        picture_width_px=width,
        picture_height_px=height,
        hands=capture.hands,
        face=capture.face,
        gravity_camera=given_gravity(capture),
    )


def given_gravity(capture: Any) -> tuple[float, ...]:
    """The direction down in the camera that the settings name; empty where the backend estimates it."""
    if capture.camera_tilt == "FOUND":
        return ()
    return LEVEL if capture.camera_tilt == "LEVEL" else down_from_tilt(capture.pitch_rad, capture.roll_rad)


def lacking_abilities(capture: Any, capabilities: Collection[str]) -> list[str]:
    """What these settings ask for and a backend with these capabilities does not do, in words."""
    lacking = [f"solve the {name}" for name in DETAILS if getattr(capture, name) and name not in capabilities]
    if given_gravity(capture) and GRAVITY not in capabilities:
        lacking.append("use Camera Tilt")
    return lacking


def person_word(capture: Any) -> str:
    """The chosen person as the backend takes it: a word, a number, or a point of a frame in px."""
    if capture.person == "index":
        return str(capture.person_number)
    if capture.person == "point":
        return f"{capture.point_px[0]:.1f},{capture.point_px[1]:.1f}@{capture.point_frame}"
    return str(capture.person)


def point_image(capture: Any) -> tuple[int, int]:
    """Width and height of the image that the chosen point is counted in; (0, 0) where none is, or it is a file's.

    Blender shows and counts pixels as they are stored; the backend's are square.
    """
    if capture.person != "point" or capture.source != "MOVIE_CLIP" or capture.movie_clip is None:
        return 0, 0
    return upright_size(capture.movie_clip)


def make_search(context: Context, link: BackendLink) -> PeopleSearch:
    """A search for the people in the panel's video. Raises AccessError in words."""
    capture = settings(context).capture
    path = source_path(capture)
    options = replace(solve_options(capture), quality="fast", person="all", hands=False, face=False)
    return PeopleSearch(link, path, options, needs_upload(path))


def make_ticket(context: Context) -> CaptureTicket:
    """The request for a capture with the panel's settings: of the video, or of all videos of a take.

    Raises AccessError in words.
    """
    look_again()
    capture = settings(context).capture
    ticket = _ticket_of_one(context)
    return _ticket_of_take(ticket, capture) if is_take(capture) else ticket


def _ticket_of_take(ticket: CaptureTicket, capture: Any) -> CaptureTicket:
    reason = why_no_take(capture)
    if reason:
        raise AccessError(reason)
    videos = tuple(video_paths(capture))
    try:
        setup, calibration = setup_path(capture), calibration_path(capture)
        take = take_options(given_offsets(capture), setup, close_up_count(capture), calibration)
    except UnicodeDecodeError as fault:
        words = f"{capture.setup_file} is not a set-up. Choose a file that Save Set-up has written"
        if capture.use_calibration:
            words = f"{capture.calibration_file} is not a calibration: it is not a text file"
        raise AccessError(words) from fault
    except (OSError, ValueError) as fault:
        what = "calibration" if capture.use_calibration else "set-up"
        raise AccessError(f"The {what} cannot be used: {fault}") from fault
    request = replace(ticket.request, more_videos=videos[1:], take=take)
    return replace(ticket, request=request)


def _ticket_of_one(context: Context) -> CaptureTicket:
    capture = settings(context).capture
    reason = why_not_ready(capture)
    if reason:
        raise AccessError(reason)
    path = source_path(capture)
    upload = needs_upload(path)
    stem = re.sub(r"[^\w.-]+", "_", path.stem) or "clip"
    folder = clip_dir(preferences()) / f"{stem}_{datetime.now():%Y%m%d_%H%M%S_%f}"
    request = JobRequest(path, folder, solve_options(capture), upload=upload)
    height = capture.height_m if capture.know_height else _ASSUMED_HEIGHT_M
    return CaptureTicket(request, settings(context).id_data.name, path, height)


def make_pose_ticket(context: Context) -> CaptureTicket:
    """The request for the pose of one frame: of a video that frame with what goes on around it, else the image.

    Of several videos it is the first. Raises AccessError in words.
    """
    ticket, capture = _ticket_of_one(context), settings(context).capture
    if capture.source == "IMAGE":
        return replace(ticket, pose_s=_IN_STILL_S)
    start_s = max(capture.pose_s - _AROUND_POSE_S, 0.0)
    options = replace(ticket.request.options, start_s=start_s, end_s=capture.pose_s + _AROUND_POSE_S)
    request = replace(ticket.request, options=options)
    return replace(ticket, request=request, pose_s=(capture.pose_s - start_s) / capture.slow_motion)


def needs_upload(path: Path) -> bool:
    """Whether the backend is on another computer, so that the video's bytes have to be sent. Raises AccessError."""
    away = preferences().backend == "REMOTE" and _is_elsewhere(preferences())
    if away and path.is_dir():
        raise AccessError(
            "A server on another computer cannot read a folder of images here. Make a video of them first"
        )
    return away


def _is_elsewhere(chosen: Any) -> bool:
    try:
        info = read_connection_file(Path(bpy.path.abspath(chosen.connection_file)))
    except ConnectionFileError as fault:
        raise AccessError(str(fault)) from fault
    return not is_loopback(info.endpoint)
