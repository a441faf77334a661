"""The user's hand on a map: set, clear, mirror, and corrections that are remembered per skeleton. Its own room only."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..motion.body import canonical_body
from .bone_names import read_name
from .skeleton_map import FINGER_NAMES, SkeletonMap
from .target_rig import TargetRig, rig_fingerprint


def set_joint(skeleton_map: SkeletonMap, joint: str, bones: tuple[str, ...]) -> SkeletonMap:
    """The map with a joint on other bones; a bone that carried another joint leaves it.

    A finger of `FINGER_NAMES` counts as a joint. Raises KeyError for a joint that the canonical body lacks.
    """
    if joint not in FINGER_NAMES:
        canonical_body().joint_index(joint)
    rows = {
        name: tuple(bone for bone in held if bone not in bones)
        for name, held in (*skeleton_map.joints.items(), *skeleton_map.fingers.items())
        if name != joint
    }
    rows[joint] = bones
    return replace(
        skeleton_map,
        joints={name: rows[name] for name in canonical_body().joint_names if rows.get(name)},
        fingers={name: rows[name] for name in FINGER_NAMES if rows.get(name)},
    )


def clear_joint(skeleton_map: SkeletonMap, joint: str) -> SkeletonMap:
    """The map without a joint. Raises KeyError for a joint that the canonical body lacks."""
    return set_joint(skeleton_map, joint, ())


def mirror_map(skeleton_map: SkeletonMap, rig: TargetRig, from_side: str) -> SkeletonMap:
    """The map with the joints of one side ("left" or "right") copied to the other, bones by their mirrored names.

    A joint whose bones have no mirrored partner stays as it is.
    """
    other = {"left": "right", "right": "left"}[from_side]
    mirrored = skeleton_map
    for joint, bones in (*skeleton_map.joints.items(), *skeleton_map.fingers.items()):
        if joint.startswith(from_side):
            partners = tuple(mirror_bone(bone, rig) for bone in bones)
            found = tuple(partner for partner in partners if partner)
            if len(found) == len(bones):
                mirrored = set_joint(mirrored, joint.replace(from_side, other, 1), found)
    return mirrored


def mirror_bone(bone: str, rig: TargetRig) -> str | None:
    """The bone of the other side, None for a bone of the middle or without partner."""
    name = read_name(bone)
    other = {"left": "right", "right": "left"}.get(name.side)
    if other is None:
        return None
    for candidate in rig.bone_names:
        parts = read_name(candidate)
        if (parts.side, parts.word, parts.numbers) == (other, name.word, name.numbers):
            return candidate
    return None


class CorrectionFile:
    """Corrections by skeleton, in a JSON file that the caller names; a missing or damaged file is an empty book."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = self._read()

    def for_rig(self, rig: TargetRig) -> dict[str, tuple[str, ...]]:
        """The joints that the user set for this skeleton, for `detect_map`."""
        return {joint: tuple(bones) for joint, bones in self._rows.get(rig_fingerprint(rig), {}).items()}

    def remember(self, rig: TargetRig, joints: Mapping[str, tuple[str, ...]]) -> None:
        """Add corrections for this skeleton and write the file whole. Raises OSError."""
        rows = dict(self._rows)
        key = rig_fingerprint(rig)
        rows[key] = {**rows.get(key, {}), **{joint: list(bones) for joint, bones in joints.items()}}
        self._write(rows)

    def forget(self, rig: TargetRig) -> None:
        """Drop what was remembered for this skeleton. Raises OSError."""
        self._write({key: row for key, row in self._rows.items() if key != rig_fingerprint(rig)})

    def _read(self) -> dict[str, dict[str, list[str]]]:
        try:
            rows = json.loads(self.path.read_text(encoding="utf-8"))
            return {
                str(key): {str(joint): [str(bone) for bone in bones] for joint, bones in row.items()}
                for key, row in rows.items()
            }
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _write(self, rows: dict[str, dict[str, list[str]]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(rows, stream, indent=1, ensure_ascii=False)
        os.replace(temporary, self.path)
        self._rows = rows
