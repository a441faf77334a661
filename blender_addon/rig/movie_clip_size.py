"""A movie clip's image: as this Blender shows it, and upright. May import bpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .video_rotation import Orientation, orientation


def left_out(video: Path) -> Orientation:
    """What brings the image that this Blender shows of a video upright: 4.2 and 4.3 heed nothing of what it asks for,
    later ones no mirror.
    """
    wanted = orientation(video)
    return wanted.after_turning() if bpy.app.version >= (4, 4, 0) else wanted


def turns_left_out(video: Path) -> int:
    """Clockwise quarter turns that a video asks for and this Blender does not make: 4.2 and 4.3 make none."""
    return 0 if bpy.app.version >= (4, 4, 0) else orientation(video).quarter_turns


def clip_orientation(clip: Any) -> Orientation:
    """What brings the image which this Blender shows of a movie clip upright."""
    return left_out(Path(bpy.path.abspath(clip.filepath))) if clip.source == "MOVIE" else Orientation()


def clip_turns(clip: Any) -> int:
    """Clockwise quarter turns that bring the image which this Blender shows of a movie clip upright."""
    return clip_orientation(clip).quarter_turns


def upright_size(clip: Any) -> tuple[int, int]:
    """Width and height in px of a movie clip's upright image; its pixels are those stored, square or not."""
    width, height = clip.size
    return (height, width) if clip_turns(clip) % 2 else (width, height)
