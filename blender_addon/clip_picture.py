"""A movie clip's picture: as this Blender shows it, and upright. May import bpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .film_turns import quarter_turns


def turns_left_out(film: Path) -> int:
    """Clockwise quarter turns that a film asks for and this Blender does not make: 4.2 and 4.3 make none."""
    return 0 if bpy.app.version >= (4, 4, 0) else quarter_turns(film)


def clip_turns(clip: Any) -> int:
    """Clockwise quarter turns that bring the picture which this Blender shows of a movie clip upright."""
    return turns_left_out(Path(bpy.path.abspath(clip.filepath))) if clip.source == "MOVIE" else 0


def upright_size(clip: Any) -> tuple[int, int]:
    """Width and height in px of a movie clip's upright picture; its pixels are those stored, square or not."""
    width, height = clip.size
    return (height, width) if clip_turns(clip) % 2 else (width, height)
