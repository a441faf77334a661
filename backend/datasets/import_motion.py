"""Motion files of other tools as clips, by the add-on's readers. May import `blender_addon.motion` and `.retarget`."""

from __future__ import annotations

from pathlib import Path

from backend.errors import BadInputError
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.motion_file_error import MotionFileError
from blender_addon.motion.read_motion_file import read_motion_file
from blender_addon.retarget.clip_from_source import SourceOptions, clip_of_skeleton


def import_motion(path: Path, fps: float | None = None) -> list[MotionClip]:
    """The motions in a BVH, SMPL or MHR file as clips, one a person. `fps` is for files that state no rate.

    Raises BadInputError for a file that cannot be read, and for a motion that is no person's.
    """
    try:
        motions = read_motion_file(path, fps)
        labels = [path.name] if len(motions) == 1 else [f"{path.name}, person {k}" for k in range(len(motions))]
        return [clip_of_skeleton(motion, SourceOptions(label)) for motion, label in zip(motions, labels, strict=True)]
    except MotionFileError as fault:
        raise BadInputError(fault.message, fault.remedy) from fault
