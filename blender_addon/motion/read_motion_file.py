"""Motion files of other tools by their contents: SMPL, MHR, BVH. May import numpy and its own room only."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

from .array_files import read_arrays
from .bvh import read_bvh
from .joint_states import is_joint_states, joint_state_motion
from .motion_file_error import MotionFileError
from .moving_skeleton import MovingSkeleton
from .smpl_motion import smpl_motions

MOTION_ENDINGS: Final = (".bvh", ".npz", ".pt", ".pth", ".pkl")
"""What `read_motion_file` reads. A `.npz` can be a motion clip as well: see `is_clip_file`."""
SCENE_ENDINGS: Final = (".fbx", ".glb", ".gltf")
"""What Blender's importers read."""


def is_clip_file(path: Path) -> bool:
    """Whether a `.npz` is a motion clip of Marionet (readable or not), not arrays of another tool."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return True  # the clip's reader tells what is wrong
    return "header.npy" in names or not any(name.endswith(".npy") for name in names)


def read_motion_file(path: Path, fps: float | None = None) -> list[MovingSkeleton]:
    """The motions in a file, one a person. `fps` is for files that state no rate; None: 30, and a note says so.

    Raises MotionFileError for a file of another kind, a damaged one, and one that holds more than data.
    """
    if not path.is_file():
        raise MotionFileError(f"There is no file {path}", "Check the path")
    if path.suffix.lower() == ".bvh":
        return [read_bvh(path)]
    if path.suffix.lower() not in MOTION_ENDINGS:
        raise MotionFileError(
            f"{path.name} is no motion file", f"Motion files end in {', '.join((*MOTION_ENDINGS, *SCENE_ENDINGS))}"
        )
    record = read_arrays(path)
    if is_joint_states(record):
        return [joint_state_motion(record, path.name, fps)]
    return smpl_motions(record, path.name, fps)
