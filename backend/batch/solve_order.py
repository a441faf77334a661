"""An order's words as the stages' own options, its source as a reader, a solved clip in a few plain facts.

May import `backend.batch.tasks`, `backend.pipeline` and what its request is made of, `backend.video`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backend.batch.tasks import ClipTask, SolveSettings
from backend.camera import CameraOptions
from backend.embedding.model_files import ModelFiles
from backend.errors import BadInputError
from backend.pipeline import SolveRequest
from backend.solving.option_parsing import RequestOptions, request_from_options
from backend.video import FrameRange, VideoOptions, VideoReader, open_video, parse_range
from backend.video.sequence import is_sequence
from blender_addon.motion.clip import SOURCE_SETTING, MotionClip


def solve_request(order: ClipTask, output: Path, device: str) -> SolveRequest:
    """The pipeline's request. Raises BadInputError for an option that cannot be."""
    settings = order.solve
    calibration = Path(settings.calibration) if settings.calibration else None
    options = RequestOptions(
        range=settings.range,
        person=settings.person,
        max_people=settings.max_people,
        height_m=settings.height_m,
        camera=CameraOptions(settings.focal_px, settings.fov_deg, calibration, settings.camera or None),
        gravity=settings.gravity,
        quality=settings.quality,
        model=model_files(settings),
        hands=settings.hands,
        face=settings.face,
        slow_motion=settings.slow_motion,
        sequence_fps=_sequence_fps(order),
    )
    return request_from_options(Path(order.source), output, options, device, resume=True)


def model_files(settings: SolveSettings) -> ModelFiles:
    """The towers and the bank that an order names."""
    return ModelFiles(
        Path(settings.towers) if settings.towers else None, Path(settings.bank) if settings.bank else None
    )


def open_source(order: ClipTask, clips: Sequence[MotionClip]) -> VideoReader:
    """The source's images as the solve saw them; for a solved clip those that it names.

    Raises BadInputError for a motion that never had images.
    """
    if is_from_elsewhere(clips[0]):
        raise BadInputError(f"{order.source} is motion without a video", "Leave overlay and sheet out of --format")
    if order.is_solved:
        return open_video(Path(clips[0].header.source), _options_of(clips[0]))
    if order.is_take:  # the clip has the frames of the first video that could be used
        order = replace(order, source=clips[0].header.source, more_videos=(), close_ups=())
    settings = order.solve
    chosen = parse_range(settings.range) if settings.range else FrameRange()
    options = VideoOptions(range=chosen, sequence_fps=_sequence_fps(order), slow_motion=settings.slow_motion)
    return open_video(Path(order.source), options)


def is_from_elsewhere(clip: MotionClip) -> bool:
    """Whether a clip was made of a motion file or an armature, not of a video."""
    return bool(clip.header.settings.get(SOURCE_SETTING))


def _sequence_fps(order: ClipTask) -> float | None:
    """The rate for images; a video among them has its own."""
    source = Path(order.source)
    return order.solve.fps if is_sequence(source) or not source.exists() else None


def _options_of(clip: MotionClip) -> VideoOptions:
    """How the video was read that a clip was solved from. A sequence's rate is the clip's, in the video's own time."""
    settings = clip.header.settings
    slow_motion = float(settings.get("slow_motion", "1"))
    span = settings.get("range", ":")
    rate = clip.header.source_fps / slow_motion
    chosen = parse_range(span) if span.strip(":") else FrameRange()
    images = is_sequence(Path(clip.header.source)) or not Path(clip.header.source).exists()
    return VideoOptions(range=chosen, sequence_fps=rate if images and rate > 0 else None, slow_motion=slow_motion)


def clip_facts(clips: Sequence[MotionClip]) -> dict[str, str]:
    """What the index page says of a clip beside its figures."""
    header, times = clips[0].header, clips[0].times_s
    return {
        "people": str(len(clips)),
        "frames": str(len(times)),
        "fps": f"{header.source_fps:.6g}",
        "seconds of video": f"{float(times[-1] - times[0]) + 1.0 / max(header.source_fps, 1e-6):.2f}",
        "body height": f"{header.body_height_m:.2f} m ({header.body_height_source})",
    } | (
        {"motion from": header.source}
        if is_from_elsewhere(clips[0])
        else _camera_facts(clips[0])
        | {
            "image": f"{header.source_width} x {header.source_height}",
            "camera": header.intrinsics_source,
            "quality": header.quality,
        }
    )


def _camera_facts(clip: MotionClip) -> dict[str, str]:
    """How many of a take's cameras are used; nothing for one video."""
    cameras = clip.header.cameras
    used = sum(camera.used for camera in cameras)
    return {"cameras": f"{used} of {len(cameras)}"} if cameras else {}
