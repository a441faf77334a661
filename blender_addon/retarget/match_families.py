"""Recognise a rig's family by its bone names. Its own room only."""

from __future__ import annotations

from dataclasses import dataclass

from .bone_names import name_key, plain_name
from .map_files import RigFamily, family_map, rig_families
from .skeleton_map import SkeletonMap
from .target_rig import TargetRig

# a spelling that differs only in case, separators or side mark counts a little less than the family's own
_OTHER_SPELLING = 0.85


@dataclass(frozen=True, slots=True)
class FamilyMatch:
    """A family laid over a rig: its map there, and the share 0..1 of the family's bones that were found."""

    family: RigFamily
    skeleton_map: SkeletonMap
    score: float


class _Finder:
    """Finds a family's names among a rig's bones: literally, else by what all spellings of the name share."""

    def __init__(self, rig: TargetRig, family: RigFamily) -> None:
        self.exact: dict[str, str] = {}
        self.loose: dict[tuple[str, str, tuple[int, ...]], str] = {}
        for bone in rig.bone_names:
            self.exact.setdefault(plain_name(bone, family.prefixes), bone)
            self.exact[bone] = bone
            self.loose.setdefault(name_key(bone, family.prefixes), bone)
        self.prefixes = family.prefixes

    def __call__(self, name: str) -> str | None:
        if not name:
            return None
        return self.exact.get(name) or self.loose.get(name_key(name, self.prefixes))

    def worth(self, name: str) -> float:
        """How well a name was found: 1 literally, less in another spelling, 0 not at all."""
        if name in self.exact:
            return 1.0
        return _OTHER_SPELLING if name_key(name, self.prefixes) in self.loose else 0.0


def match_families(rig: TargetRig) -> list[FamilyMatch]:
    """All families by falling score; of equal scores the one that maps more bones comes first."""
    matches = []
    for family in rig_families():
        finder = _Finder(rig, family)
        names = family.required()
        score = sum(finder.worth(name) for name in names) / max(len(names), 1)
        matches.append(FamilyMatch(family, family_map(family, finder), score))
    return sorted(matches, key=lambda match: (-match.score, -_extent(match.skeleton_map)))


def _extent(skeleton_map: SkeletonMap) -> int:
    return len(skeleton_map.bones()) + len(skeleton_map.landmarks) + len(skeleton_map.finger_bones())
