"""Canonical motion: one take of one subject on the canonical body, and its file. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.errors import BadInputError
from backend.types import Array


class MocapError(BadInputError):
    """A mocap file that cannot be read or mapped: the message names the file and the fault."""

    code = "mocap"


@dataclass(frozen=True, slots=True)
class Motion:
    """A take: rotations_wxyz (T, J, 4) local on the canonical body, joint 0 the root orientation in a Z-up world;
    root_m (T, 3) pelvis position scaled to the canonical body, floor near z = 0; frames per second; who and what.
    """

    rotations_wxyz: Array
    root_m: Array
    fps: float
    subject: str
    action: str
    source: str

    def __len__(self) -> int:
        return len(self.root_m)


def write_motion(motion: Motion, path: Path) -> None:
    """Write one take as npz (float32)."""
    np.savez_compressed(
        path,
        rotations_wxyz=motion.rotations_wxyz.astype(np.float32),
        root_m=motion.root_m.astype(np.float32),
        fps=np.float64(motion.fps),
        text=np.array([motion.subject, motion.action, motion.source]),
    )


def read_motion(path: Path) -> Motion:
    """Read a take written by `write_motion`. Raises MocapError for anything else."""
    try:
        with np.load(path, allow_pickle=False) as data:
            subject, action, source = (str(item) for item in data["text"])
            return Motion(data["rotations_wxyz"], data["root_m"], float(data["fps"]), subject, action, source)
    except (OSError, KeyError, ValueError) as fault:
        raise MocapError(
            f"{path} is not a motion file ({fault})", "Write it with backend.datasets.write_motion"
        ) from fault
