"""The account of an automatic mapping: per joint what was chosen, how sure, and why. Plain data, free of bpy."""

from __future__ import annotations

from dataclasses import dataclass

from .joint_words import joint_label
from .skeleton_map import SkeletonMap


@dataclass(frozen=True, slots=True)
class JointMatch:
    """One canonical joint: its bones (empty: none found), confidence 0..1 and the reason in plain words; `needed` is
    False for a joint that this rig does without.
    """

    joint: str
    bones: tuple[str, ...]
    confidence: float
    reason: str
    needed: bool = True


@dataclass(frozen=True, slots=True)
class MapReport:
    """The outcome of `detect_map`.

    `family_score` 0..1 is the share of the family's bones that the rig has; `problems` are sentences about what is
    missing or contradictory; `usable` is False when a retarget could not give a sensible body (no hips, no leg pair
    and no arm pair, a quadruped). `fingers` are matches of `FINGER_NAMES`, of which a rig needs none.
    """

    skeleton_map: SkeletonMap
    family_score: float
    matches: tuple[JointMatch, ...]
    problems: tuple[str, ...]
    usable: bool
    fingers: tuple[JointMatch, ...] = ()

    def mapped(self) -> tuple[JointMatch, ...]:
        """The joints that have a bone."""
        return tuple(match for match in self.matches if match.bones)

    def missing(self) -> tuple[JointMatch, ...]:
        """The joints that have none."""
        return tuple(match for match in self.matches if not match.bones)

    def summary(self) -> str:
        """One line for the interface, such as "Mixamo: all joints mapped". Joints that need no bone are not counted."""
        lacking = [match for match in self.missing() if match.needed]
        if not lacking:
            return f"{self.skeleton_map.label}: all joints mapped{self._finger_words()}"
        line = f"{self.skeleton_map.label}: {len(self.mapped())} of {len(self.mapped()) + len(lacking)} joints mapped"
        return f"{line}{self._finger_words()}; no bone for " + ", ".join(joint_label(match.joint) for match in lacking)

    def _finger_words(self) -> str:
        left, right = (
            sum(match.joint.startswith(side) and bool(match.bones) for match in self.fingers)
            for side in ("left", "right")
        )
        if not left + right:
            return ""
        return f", {left} fingers a hand" if left == right else f", {left} fingers left and {right} right"
