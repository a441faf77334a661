"""Video files through PyAV: open with named errors, probe, and decode upright RGB with true presentation times.

May import PyAV, OpenCV, numpy, `backend.types` and `backend.errors`.
"""

from __future__ import annotations

import logging
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from backend.errors import VideoError
from backend.types import Frame, Image, VideoInfo
from backend.video.opening import check_readable, image_stream, open_container
from backend.video.ranges import FrameRange

log = logging.getLogger(__name__)

_PROBE_PACKETS: Final = 300
_REORDER: Final = 32
_MAX_BAD_PACKETS: Final = 500
# decoding runs beside the networks: more threads than this only take turns with them, and cost half as much again
_DECODER_THREADS: Final = max(1, min(8, (os.cpu_count() or 1) // 2))
_FOCAL_KEYS: Final = (
    "com.apple.quicktime.camera.focal_length.35mm_equivalent",
    "focal_length_35mm",
    "FocalLengthIn35mmFormat",
)
_TURNS: Final = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}
Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ProbedFile:
    """A file's VideoInfo, and `origin_pts`: the timestamp of its first image, None in a file without timestamps."""

    info: VideoInfo
    origin_pts: int | None
    square_pixel_width: int


def probe_file(path: Path) -> ProbedFile:
    """Open a video and read its first image. Raises VideoError that says what is wrong with the file."""
    check_readable(path)
    with open_container(path) as container:
        stream = image_stream(container, path)
        times = _first_times(container, stream)
        container.seek(0)
        first = _first_image(container, stream, path)
        fps = _frames_per_second(stream, times)
        duration_s = _duration_s(container, stream, fps)
        turns = round(first.rotation / 90) % 4
        aspect = stream.sample_aspect_ratio or 1
        width = max(1, round(first.width * float(aspect)))
        upright = (first.height, width) if turns % 2 else (width, first.height)
        info = VideoInfo(
            path=path,
            width=upright[0],
            height=upright[1],
            fps=fps,
            duration_s=duration_s,
            frame_count=stream.frames or max(1, round(duration_s * fps)),
            codec=stream.codec_context.name,
            rotation_deg=turns * 90,
            variable_frame_rate=_varies(times),
            focal_35mm=_focal_35mm(container, stream),
        )
        # AVI holds no presentation times, and those that libav makes up are wrong once images are reordered
        made_up = container.format.name == "avi" and stream.codec_context.has_b_frames
        return ProbedFile(info, None if made_up else first.pts, width)


def file_frames(probed: ProbedFile, wanted: FrameRange, start_index: int, warn: Warn) -> Iterator[Frame]:
    """Decode upright frames of the range from `start_index` on; damaged parts are left out and told to `warn`.

    Times are seconds from the file's first image, index counts every image of the file.
    """
    with open_container(probed.info.path) as container:
        stream = image_stream(container, probed.info.path)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = _DECODER_THREADS
        index = _seek_near(container, stream, probed, wanted, start_index)
        last_s, seen_any = -1.0, False
        for image in _decode(container, stream, probed.info.path, warn):
            time_s = _time_s(image, stream, probed, index)
            if wanted.after(index, time_s):
                return
            if seen_any and time_s <= last_s:
                warn(f"image {index} repeats the time {last_s:.3f} s and was left out")
            elif index >= start_index and not wanted.before(index, time_s):
                yield Frame(index, time_s, _upright(image, probed))
            last_s, seen_any, index = max(time_s, last_s), True, index + 1
        if index < 0.98 * probed.info.frame_count - 2:
            warn(
                f"the video ends early: {index} of {probed.info.frame_count} images could be read, "
                "the file is cut off or damaged"
            )


def _first_times(container: InputContainer, stream: VideoStream) -> list[int]:
    """Timestamps of the first packets in presentation order, without decoding."""
    times: list[int] = []
    for packet in container.demux(stream):
        if packet.pts is not None and not packet.is_discard:
            times.append(packet.pts)
        if len(times) >= _PROBE_PACKETS:
            break
    ordered = sorted(times)
    return ordered[:-16] if len(times) >= _PROBE_PACKETS else ordered


def _frames_per_second(stream: VideoStream, times: list[int]) -> float:
    """The container's rate where the timestamps bear it out, else the rate that they show."""
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    stated = float(rate) if rate else 0.0
    if len(times) < 3 or times[-1] <= times[0] or stream.time_base is None:
        return stated or 25.0
    span = times[-1] - times[0]
    shown = (len(times) - 1) / float(span * stream.time_base)
    return stated if abs(stated - shown) <= (2.0 / span + 1e-4) * shown else shown


def _varies(times: list[int]) -> bool:
    """Whether steps between timestamps differ by more than rounding to the time base explains."""
    steps = np.diff(times)
    return len(steps) > 1 and bool(steps.max() - steps.min() > max(1.0, 0.02 * float(np.median(steps))))


def _first_image(container: InputContainer, stream: VideoStream, path: Path) -> VideoFrame:
    for image in _decode(container, stream, path, log.debug):
        return image
    raise VideoError(
        f"{path}: no image can be decoded from its {stream.codec_context.name} stream",
        "The file is damaged or cut off; export it again",
    )


def _decode(container: InputContainer, stream: VideoStream, path: Path, warn: Warn) -> Iterator[VideoFrame]:
    bad = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            images = packet.decode()
        except StopIteration:
            break
        except av.error.EOFError:
            break
        except av.error.FFmpegError as fault:
            bad += 1
            if bad == 1:
                log.warning("%s: damaged data (%s)", path.name, fault.strerror)
            if bad > _MAX_BAD_PACKETS:
                break
            continue
        yield from images
    if bad:
        warn(f"{bad} damaged packets were left out")


def _duration_s(container: InputContainer, stream: VideoStream, fps: float) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return container.duration / av.time_base
    return stream.frames / fps


def _focal_35mm(container: InputContainer, stream: VideoStream) -> float | None:
    for metadata in (container.metadata, stream.metadata):
        for key in _FOCAL_KEYS:
            try:
                focal = float(metadata.get(key, ""))
            except ValueError:
                continue
            if 5.0 <= focal <= 1000.0:
                return focal
    return None


def _seek_near(
    container: InputContainer, stream: VideoStream, probed: ProbedFile, wanted: FrameRange, start_index: int
) -> int:
    """Move to the key image before the first wanted one and return the index of the next image decoded.

    Reads packets up to the start without decoding, so indices stay exact for variable frame rates too.
    """
    bound = wanted.start
    if (start_index == 0 and bound in (None, 0, 0.0)) or probed.origin_pts is None:
        return 0
    time_base = float(stream.time_base or 1.0)
    times: list[int] = []
    after = 0
    for packet in container.demux(stream):
        if packet.pts is None or packet.is_discard:
            continue
        times.append(packet.pts)
        index, time_s = len(times) - 1, (packet.pts - probed.origin_pts) * time_base
        after += int(index >= start_index and not wanted.before(index, time_s))
        if after > _REORDER:
            break
    times.sort()
    seconds = [(stamp - probed.origin_pts) * time_base for stamp in times]
    inside = (i for i, time_s in enumerate(seconds) if i >= start_index and not wanted.before(i, time_s))
    first = next(inside, len(times) - 1)
    return _seek_to(container, stream, times, max(first, 0))


def _seek_to(container: InputContainer, stream: VideoStream, times: list[int], first: int) -> int:
    for target in (times[first], times[0]) if times else ():
        container.seek(target, stream=stream, backward=True)
        landed = next((f.pts for f in _decode(container, stream, Path(), log.debug) if f.pts is not None), None)
        if landed is not None and landed <= target:
            # decoding moved on by the images that were read ahead: seek again for a clean start
            container.seek(target, stream=stream, backward=True)
            return bisect_left(times, landed)
    container.seek(0)
    return 0


def _time_s(image: VideoFrame, stream: VideoStream, probed: ProbedFile, index: int) -> float:
    if image.pts is None or probed.origin_pts is None or stream.time_base is None:
        return index / probed.info.fps
    # the fraction is exact; one division at the end keeps 1001/24000 steps exact to the last bit of a double
    return float((image.pts - probed.origin_pts) * stream.time_base)


def _pixels(rgb: VideoFrame) -> Image:
    """The pixels (H, W, 3) of an rgb24 image where they lie: a copy costs as much again as the conversion."""
    plane = rgb.planes[0]
    view: Image = np.ndarray((rgb.height, rgb.width, 3), np.uint8, memoryview(plane), strides=(plane.line_size, 3, 1))
    return view


def _upright(image: VideoFrame, probed: ProbedFile) -> Image:
    width = probed.square_pixel_width if probed.square_pixel_width != image.width else None
    rgb = _pixels(image.reformat(width=width, format="rgb24", interpolation="BILINEAR", threads=1))
    turn = _TURNS.get(probed.info.rotation_deg // 90)
    upright = rgb if turn is None else cv2.rotate(rgb, turn)
    if upright.shape[:2] != (probed.info.height, probed.info.width):
        # some recorders change the image size half way; the track needs one pixel grid
        upright = cv2.resize(upright, (probed.info.width, probed.info.height), interpolation=cv2.INTER_AREA)
    return np.asarray(upright, dtype=np.uint8)
