"""The account of an automatic mapping: per joint what was chosen, how sure, and why. Plain data, free of bpy."""

from __future__ import annotations

from dataclasses import dataclass

from .skeleton_map import SkeletonMap


@dataclass(frozen=True, slots=True)
class JointMatch:
    """One canonical joint: its bones (empty: none found), confidence 0..1 and the reason in plain words."""

    joint: str
    bones: tuple[str, ...]
    confidence: float
    reason: str


@dataclass(frozen=True, slots=True)
class MapReport:
    """The outcome of `detect_map`.

    `family_score` 0..1 is the share of the family's bones that the rig has; `problems` are sentences about what is
    missing or contradictory; `usable` is False when a retarget could not give a sensible body (no hips, no leg pair
    and no arm pair, a quadruped).
    """

    skeleton_map: SkeletonMap
    family_score: float
    matches: tuple[JointMatch, ...]
    problems: tuple[str, ...]
    usable: bool

    def mapped(self) -> tuple[JointMatch, ...]:
        """The joints that have a bone."""
        return tuple(match for match in self.matches if match.bones)

    def missing(self) -> tuple[JointMatch, ...]:
        """The joints that have none."""
        return tuple(match for match in self.matches if not match.bones)

    def summary(self) -> str:
        """One line for the interface, such as "Mixamo: 22 of 24 joints mapped; left_hand, right_hand missing"."""
        line = f"{self.skeleton_map.label}: {len(self.mapped())} of {len(self.matches)} joints mapped"
        if self.missing():
            line += "; no bone for " + ", ".join(match.joint for match in self.missing())
        return line
