"""Image sequences: a folder, a pattern (`shot_####.png`, `shot_%04d.png`, `shot_*.png`) or a single image.

May import OpenCV's and Pillow's wrappers of its own room, `backend.types` and `backend.errors`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backend.errors import VideoError
from backend.types import Frame, VideoInfo
from backend.video.image_file import IMAGE_SUFFIXES, read_header, read_image
from backend.video.numbering import Series, choose_series
from backend.video.opening import check_regular

DEFAULT_FPS: Final = 24.0
# a single image is a still video of so many frames: tracking asks for several, and every other one is seen flipped
STILL_FRAMES: Final = 12
_PLACEHOLDER: Final = re.compile(r"#+|%0?\d*d|\*")


def is_sequence(path: Path) -> bool:
    """Whether a path names images rather than a video file."""
    return path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES


def list_images(path: Path) -> tuple[Path, ...]:
    """The images of a folder, a pattern or a single file that make one sequence, in natural order (`2` before `10`).

    Raises VideoError when there is none.
    """
    return find_series(path).paths


def find_series(path: Path) -> Series:
    """The images of a folder, a pattern or a single file as one sequence. Raises VideoError when there is none."""
    if path.is_dir():
        found = [item for item in path.iterdir() if item.suffix.lower() in IMAGE_SUFFIXES]
    elif _PLACEHOLDER.search(path.name) and not path.exists() and path.parent.is_dir():
        parts = [re.escape(part) for part in _PLACEHOLDER.split(path.name)]
        wanted = re.compile((r"\d+" if "*" not in path.name else ".*").join(parts) + "$")
        found = [item for item in path.parent.iterdir() if wanted.match(item.name)]
    else:
        check_regular(path)
        return Series((path,), (0,))
    files = [item for item in found if item.is_file()]
    if not files:
        raise VideoError(
            f"{path} holds no images", f"Give a folder or pattern with {', '.join(sorted(IMAGE_SUFFIXES))} files"
        )
    shown = [item for item in files if not item.name.startswith("._")]  # macOS keeps what it knows of a file there
    return choose_series(shown or files)


@dataclass(frozen=True, slots=True)
class ProbedSequence:
    """A sequence's VideoInfo and its images."""

    info: VideoInfo
    series: Series


def probe_sequence(path: Path, fps: float | None) -> ProbedSequence:
    """What a sequence says of itself: size and EXIF focal length of its first image, `fps` as given (24 if not).

    A single image is shown for `STILL_FRAMES` frames.

    Raises VideoError for a single animated image, of which only the first image would be read.
    """
    series = find_series(path)
    header = read_header(series.paths[0])
    is_still = len(series.paths) == 1
    if header.animated > 1 and is_still:
        raise VideoError(
            f"{path} is an animated image of {header.animated} images; only its first would be read, as one image",
            "Convert it to a video, such as mp4, or to a folder of images",
        )
    if is_still:
        series = Series(series.paths * STILL_FRAMES, tuple(range(STILL_FRAMES)))
    height, width = read_image(series.paths[0]).shape[:2]
    rate, frames = fps or DEFAULT_FPS, series.places[-1] + 1
    info = VideoInfo(
        path=path,
        width=width,
        height=height,
        fps=rate,
        duration_s=frames / rate,
        frame_count=frames,
        codec=f"{series.paths[0].suffix[1:].lower()} images",
        rotation_deg=0,
        variable_frame_rate=False,
        focal_35mm=header.focal_35mm,
        frame_count_is_exact=True,
    )
    return ProbedSequence(info, series)


def sequence_frames(probed: ProbedSequence, fps: float, start_index: int) -> Iterator[Frame]:
    """The images as frames from `start_index` on; index and time come from an image's number.

    Raises VideoError for a damaged image or another size.
    """
    size = (probed.info.height, probed.info.width, 3)
    shown, image = None, None
    for index, path in zip(probed.series.places, probed.series.paths, strict=True):
        if index < start_index:
            continue
        if image is None or path != shown:  # a still is read once
            shown, image = path, read_image(path)
        if image.shape != size:
            this, first = f"{image.shape[1]}x{image.shape[0]}", f"{size[1]}x{size[0]}"
            raise VideoError(f"{path.name} is {this} but the sequence began with {first}", "Give images of one size")
        yield Frame(index, index / fps, image)
