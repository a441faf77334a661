"""A mocap take as its own skeleton says it, before it is mapped to the canonical body. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.types import Array
from blender_addon.motion.moving_skeleton import axis_rotation

__all__ = ["SourceMotion", "axis_rotation"]


@dataclass(frozen=True, slots=True)
class SourceMotion:
    """N joints, T frames, in the file's own axes and unit of length.

    rest_positions (N, 3) and rotations (T, N, 3, 3), world rotations that carry the rest pose into each frame;
    positions (T, N, 3) of the joints; `tips` (N, 3) rest position of the end of a joint without children (NaN
    elsewhere); frames per second.
    """

    names: tuple[str, ...]
    parents: NDArray[np.intp]
    rest_positions: Array
    tips: Array
    rotations: Array
    positions: Array
    fps: float

    def rebased(self, frame: int) -> SourceMotion:
        """The same take with the pose of `frame` taken as the rest pose (for files whose rest pose is no T-pose)."""
        turn = self.rotations[frame]
        tips = self.positions[frame] + np.einsum("nij,nj->ni", turn, self.tips - self.rest_positions)
        return SourceMotion(
            self.names,
            self.parents,
            self.positions[frame],
            tips,
            self.rotations @ np.swapaxes(turn, -1, -2),
            self.positions,
            self.fps,
        )
