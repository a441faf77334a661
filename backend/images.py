"""Writing image files and arranging images in a grid, for every contact sheet. May import numpy, cv2, types, errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from backend.errors import OutputError
from backend.files import whole_file
from backend.types import Image

_BACKGROUND: Final = 30
_ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg", ".webp"})


def write_image(image: Image, path: Path) -> None:
    """Write RGB (H, W, 3) as PNG, or as the file ending says. Raises OutputError where that is not possible."""
    suffix = path.suffix if path.suffix.lower() in _ENDINGS else ".png"
    done, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise OutputError(f"The image {path} cannot be encoded", "Use a name that ends in .png")
    try:
        with whole_file(path) as whole:
            whole.write_bytes(data.tobytes())
    except OSError as fault:
        raise OutputError(f"{path} cannot be written ({fault.strerror})", "Check the folder and its space") from fault


def grid(cells: Sequence[Image], columns: int, gap_px: int = 4) -> Image:
    """Cells (H, W, 3) of one size in rows of at most `columns`, with a dark gap around each. No cells: a dark image."""
    if not cells:
        return np.full((gap_px, gap_px, 3), _BACKGROUND, np.uint8)
    height, width = cells[0].shape[:2]
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    shape = (rows * (height + gap_px) + gap_px, columns * (width + gap_px) + gap_px, 3)
    sheet = np.full(shape, _BACKGROUND, np.uint8)
    for place, cell in enumerate(cells):
        y = gap_px + place // columns * (height + gap_px)
        x = gap_px + place % columns * (width + gap_px)
        sheet[y : y + height, x : x + width] = cell
    return sheet
