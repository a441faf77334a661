"""Image sequences: a folder, a pattern (`shot_####.png`, `shot_%04d.png`, `shot_*.png`) or a single image.

May import OpenCV's and Pillow's wrappers of its own room, `backend.types` and `backend.errors`.

The images' numbers count: where some are missing, the images after them keep their time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from backend.errors import VideoError
from backend.types import Frame, VideoInfo
from backend.video.image_file import IMAGE_SUFFIXES, read_header, read_image
from backend.video.opening import check_regular

_DIGITS: Final = re.compile(r"(\d+)")
# names in which nearly every number is missing hold dates or other numbers, no frame numbers
_LEAST_SHARE: Final = 1 / 20
# two series whose numbers are mostly the same were taken at the same time: two cameras
_SAME_SHARE: Final = 0.5
_MOST_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Series:
    """Images in order with the place of each, from 0 and increasing, and what the user should know of the choice."""

    paths: tuple[Path, ...]
    places: tuple[int, ...]
    warnings: tuple[str, ...] = ()


def choose_series(found: Sequence[Path]) -> Series:
    """The sequence that these files are, or the longest of several."""
    ordered = sorted(found, key=natural_key)
    groups = _told_apart(ordered)
    chosen = max(groups, key=len)  # the first of the longest
    told = []
    if len(groups) > 1:
        named = [f"{_pattern(group)} ({len(group)} images)" for group in groups[:_MOST_NAMED]]
        more = f" and {len(groups) - _MOST_NAMED} more" if len(groups) > _MOST_NAMED else ""
        told.append(
            f"there are {len(groups)} sequences: {', '.join(named)}{more}. Only {_pattern(chosen)} is read; "
            "name another by its pattern"
        )
    places, note = _places(chosen)
    return Series(tuple(chosen), places, (*told, *([note] if note else [])))


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Sorts `2` before `10`."""
    parts = _DIGITS.split(path.name)
    return [(0, int(part)) if part.isdecimal() else (1, part.lower()) for part in parts if part]


def _numbers(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in _DIGITS.findall(path.stem))


def _words(path: Path) -> tuple[str, ...]:
    return tuple(part.lower() for part in _DIGITS.split(path.stem)[::2])


def _told_apart(ordered: Sequence[Path]) -> list[list[Path]]:
    """Files grouped by what is not a number in their names, then by all numbers but the last where those overlap."""
    by_words: dict[tuple[str, ...], list[Path]] = {}
    for path in ordered:
        by_words.setdefault(_words(path), []).append(path)
    groups = [part for group in by_words.values() for part in _by_camera(group)]
    if all(len(group) == 1 for group in groups):
        return [list(ordered)]  # names without numbers: the order of the names is all there is
    return groups


def _by_camera(group: list[Path]) -> list[list[Path]]:
    numbers = [_numbers(path) for path in group]
    changing = [column for column in range(len(numbers[0])) if len({row[column] for row in numbers}) > 1]
    if len(changing) < 2:
        return [group]
    series: dict[tuple[int, ...], list[Path]] = {}
    for path, row in zip(group, numbers, strict=True):
        series.setdefault(tuple(row[column] for column in changing[:-1]), []).append(path)
    parts = list(series.values())
    counted = [{_numbers(path)[changing[-1]] for path in part} for part in parts]
    least = min(len(one) for one in counted)
    same = len(set.intersection(*counted))
    return parts if least > 1 and same >= _SAME_SHARE * least else [group]


def _places(group: Sequence[Path]) -> tuple[tuple[int, ...], str]:
    """Each image's place, and a sentence where that is not simply its row."""
    rows = tuple(range(len(group)))
    numbers = [_numbers(path) for path in group]
    if len(group) < 2 or len({len(row) for row in numbers}) > 1 or not numbers[0]:
        return rows, ""
    changing = [column for column in range(len(numbers[0])) if len({row[column] for row in numbers}) > 1]
    if len(changing) != 1:
        return rows, ""
    counted = [row[changing[0]] for row in numbers]
    step = math.gcd(*(after - before for before, after in pairwise(counted)))
    if step == 0 or len(set(counted)) < len(counted):
        return rows, ""
    places = tuple((number - counted[0]) // step for number in counted)
    missing = places[-1] + 1 - len(places)
    if len(places) < _LEAST_SHARE * (places[-1] + 1):
        return rows, "the numbers in the images' names leap, so they are taken one after the other"
    return places, _missing(counted, places, missing, step)


def _missing(counted: Sequence[int], places: Sequence[int], missing: int, step: int) -> str:
    if not missing:
        return ""
    at = next(row for row in range(1, len(places)) if places[row] > places[row - 1] + 1)
    first, last = counted[at - 1] + step, counted[at] - step
    span = f"number {first}" if first == last else f"numbers {first} to {last}"
    return f"{missing} images are missing, first {span}: the images after them keep their time"


def _pattern(group: Sequence[Path]) -> str:
    """`camA_####.jpg` for the names of a series: what is the same in all stays."""
    parts = [_DIGITS.split(path.name) for path in group]
    if len({len(row) for row in parts}) > 1:
        return group[0].name
    words = []
    for column, texts in enumerate(zip(*parts, strict=True)):
        same = len({text.lower() for text in texts}) == 1
        words.append(texts[0] if same or column % 2 == 0 else "#" * min(len(text) for text in texts))
    return "".join(words)


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
