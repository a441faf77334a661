"""Mocap as canonical motion: readers, mapping by rotations, checks, subject split. numpy only, torch-free."""

from backend.datasets.library import MotionLibrary, read_library
from backend.datasets.mocap import load_motion
from backend.datasets.motion import MocapError, Motion, read_motion, write_motion

__all__ = ["MocapError", "Motion", "MotionLibrary", "load_motion", "read_library", "read_motion", "write_motion"]
