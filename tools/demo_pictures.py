"""The demo's pictures: footage with the overlay on the left, the character on the right. OpenCV, PyAV, Pillow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_GAP_PX = 6


@dataclass(frozen=True, slots=True)
class CharacterPictures:
    """Rendered pictures of the character: paths, the seconds of the film that they show, their rate, a credit."""

    paths: tuple[Path, ...]
    times_s: tuple[float, ...]
    fps: float
    credit: str


def footage_frames(video: Path, times_s: Sequence[float]) -> Iterator[Image]:
    """The film's pictures (H, W, 3) RGB at the given seconds, ascending."""
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
                yield frame.to_ndarray(format="rgb24")
                due = next(wanted, None)
            if due is None:
                return
        while due is not None and last is not None:
            yield last.to_ndarray(format="rgb24")
            due = next(wanted, None)


def side_by_side(left: Image, right: Image, credit: str = "") -> Image:
    """Two pictures of one height next to each other, the credit small in the left one's corner; even size."""
    height, right_width = right.shape[:2]
    size = (round(left.shape[1] * height / left.shape[0] / 2) * 2, height)
    scaled = cv2.resize(left, size, interpolation=cv2.INTER_AREA)
    if credit:
        for colour, width_px in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(
                scaled, credit, (8, height - 10), cv2.FONT_HERSHEY_SIMPLEX, height / 1300, colour, width_px, cv2.LINE_AA
            )
    gap = np.full((height, _GAP_PX, 3), 20, np.uint8)
    joined = np.concatenate([scaled, gap, right[:, : right_width - right_width % 2]], axis=1)
    return np.ascontiguousarray(joined[: height - height % 2])


def joined_frames(overlay: Path, character: CharacterPictures) -> Iterator[Image]:
    """Every picture of the comparison, in order."""
    for left, path in zip(footage_frames(overlay, character.times_s), character.paths, strict=True):
        right = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        yield side_by_side(left, np.asarray(right, np.uint8), character.credit)


def write_comparison(overlay: Path, character: CharacterPictures, film: Path, still: Path) -> None:
    """Write the comparison as a film (H.264 where it can be had) and, from one third in, as a still picture."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    chosen = len(character.paths) // 3
    with av.open(str(film), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(character.fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "20"} if codec == "libx264" else {}
        for index, image in enumerate(joined_frames(overlay, character)):
            if index == 0:
                stream.height, stream.width = image.shape[:2]
            if index == chosen:
                cv2.imwrite(str(still), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
