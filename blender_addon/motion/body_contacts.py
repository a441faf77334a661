"""The parts of the body, besides the feet, that can touch a floor or a support, and where their surface is.

May import numpy and its own room only. Each part is a ball about a point of the canonical body: its lowest point is
what touches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body import CanonicalBody
from .posing import PosedBody
from .rotations import Array, quaternion_rotate


@dataclass(frozen=True, slots=True)
class ContactPart:
    """A ball of `radius_m` at `offset_m` (3,) from `joint`, in its turned frame, on the body of canonical height.

    The skin that it stands for rides on `skin_joints`, within `skin_reach_m` of the joint.
    """

    name: str
    joint: str
    radius_m: float
    skin_joints: tuple[str, ...]
    skin_reach_m: float
    offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class BodyParts:
    """The contact parts of a posed body: middles of their balls `positions_m` (T, P, 3), `radius_m` (P,)."""

    positions_m: Array
    radius_m: Array


def contact_parts() -> tuple[ContactPart, ...]:
    """All parts, in the order of `CONTACT_PARTS`."""
    return _PARTS


def body_parts(body: CanonicalBody, posed: PosedBody) -> BodyParts:
    """Where the parts of a posed body are."""
    size = posed.shape.height_m / body.height_m
    joints = [body.joint_index(part.joint) for part in _PARTS]
    offsets = np.array([part.offset_m for part in _PARTS]) * size
    positions = posed.positions_m[:, joints] + quaternion_rotate(posed.world_wxyz[:, joints], offsets)
    return BodyParts(positions, np.array([part.radius_m for part in _PARTS]) * size)


def _limb_parts(side: str) -> tuple[ContactPart, ...]:
    return (
        ContactPart(f"{side}_knee", f"{side}_knee", 0.055, (f"{side}_hip", f"{side}_knee"), 0.11),
        ContactPart(f"{side}_hand", f"{side}_hand", 0.07, (f"{side}_wrist", f"{side}_hand"), 0.3),
        ContactPart(f"{side}_elbow", f"{side}_elbow", 0.035, (f"{side}_shoulder", f"{side}_elbow"), 0.08),
    )


# measured on rendered bodies that lie, sit, kneel and do push-ups: the skin is within 5 mm of these balls. The joint of
# the upper chest is 5 cm over the skin of the back where a body lies on it, and 21 over that of the chest
_TRUNK_PARTS = (
    ContactPart("seat", "pelvis", 0.14, ("pelvis", "left_hip", "right_hip"), 0.25, (0.0, -0.016, 0.048)),
    ContactPart("back", "upper_chest", 0.15, ("spine", "chest", "upper_chest"), 0.3, (0.0, -0.065, 0.0)),
    ContactPart("head", "head", 0.11, ("neck", "head"), 0.3, (0.0, 0.0, 0.05)),
)
_PARTS = (*_limb_parts("left"), *_limb_parts("right"), *_TRUNK_PARTS)
CONTACT_PARTS: tuple[str, ...] = tuple(part.name for part in _PARTS)
"""Order of `MotionClip.body_contacts`."""
