"""A thumbnail of a solve for an overview: a small video and three images, the person beside the body from its side.

May import numpy, OpenCV, PyAV, `backend.video`, `backend.types`, `backend.errors` and `blender_addon.motion`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from backend.types import Frame, Image
from backend.video import VideoReader
from backend.visualization.contact_sheet import draw_side_view
from backend.visualization.drawing import draw_person
from backend.visualization.overlay import TIME_BASE, encoder_name
from blender_addon.motion.clip import MotionClip

_HEIGHT_PX: Final = 240
_SIDE_PX: Final = 150
_RATE_FPS: Final = 12.0
_TIME_TOLERANCE_S: Final = 1e-4
_SHARES: Final = (0.15, 0.5, 0.85)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small mp4 (empty where nothing could be encoded) and JPEG images, as bytes."""

    video: bytes
    images: tuple[bytes, ...]


def make_thumbnail(reader: VideoReader, clips: Sequence[MotionClip], longest_s: float = 10.0) -> Thumbnail:
    """The first `longest_s` seconds in which somebody is solved, at 12 images a second, and three moments of them.

    Raises VideoError where the source cannot be read.
    """
    solved = [clip.times_s[clip.confidence > 0] for clip in clips if (clip.confidence > 0).any()]
    if not solved:
        return Thumbnail(b"", ())
    begins_s = float(min(times[0] for times in solved))
    ends_s = min(begins_s + longest_s, float(max(times[-1] for times in solved)))
    drawn = list(_drawn(reader, clips, begins_s, ends_s))
    if not drawn:
        return Thumbnail(b"", ())
    places = sorted({round(share * (len(drawn) - 1)) for share in _SHARES})
    images = tuple(_jpeg(drawn[place][1]) for place in places)
    return Thumbnail(_video(drawn, reader.options.slow_motion), images)


def _drawn(
    reader: VideoReader, clips: Sequence[MotionClip], begins_s: float, ends_s: float
) -> Iterator[tuple[float, Image]]:
    """Times from the first image in s, and images."""
    due_s = begins_s
    for frame in reader.frames():
        if frame.time_s > ends_s + _TIME_TOLERANCE_S:
            return
        if frame.time_s < due_s - _TIME_TOLERANCE_S:
            continue
        due_s = max(due_s + 1.0 / _RATE_FPS, frame.time_s)
        yield frame.time_s - begins_s, _draw(frame, clips)


def _draw(frame: Frame, clips: Sequence[MotionClip]) -> Image:
    height, width = frame.image.shape[:2]
    scale = _HEIGHT_PX / height
    size = (max(2, round(width * scale / 2) * 2), _HEIGHT_PX)
    image = np.full((_HEIGHT_PX, size[0] + _SIDE_PX, 3), 30, np.uint8)
    image = np.ascontiguousarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    side_drawn = False
    for clip in clips:
        at = int(np.searchsorted(clip.times_s, frame.time_s - _TIME_TOLERANCE_S))
        if at == len(clip) or abs(clip.times_s[at] - frame.time_s) > _TIME_TOLERANCE_S or not clip.confidence[at] > 0:
            continue
        draw_person(image, clip, at, scale)
        if not side_drawn:
            draw_side_view(image[:, size[0] :], clip, at)
            side_drawn = True
    image[:, : size[0]] = image
    return image


def _video(drawn: Sequence[tuple[float, Image]], slow_motion: float) -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as out:
        stream = cast(VideoStream, out.add_stream(encoder_name(), rate=Fraction(_RATE_FPS).limit_denominator(1001)))
        height, width = drawn[0][1].shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        stream.options = {"crf": "28", "preset": "veryfast", "bf": "0"}
        for time_s, image in drawn:
            encoded = av.VideoFrame.from_ndarray(image, "rgb24")
            encoded.pts, encoded.time_base = round(time_s * slow_motion / TIME_BASE), TIME_BASE
            out.mux(stream.encode(encoded))
        out.mux(stream.encode(None))
    return target.getvalue()


def _jpeg(image: Image) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return data.tobytes() if done else b""
