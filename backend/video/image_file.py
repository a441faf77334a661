"""One image file: its header, read without decoding it, and its pixels, upright. OpenCV, Pillow, numpy, errors.

The header decides what is decoded: its format must be one of those read here, and its size within the bounds. So a
small file cannot ask for gigabytes, and decoders for formats that nobody asked for are never reached.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import ExifTags, UnidentifiedImageError
from PIL import Image as PillowImage
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from backend.errors import VideoError
from backend.types import Image
from backend.video.bounds import MOST_PIXELS, check_size
from backend.video.opening import check_readable
from backend.video.orientation import Orientation

IMAGE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
_FORMATS: Final = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "MPO")
_ANIMATED: Final = frozenset({"PNG", "WEBP"})
# EXIF's numbers: a mirror first, then clockwise quarter turns. OpenCV turns TIFF as it reads it.
_EXIF: Final = {
    2: Orientation(0, mirrored=True),
    3: Orientation(2),
    4: Orientation(2, mirrored=True),
    5: Orientation(3, mirrored=True),
    6: Orientation(1),
    7: Orientation(1, mirrored=True),
    8: Orientation(3),
}
_TURNED_HERE: Final = frozenset({"JPEG", "PNG", "WEBP", "MPO"})
_MOST_BYTES: Final = 1 << 30
_TIFF_MARKS: Final = (b"II*\0", b"MM\0*")
_TIFF_SIZE_TAGS: Final = (256, 257)
_LEAVE_OUT: Final = "Leave damaged images out of the sequence"


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Stored width and height in px, the number of images in an animation (else 1), the lens where EXIF tells it.

    `orientation` is what EXIF asks for in formats whose decoder leaves it to the reader.
    """

    width: int
    height: int
    animated: int = 1
    focal_35mm: float | None = None
    orientation: Orientation = Orientation()


def read_header(path: Path) -> ImageHeader:
    """An image's header. Raises VideoError for what is no image that is read here, and for one that is too large."""
    check_readable(path)
    if path.stat().st_size > _MOST_BYTES:
        raise VideoError(f"{path} has more than {_MOST_BYTES >> 20} MB", "Save the image anew")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked here, in words
            with PillowImage.open(path, formats=_FORMATS) as image:
                check_size(path, *image.size)
                images = int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1
                turned = _EXIF.get(image.getexif().get(ExifTags.Base.Orientation, 1), Orientation())
                own = image.format in _TURNED_HERE
                header = ImageHeader(*image.size, images, _focal_35mm(image), turned if own else Orientation())
    except UnidentifiedImageError as fault:
        header = ImageHeader(*_tiff_size(path, fault))
        check_size(path, header.width, header.height)
    except PillowImage.DecompressionBombError as fault:
        raise VideoError(f"{path} has more than {MOST_PIXELS // 1_000_000} million pixels", "Scale it down") from fault
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError) as fault:
        raise VideoError(f"{path} is not a readable image ({fault})", _LEAVE_OUT) from fault
    return header


def read_image(path: Path) -> Image:
    """One image as RGB (H, W, 3) uint8, turned upright and unmirrored by its EXIF orientation.

    Raises VideoError for a damaged file and one that is too large.
    """
    header = read_header(path)
    try:
        # imdecode takes bytes, so that paths outside ASCII work on Windows too; which formats OpenCV turns by itself
        # varies with its version
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        decoded = cv2.imdecode(np.frombuffer(path.read_bytes(), dtype=np.uint8), flags)
    except (cv2.error, OSError) as fault:
        raise VideoError(f"{path} is not a readable image ({fault})", _LEAVE_OUT) from fault
    if decoded is None:
        raise VideoError(f"{path} is not a readable image", _LEAVE_OUT)
    return header.orientation.apply(np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8))


def _tiff_size(path: Path, fault: UnidentifiedImageError) -> tuple[int, int]:
    """The size of a TIFF whose pixels Pillow does not know, such as 16 bits a channel; OpenCV reads those."""
    try:
        with path.open("rb") as stream:
            mark = stream.read(8)
            if mark[:4] in _TIFF_MARKS:
                tags = ImageFileDirectory_v2(mark)
                stream.seek(tags.next)
                tags.load(stream)
                width, height = (int(tags[tag]) for tag in _TIFF_SIZE_TAGS)
                return width, height
    except (OSError, KeyError, ValueError, TypeError, SyntaxError, EOFError) as other:
        raise VideoError(f"{path} is not a readable image ({other})", _LEAVE_OUT) from other
    raise VideoError(f"{path} is not a readable image", _LEAVE_OUT) from fault


def _focal_35mm(image: PillowImage.Image) -> float | None:
    value = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm)
    return float(value) if value and 5.0 <= float(value) <= 1000.0 else None
