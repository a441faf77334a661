"""BVH files as the datasets take them; the reader is the add-on's own (`blender_addon.motion.bvh`)."""

from __future__ import annotations

from pathlib import Path

from backend.datasets.motion import MocapError
from backend.datasets.source import SourceMotion
from blender_addon.motion import bvh
from blender_addon.motion.motion_file_error import MotionFileError


def read_bvh(path: Path) -> SourceMotion:
    """Read a BVH file. Raises MocapError for a truncated or malformed one."""
    try:
        read = bvh.read_bvh(path)
    except MotionFileError as fault:
        raise MocapError(fault.message, fault.remedy) from fault
    return SourceMotion(
        read.names, read.parents, read.rest_positions, read.tips, read.rotations, read.positions, read.fps
    )
