"""Image sequences: a folder, a pattern (`shot_####.png`, `shot_%04d.png`, `shot_*.png`) or a single image.

May import numpy, OpenCV, Pillow (EXIF), `backend.types` and `backend.errors`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags
from PIL import Image as PillowImage

from backend.errors import VideoError
from backend.types import Frame, Image, VideoInfo

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
DEFAULT_FPS = 24.0
_PLACEHOLDER = re.compile(r"#+|%0?\d*d|\*")


def is_sequence(path: Path) -> bool:
    """Whether a path names images rather than a video file."""
    return path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES


def list_images(path: Path) -> tuple[Path, ...]:
    """The images of a folder, a pattern or a single file, in natural order (`2` before `10`).

    Raises VideoError when there is none.
    """
    if path.is_dir():
        found = [item for item in path.iterdir() if item.suffix.lower() in IMAGE_SUFFIXES]
    elif path.exists():
        found = [path]
    elif _PLACEHOLDER.search(path.name) and path.parent.is_dir():
        parts = [re.escape(part) for part in _PLACEHOLDER.split(path.name)]
        wanted = re.compile((r"\d+" if "*" not in path.name else ".*").join(parts) + "$")
        found = [item for item in path.parent.iterdir() if wanted.match(item.name)]
    else:
        raise VideoError(f"There is no file or folder {path}", "Check the path")
    if not found:
        raise VideoError(
            f"{path} holds no images", f"Give a folder or pattern with {', '.join(sorted(IMAGE_SUFFIXES))} files"
        )
    shown = [item for item in found if not item.name.startswith("._")]  # macOS keeps what it knows of a file there
    return tuple(sorted(shown or found, key=_natural_key))


def probe_sequence(path: Path, fps: float | None) -> VideoInfo:
    """What a sequence says of itself: size and EXIF focal length of its first image, `fps` as given (24 if not)."""
    images = list_images(path)
    height, width = read_image(images[0]).shape[:2]
    rate = fps or DEFAULT_FPS
    return VideoInfo(
        path=path,
        width=width,
        height=height,
        fps=rate,
        duration_s=len(images) / rate,
        frame_count=len(images),
        codec=f"{images[0].suffix[1:].lower()} images",
        rotation_deg=0,
        variable_frame_rate=False,
        focal_35mm=_focal_35mm(images[0]),
    )


def sequence_frames(info: VideoInfo, start_index: int) -> Iterator[Frame]:
    """The images as frames from `start_index` on. Raises VideoError for a damaged image or another size."""
    for index, path in enumerate(list_images(info.path)):
        if index < start_index:
            continue
        image = read_image(path)
        if image.shape != (info.height, info.width, 3):
            size, first = f"{image.shape[1]}x{image.shape[0]}", f"{info.width}x{info.height}"
            raise VideoError(f"{path.name} is {size} but the sequence began with {first}", "Give images of one size")
        yield Frame(index, index / info.fps, image)


def read_image(path: Path) -> Image:
    """One image as RGB (H, W, 3) uint8, turned upright by its EXIF orientation."""
    # imdecode takes bytes, so that paths outside ASCII work on Windows too
    raw = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    decoded = cv2.imdecode(raw, cv2.IMREAD_COLOR) if len(raw) else None
    if decoded is None:
        raise VideoError(f"{path} is not a readable image", "Leave damaged images out of the sequence")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _natural_key(path: Path) -> list[tuple[int, int | str]]:
    return [(0, int(part)) if part.isdigit() else (1, part.lower()) for part in re.split(r"(\d+)", path.name) if part]


def _focal_35mm(path: Path) -> float | None:
    with PillowImage.open(path) as image:
        value = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm)
    return float(value) if value else None
