"""The demo's images: video with the solved skeleton on the left, the character on the right. OpenCV, PyAV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from backend.visualization.drawing import draw_label, draw_person
from blender_addon.motion.clip import MotionClip

Image = NDArray[np.uint8]

_GAP_PX = 6


@dataclass(frozen=True, slots=True)
class CharacterImages:
    """Rendered images of the character: paths, the seconds of the output that they show, their rate, a credit.

    `window` is the part of the output that they show: left, top, right, bottom as shares of it.
    """

    paths: tuple[Path, ...]
    times_s: tuple[float, ...]
    fps: float
    credit: str
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


def video_frames(video: Path, times_s: Sequence[float]) -> Iterator[Image]:
    """The output's images (H, W, 3) RGB at the given seconds, ascending."""
    wanted = iter(times_s)
    due = next(wanted, None)
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        half = 0.5 / float(stream.average_rate or 30)
        start = float((stream.start_time or 0) * stream.time_base)
        last = None
        for frame in container.decode(stream):
            last = frame
            while due is not None and frame.time is not None and frame.time - start >= due - half:
                yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                due = next(wanted, None)
            if due is None:
                return
        while due is not None and last is not None:
            yield last.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
            due = next(wanted, None)


def drawn_video(image: Image, clip: MotionClip, frame: int, character: CharacterImages, height_px: int) -> Image:
    """The window's part of a output image at the given height, with the solved skeleton and the credit on it."""
    height, width = image.shape[:2]
    left, top, right, bottom = character.window
    box = np.round([left * width, top * height, right * width, bottom * height]).astype(int)
    part = image[box[1] : box[3], box[0] : box[2]]
    scale = height_px / part.shape[0]
    enlarged = cv2.resize(part, (round(part.shape[1] * scale), height_px), interpolation=cv2.INTER_CUBIC)
    result = np.ascontiguousarray(enlarged, np.uint8)
    draw_person(result, clip, frame, scale, box[:2].astype(np.float64))
    # OpenCV's letters are about 0.85 of their size wide: the credit must fit
    fits_px = (result.shape[1] - 16) / (0.85 * max(1, len(character.credit)))
    draw_label(result, character.credit, (8, height_px - 10), int(min(height_px / 36, fits_px)))
    return result


def joined_frames(video: Path, clip: MotionClip, character: CharacterImages) -> Iterator[Image]:
    """Every image of the comparison, in order: video, a gap, the character; even sizes for the encoder."""
    pairs = zip(video_frames(video, character.times_s), character.times_s, character.paths, strict=True)
    for image, time_s, path in pairs:
        right = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        frame = int(np.argmin(np.abs(clip.times_s - time_s)))
        left = drawn_video(image, clip, frame, character, right.shape[0])
        gap = np.full((right.shape[0], _GAP_PX, 3), 20, np.uint8)
        joined = np.concatenate([left, gap, right], axis=1)
        yield np.ascontiguousarray(joined[: joined.shape[0] // 2 * 2, : joined.shape[1] // 2 * 2], np.uint8)


def write_comparison(video: Path, clip: MotionClip, character: CharacterImages, output: Path, still: Path) -> None:
    """Write the comparison as a output (H.264 where it can be had) and, from one third in, as a still image."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    chosen = len(character.paths) // 3
    with av.open(str(output), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(character.fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "20"} if codec == "libx264" else {}
        for index, image in enumerate(joined_frames(video, clip, character)):
            if index == 0:
                stream.height, stream.width = image.shape[:2]
            if index == chosen:
                cv2.imwrite(str(still), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
