"""People who sit, kneel or lie, made from motion of people who stand: mocap of them is rare. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.types import Array
from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import quaternion_multiply, rotvec_to_quaternion


@dataclass(frozen=True, slots=True)
class PostureShares:
    """Shares (0..1) of windows whose people sit, kneel or lie."""

    seated: float = 0.0
    kneeling: float = 0.0
    lying: float = 0.0

    @property
    def any(self) -> bool:
        """Whether any window is changed."""
        return self.seated + self.kneeling + self.lying > 0


@dataclass(frozen=True, slots=True)
class _Legs:
    """Flexion of hips and knees in degrees, from and to, and how far the thighs spread."""

    hip: tuple[float, float]
    knee: tuple[float, float]
    spread: float


_SEATED = _Legs((55.0, 115.0), (40.0, 115.0), 18.0)
_KNEELING = _Legs((0.0, 60.0), (85.0, 150.0), 12.0)
_SIDE_SPREAD_DEG = 10.0
_LYING_DEG = (75.0, 100.0)


def with_postures(
    rotations_wxyz: Array, root_m: Array, shares: PostureShares, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Windows (B, W, J, 4), (B, W, 3) of which some people sit, kneel or lie; their trunk and arms move on as they did.

    Seated and kneeling people stay where they are, their legs still; lying people are tipped over as a whole.
    """
    kind = rng.random(len(root_m))
    seated = kind < shares.seated
    kneeling = ~seated & (kind < shares.seated + shares.kneeling)
    lying = ~seated & ~kneeling & (kind < shares.seated + shares.kneeling + shares.lying)
    rotations, root = rotations_wxyz.copy(), root_m.copy()
    for rows, legs in ((np.flatnonzero(seated), _SEATED), (np.flatnonzero(kneeling), _KNEELING)):
        _fold_legs(rotations, rows, legs, rng)
        root[rows] = root[rows, root.shape[1] // 2, None]
    _lay_down(rotations, np.flatnonzero(lying), rng)
    return rotations, root


def _fold_legs(rotations: Array, rows: NDArray[np.intp], legs: _Legs, rng: np.random.Generator) -> None:
    """Both legs alike, each a little different: the body looks along -y, so a hip flexes about -x, a knee about x."""
    body, count = canonical_body(), len(rows)
    hip, knee = rng.uniform(*legs.hip, count), rng.uniform(*legs.knee, count)
    for side, outward in (("left", 1.0), ("right", -1.0)):
        own = rng.normal(0.0, _SIDE_SPREAD_DEG, (2, count))
        spread = outward * np.abs(rng.normal(0.0, legs.spread, count))
        turn = np.radians(np.stack([-(hip + own[0]), -spread, np.zeros(count)], axis=-1))
        bend = np.radians(np.stack([np.maximum(knee + own[1], 0.0), *np.zeros((2, count))], axis=-1))
        for name, value in (("hip", turn), ("knee", bend)):
            rotations[rows, :, body.joint_index(f"{side}_{name}")] = rotvec_to_quaternion(value)[:, None]


def _lay_down(rotations: Array, rows: NDArray[np.intp], rng: np.random.Generator) -> None:
    heading, angle = rng.uniform(0.0, 2 * np.pi, len(rows)), np.radians(rng.uniform(*_LYING_DEG, len(rows)))
    turn = np.stack([np.cos(heading) * angle, np.sin(heading) * angle, np.zeros(len(rows))], axis=-1)
    tipped = np.broadcast_to(rotvec_to_quaternion(turn)[:, None], rotations[rows, :, 0].shape)
    rotations[rows, :, 0] = quaternion_multiply(tipped, rotations[rows, :, 0])
