"""Which bones of a source really follow its motion: of a control rig those behind the controls. Its own room only.

A control rig's FK controls stand still while its IK controls lead, and the other way round. The bones that the controls
move, which deform the mesh, follow both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .auto_map import detect_map
from .limb_candidates import ancestors
from .map_files import family_map, rig_families
from .map_report import JointMatch, MapReport
from .posed_source import PosedSource
from .skeleton_map import SkeletonMap
from .split_bodies import only_bones
from .target_rig import TargetRig

_ORIGINAL = "ORG-"
_LIMBS = tuple(
    f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)


def following_bones(source: PosedSource, corrections: Mapping[str, tuple[str, ...]]) -> tuple[PosedSource, MapReport]:
    """The source with the bones to read, and their map."""
    report = detect_map(source.rig, corrections)
    if not _has_controls(report.skeleton_map) or corrections:
        return source, report
    behind = _rigify_bones(source.rig, report)
    if behind is not None:
        return source, behind
    deforming = tuple(int(bone) for bone in np.flatnonzero(source.rig.deform))
    if not deforming:
        return source, report
    rig = _linked(source.rig, deforming)
    found = detect_map(rig)
    if found.usable and all(joint in found.skeleton_map.joints for joint in _LIMBS):
        return source.only(deforming, rig), found
    return source, report


def _has_controls(skeleton_map: SkeletonMap) -> bool:
    return bool(skeleton_map.follows or skeleton_map.limbs or skeleton_map.switches)


def _rigify_bones(rig: TargetRig, report: MapReport) -> MapReport | None:
    """The map of Rigify's ORG bones, which carry the metarig's names; None where they are not all there."""
    family = next(family for family in rig_families() if family.family == "rigify_metarig")
    names = set(rig.bone_names)
    if not all(_ORIGINAL + bone in names for bone in family.required()):
        return None
    found = family_map(family, lambda name: _ORIGINAL + name if name and _ORIGINAL + name in names else None)
    # the neck's control is always in force; the bones behind it lean towards the head
    neck = {"neck": report.skeleton_map.joints["neck"]} if "neck" in report.skeleton_map.joints else {}
    found = replace(found, joints={**found.joints, **neck})
    matches = tuple(
        JointMatch(match.joint, found.joints.get(match.joint, ()), 0.98, "the bone behind Rigify's control")
        for match in report.matches
    )
    return replace(report, skeleton_map=replace(found, label="Rigify"), matches=matches, usable=True)


def _linked(rig: TargetRig, bones: tuple[int, ...]) -> TargetRig:
    """The rig with some bones alone, each below its nearest ancestor among them."""
    kept = set(bones)
    place = {bone: row for row, bone in enumerate(bones)}
    parents = []
    for bone in bones:
        above = next((other for other in ancestors(rig, bone)[1:] if other in kept), -1)
        parents.append(place[above] if above >= 0 else -1)
    return replace(only_bones(rig, bones), parents=np.array(parents, dtype=np.intp))
