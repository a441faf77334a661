"""Skeleton maps: which bones of a rig carry which joint of the canonical body; one JSON a rig family.

numpy-free; may import `motion` (joint names, folder) and its own room. The file format is `docs/skeleton_maps.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAP_FORMAT_VERSION = 1

FINGERS = ("thumb", "index", "middle", "ring", "little")
# names of a map's fingers, by which the list in the panel and corrections know them
FINGER_NAMES = tuple(f"{side}_{finger}" for side in ("left", "right") for finger in FINGERS)


@dataclass(frozen=True, slots=True)
class TwistBone:
    """A bone beside a joint's chain that carries `fraction` 0..1 of the joint's twist (of its whole rotation where the
    joint is no limb); None: as far along the limb as its head lies (see `share_rotation`).
    """

    bone: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class LimbControls:
    """A limb's IK controls: the `target` at its end joint, the `pole` its middle points at, the `toe` of a foot."""

    target: str
    pole: str | None = None
    toe: str | None = None


@dataclass(frozen=True, slots=True)
class Switch:
    """A custom property, or the bone's own `ik_stretch`, that chooses between FK and IK: its value for either, None
    where it plays no part.
    """

    bone: str
    name: str
    fk: float | None
    ik: float | None


@dataclass(frozen=True, slots=True)
class SkeletonMap:
    """One rig's map.

    `joints` maps a canonical joint to its bones from parent to child (several bones share the joint's rotation);
    `landmarks` maps canonical sites (left_index, left_pinky ...) and `left_middle` to bones whose heads lie there;
    `follows` names, for a control, the control that it really moves with when that is not its parent in the armature.
    `carrier` is the bone whose location moves the whole body (None: the pelvis' first bone).
    `detached` names, for a foot that hangs from the root in the armature, the shin that it has to be moved along with.
    `limbs` holds IK controls by left_leg, right_leg, left_arm, right_arm.
    `fingers` maps `FINGER_NAMES` to a finger's bones from the knuckle to the tip, of any number; bones in the palm are
    none of them, but a thumb's metacarpal is its first.
    """

    family: str
    label: str
    joints: Mapping[str, tuple[str, ...]]
    root_bone: str | None = None
    carrier: str | None = None
    landmarks: Mapping[str, str] = field(default_factory=dict)
    twists: Mapping[str, tuple[TwistBone, ...]] = field(default_factory=dict)
    follows: Mapping[str, str] = field(default_factory=dict)
    switches: tuple[Switch, ...] = ()
    limbs: Mapping[str, LimbControls] = field(default_factory=dict)
    detached: Mapping[str, str] = field(default_factory=dict)
    fingers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def carried_by(self) -> dict[str, str]:
        """For bones that move with another bone than their parent: that bone."""
        return {**self.follows, **self.detached}

    @property
    def moving_bone(self) -> str:
        """The bone whose location moves the whole body; empty where the map has none."""
        return self.carrier or next(iter(self.joints.get("pelvis", ())), "")

    def bones(self) -> tuple[str, ...]:
        """Every bone that carries a joint; those of the fingers are not among them."""
        return tuple(bone for bones in self.joints.values() for bone in bones)

    def finger_bones(self) -> tuple[str, ...]:
        """Every bone of a finger."""
        return tuple(bone for bones in self.fingers.values() for bone in bones)

    def row_bones(self, name: str) -> tuple[str, ...]:
        """The bones of a joint or of a finger, as the panel's list shows both."""
        return tuple((self.fingers if name in FINGER_NAMES else self.joints).get(name, ()))
