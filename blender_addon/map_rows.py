"""The skeleton map in the editor: from a detection to the list, from the list to a map, corrections kept. May use bpy.

The list holds one row a joint of the canonical body; everything else of a map (twists, switches, landmarks) rides
along as JSON in the settings, so that a saved file needs no new detection.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import runtime
from .extension import user_dir
from .motion.body import canonical_body
from .retarget.auto_map import detect_map
from .retarget.map_files import MapFileError, map_from_record, map_to_record, read_map, write_map
from .retarget.map_report import MapReport
from .retarget.skeleton_map import SkeletonMap
from .retarget.target_rig import rig_fingerprint
from .rig.read_armature import read_armature

logger = logging.getLogger(__name__)

BY_HAND = "Chosen by hand"
REMEMBERED = "Remembered from an earlier correction of this skeleton"


class _Filling:
    """Whether rows are being filled by the program: their update callbacks then keep still."""

    active = False


@contextmanager
def _filling() -> Iterator[None]:
    _Filling.active = True
    try:
        yield
    finally:
        _Filling.active = False


def chosen_map(chosen: Any) -> SkeletonMap | None:
    """The map as the editor shows it, or None when nothing was mapped yet (it is then detected)."""
    if not chosen.map_json:
        return None
    base = map_from_record(json.loads(chosen.map_json), "the scene's skeleton map")
    rows = {row.name: tuple(_row_bones(row)) for row in chosen.rows}
    return replace(base, joints={joint: bones for joint, bones in rows.items() if bones})


def _row_bones(row: Any) -> list[str]:
    return [bone for bone in (row.bone, *(part.strip() for part in row.more.split(","))) if bone]


def show_detected_map(chosen: Any) -> MapReport:
    """Map the chosen armature, corrections of this skeleton included, and fill the list.

    Raises TypeError or ValueError for an armature that cannot be read.
    """
    rig = read_armature(chosen.armature)
    chosen.map_fingerprint = rig_fingerprint(rig)
    report = detect_map(rig)
    runtime.STATE.map_report = report
    known = _remembered(chosen.map_fingerprint)
    if known is None:
        fill_rows(chosen, report.skeleton_map, report)
        chosen.map_summary = ". ".join((report.summary(), *report.problems))
    else:
        fill_rows(chosen, known, None, REMEMBERED)
        chosen.map_summary = f"{known.label}, as corrected by hand: {len(known.joints)} joints mapped"
    return report


def fill_rows(chosen: Any, skeleton_map: SkeletonMap, report: MapReport | None, reason: str = BY_HAND) -> None:
    """Show a map in the list; confidence and reasons come from the report where there is one."""
    matches = {match.joint: match for match in report.matches} if report else {}
    with _filling():
        chosen.rows.clear()
        for joint in canonical_body().joint_names:
            bones = tuple(skeleton_map.joints.get(joint, ()))
            row = chosen.rows.add()
            row.name = joint
            row.bone, row.more = bones[0] if bones else "", ", ".join(bones[1:])
            match = matches.get(joint)
            row.confidence = match.confidence if match else float(bool(bones))
            row.reason = match.reason if match else (reason if bones else "")
    chosen.map_json = json.dumps(map_to_record(skeleton_map))
    chosen.map_label = skeleton_map.label


def map_row_edited(row: Any, context: Any) -> None:
    """A row was changed by hand: it is sure from now on, and the correction is kept for this skeleton."""
    if _Filling.active:
        return
    with _filling():
        row.confidence, row.reason = (1.0, BY_HAND) if row.bone else (0.0, "")
    remember_map(context.scene.marionet.retarget)


def remember_map(chosen: Any) -> None:
    """Keep the corrected map for every rig with the same skeleton; a read-only profile is said once and survived."""
    skeleton_map = chosen_map(chosen)
    if skeleton_map is None or not chosen.map_fingerprint:
        return
    chosen.map_summary = f"{skeleton_map.label}, as corrected by hand: {len(skeleton_map.joints)} joints mapped"
    try:
        write_map(skeleton_map, memory_path(chosen.map_fingerprint))
    except OSError as fault:
        runtime.STATE.fail(f"The correction holds in this file only; it could not be kept for later ({fault})")


def forget_map(fingerprint: str) -> bool:
    """Drop the corrections of a skeleton; whether there were any."""
    path = memory_path(fingerprint)
    found = path.is_file()
    path.unlink(missing_ok=True)
    return found


def memory_path(fingerprint: str) -> Path:
    """Where corrections of a skeleton are kept. Raises OSError in a read-only profile."""
    return user_dir("skeleton_maps") / f"{fingerprint}.json"


def _remembered(fingerprint: str) -> SkeletonMap | None:
    try:
        path = memory_path(fingerprint)
        return read_map(path) if path.is_file() else None
    except (MapFileError, OSError) as fault:
        logger.warning("The kept correction cannot be used: %s", fault)
        return None


def mirrored_name(joint: str) -> str:
    """The joint on the other side."""
    body = canonical_body()
    return body.joint_names[int(body.mirror[body.joint_index(joint)])]
