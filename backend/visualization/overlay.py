"""The overlay video: keypoints and the reprojected skeleton over the source, at the source's own timing.

May import numpy, OpenCV, PyAV, `backend.video`, `backend.types`, `backend.errors` and `blender_addon.motion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from backend.errors import OutputError
from backend.files import whole_file
from backend.types import CancelToken, Frame, Image, Progress, ProgressCallback
from backend.video import VideoReader
from backend.visualization.drawing import confidence_colour, draw_label, draw_person
from blender_addon.motion.clip import MotionClip

# 1/90000 s holds 23.976, 29.97, 59.94 and every integer rate without drift
TIME_BASE: Final = Fraction(1, 90000)
_LONGEST_SIDE_PX: Final = 1280
_TIME_TOLERANCE_S: Final = 1e-4


def write_overlay(
    reader: VideoReader,
    clips: Sequence[MotionClip],
    path: Path,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """Write an mp4 of the solved range with each person drawn over it, at most 1280 px on its longer side.

    The first frame stands at 0, and every step is as the source shows it (slow motion included). The file is written
    whole.
    Raises OutputError where it cannot be written, and leaves an older one as it was then, VideoError where the source
    cannot be read, Cancelled with the part done kept.
    """
    scale, width, height = _even_size(reader.info.width, reader.info.height)
    lookups = [np.asarray(clip.times_s, dtype=np.float64) for clip in clips]
    expected, start_s = reader.expected_frames, None
    try:
        with (
            whole_file(path) as whole,
            av.open(str(whole), "w", format="mp4", options={"movflags": "faststart"}) as out,
        ):
            stream = cast(
                VideoStream, out.add_stream(encoder_name(), rate=Fraction(reader.info.fps).limit_denominator(1001))
            )
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = TIME_BASE
            stream.options = {"crf": "23", "preset": "veryfast", "bf": "0"}
            for count, frame in enumerate(reader.frames(), start=1):
                if cancel is not None and cancel.cancelled:
                    break
                image = av.VideoFrame.from_ndarray(_draw(frame, clips, lookups, scale, (width, height)), "rgb24")
                start_s = frame.time_s if start_s is None else start_s
                image.pts = round((frame.time_s - start_s) * reader.options.slow_motion / TIME_BASE)
                image.time_base = TIME_BASE
                out.mux(stream.encode(image))
                if progress is not None:
                    progress(Progress("overlay", count, max(expected, count)))
            out.mux(stream.encode(None))
    except (av.error.FFmpegError, OSError) as fault:
        raise OutputError(
            f"The overlay {path} cannot be written ({fault.strerror})", "Check folder and space"
        ) from fault
    if cancel is not None:
        cancel.raise_if_cancelled()


def _draw(
    frame: Frame, clips: Sequence[MotionClip], lookups: Sequence[np.ndarray], scale: float, size: tuple[int, int]
) -> Image:
    image = np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    image = image.copy() if image is frame.image else image
    confidences = []
    for clip, times in zip(clips, lookups, strict=True):
        at = int(np.searchsorted(times, frame.time_s - _TIME_TOLERANCE_S))
        if at == len(times) or abs(times[at] - frame.time_s) > _TIME_TOLERANCE_S or not clip.confidence[at] > 0:
            continue
        draw_person(image, clip, at, scale)
        confidences.append((clip.header.person, float(clip.confidence[at])))
    text_px = max(12, min(size) // 32)
    draw_label(image, f"{frame.index}   {frame.time_s:.3f} s", (text_px, size[1] - text_px), text_px)
    for row, (person, confidence) in enumerate(confidences):
        label = f"person {person}   confidence {confidence:.2f}"
        draw_label(image, label, (text_px, (row + 2) * round(1.3 * text_px)), text_px, confidence_colour(confidence))
    return image


def _even_size(width: int, height: int) -> tuple[float, int, int]:
    """A scale of at most 1 and the even size that H.264 wants."""
    scale = min(1.0, _LONGEST_SIDE_PX / max(width, height))
    return scale, max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def encoder_name() -> str:
    """The H.264 encoder where there is one, else the one that every FFmpeg has."""
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"
