"""The skeleton map in the editor: from a detection to the list, from the list to a map, corrections kept. May use bpy.

The list holds one row a joint of the canonical body; everything else of a map (twists, switches, landmarks) rides
along as JSON in the settings, so that a saved file needs no new detection.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bpy.types import Context

from ..motion.body import canonical_body
from ..properties import settings
from ..retarget.auto_map import detect_map
from ..retarget.edit_map import CorrectionFile
from ..retarget.joint_words import sentences
from ..retarget.map_files import map_from_record, map_to_record
from ..retarget.map_report import MapReport
from ..retarget.skeleton_map import FINGER_NAMES, SkeletonMap
from ..retarget.target_rig import TargetRig
from ..rig.read_armature import read_armature
from . import session_state
from .extension import user_dir

BY_HAND = "Chosen by hand"
# the rows of the list: the body's joints, the fingers after their hand
ROW_NAMES = tuple(
    name
    for joint in canonical_body().joint_names
    for name in (joint, *(one for one in FINGER_NAMES if joint.endswith("_hand") and one[0] == joint[0]))
)


@contextmanager
def _filling() -> Iterator[None]:
    """Rows are being filled by the program: their update callbacks do nothing."""
    session_state.STATE.filling_map_rows = True
    try:
        yield
    finally:
        session_state.STATE.filling_map_rows = False


def chosen_map(chosen: Any) -> SkeletonMap | None:
    """The map as the editor shows it, or None when nothing was mapped yet (it is then detected)."""
    if not chosen.map_json:
        return None
    base = map_from_record(json.loads(chosen.map_json), "the scene's skeleton map")
    rows = {row.name: tuple(_row_bones(row)) for row in chosen.rows}
    rows = {**base.fingers, **rows}  # a file of version 0.8 has no rows for fingers
    return replace(
        base,
        joints={joint: bones for joint, bones in rows.items() if bones and joint not in FINGER_NAMES},
        fingers={finger: rows[finger] for finger in FINGER_NAMES if rows.get(finger)},
    )


def _row_bones(row: Any) -> list[str]:
    return [bone for bone in (row.bone, *(part.strip() for part in row.more.split(","))) if bone]


def show_detected_map(chosen: Any) -> MapReport:
    """Map the chosen armature, corrections of this skeleton included, and fill the list.

    Raises TypeError or ValueError for an armature that cannot be read.
    """
    rig = read_armature(chosen.armature)
    report = detect_map(rig, _corrections(rig))
    fill_rows(chosen, report.skeleton_map, report)
    chosen.map_summary = sentences((report.summary(), *report.problems))
    return report


def fill_rows(chosen: Any, skeleton_map: SkeletonMap, report: MapReport | None, reason: str = BY_HAND) -> None:
    """Show a map in the list; confidence and reasons come from the report where there is one."""
    matches = {match.joint: match for match in (*report.matches, *report.fingers)} if report else {}
    with _filling():
        chosen.rows.clear()
        for joint in ROW_NAMES:
            bones = skeleton_map.row_bones(joint)
            row = chosen.rows.add()
            row.name = joint
            row.bone, row.more = bones[0] if bones else "", ", ".join(bones[1:])
            match = matches.get(joint)
            row.confidence = match.confidence if match else float(bool(bones))
            row.reason = match.reason if match else (reason if bones else "")
    chosen.map_json = json.dumps(map_to_record(skeleton_map))
    chosen.map_label = skeleton_map.label


def map_row_edited(row: Any, context: Context) -> None:
    """A row was changed by hand: it is sure from now on, and the correction is kept for this skeleton."""
    if session_state.STATE.filling_map_rows:
        return
    _mark(row)
    remember_rows(settings(context).retarget, [row])


def apply_edited_map(chosen: Any, skeleton_map: SkeletonMap) -> int:
    """Bring the list to an edited map, remember what changed, and return how many joints did."""
    changed = []
    for row in chosen.rows:
        bones = skeleton_map.row_bones(row.name)
        if tuple(_row_bones(row)) == bones:
            continue
        with _filling():
            row.bone, row.more = bones[0] if bones else "", ", ".join(bones[1:])
        _mark(row)
        changed.append(row)
    if changed:
        remember_rows(chosen, changed)
    return len(changed)


def _mark(row: Any) -> None:
    with _filling():
        row.confidence, row.reason = (1.0, BY_HAND) if row.bone else (0.0, "")


def remember_rows(chosen: Any, rows: list[Any]) -> None:
    """Keep corrected joints for every rig with this skeleton; a read-only profile is said and survived."""
    if chosen.armature is None:
        return
    joints = [row for row in chosen.rows if row.name not in FINGER_NAMES]
    mapped = sum(bool(row.bone) for row in joints)
    chosen.map_summary = f"{chosen.map_label}, corrected by hand: {mapped} of {len(joints)} joints mapped"
    try:
        book = CorrectionFile(corrections_path())
        book.remember(read_armature(chosen.armature), {row.name: tuple(_row_bones(row)) for row in rows})
    except OSError as fault:
        session_state.STATE.fail(f"The correction holds in this file only; it could not be kept for later ({fault})")


def forget_map(armature: Any) -> None:
    """Drop the corrections of a skeleton. Raises OSError in a read-only profile."""
    CorrectionFile(corrections_path()).forget(read_armature(armature))


def corrections_path() -> Path:
    """Where corrections are kept. Raises OSError in a read-only profile."""
    return user_dir() / "skeleton_map_corrections.json"


def _corrections(rig: TargetRig) -> dict[str, tuple[str, ...]]:
    try:
        return CorrectionFile(corrections_path()).for_rig(rig)
    except OSError:  # a read-only profile has no corrections
        return {}
