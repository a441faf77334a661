"""How large an image may be: asked before it is decoded, so that a small file cannot fill the memory.

May import `backend.errors`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from backend.errors import VideoError

# 8K video has 33 million pixels, 12K cinema cameras 80 million; decoded, 100 million are 300 MB
MOST_PIXELS: Final = 100_000_000
MOST_SIDE_PX: Final = 32_768
LEAST_SIDE_PX: Final = 16
# real anamorphic pixels are at most 2.5 times as wide as high
_MOST_ASPECT: Final = 5.0


def check_size(path: Path, width: int, height: int) -> None:
    """Raise VideoError for images too large to be decoded, or too small to show a person."""
    if width * height > MOST_PIXELS or max(width, height) > MOST_SIDE_PX:
        raise VideoError(
            f"{path} has images of {width}x{height}: more than {MOST_PIXELS // 1_000_000} million pixels or "
            f"{MOST_SIDE_PX} on a side are not decoded",
            "Scale it down first; 1920x1080 is enough",
        )
    if min(width, height) < LEAST_SIDE_PX:
        raise VideoError(f"{path} is {width}x{height}: too small to see a person", "Give a larger video")


def check_pixel_aspect(path: Path, aspect: float) -> None:
    """Raise VideoError for pixels so wide or so high that the file must be wrong about them."""
    if not 1.0 / _MOST_ASPECT <= aspect <= _MOST_ASPECT:
        raise VideoError(
            f"{path} says that its pixels are {aspect:g} times as wide as high",
            "Export it again with square pixels",
        )
