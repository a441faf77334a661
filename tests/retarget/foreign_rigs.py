"""Reads `foreign_rigs.txt`: skeletons of other tools as trees of names, laid over the canonical body. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blender_addon.motion.body import canonical_body
from blender_addon.retarget.map_files import share_spine
from blender_addon.retarget.target_rig import TargetRig
from tests.retarget.named_rigs import RigBuilder

TABLE = Path(__file__).with_name("foreign_rigs.txt")
LIMB_KINDS = ("clavicle", "shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "toe")


@dataclass(frozen=True)
class ForeignRig:
    """A skeleton and the truth: bones by joint, and bones that may stand in a joint's chain."""

    name: str
    rig: TargetRig
    truth: dict[str, tuple[str, ...]]
    allowed: dict[str, frozenset[str]]

    def complaints(self, joints: dict[str, tuple[str, ...]]) -> list[str]:
        """Where a map differs from the truth, joint by joint."""
        found = []
        for joint in sorted({*joints, *self.truth}):
            kept = tuple(bone for bone in joints.get(joint, ()) if bone not in self.allowed.get(joint, ()))
            if kept != self.truth.get(joint, ()):
                found.append(f"{joint}: {joints.get(joint, ())} instead of {self.truth.get(joint, ())}")
        return found


@dataclass
class Line:
    depth: int
    name: str
    kind: str  # "=", "~", "@" or "" without a place
    place: str


def foreign_rigs(text: str | None = None) -> dict[str, ForeignRig]:
    """All skeletons of the table by name."""
    sections = (TABLE.read_text(encoding="utf-8") if text is None else text).split("\n== ")[1:]
    rigs = [_rig(section) for section in sections]
    return {rig.name: rig for rig in rigs}


def _rig(section: str) -> ForeignRig:
    head, *rows = [row for row in section.splitlines() if row.strip() and not row.startswith("#")]
    name, left, right = (part.strip() for part in head.split("|"))
    lines = [_line(row) for row in rows]
    builder, truth, allowed, trunk = RigBuilder(), {}, {}, []

    def grow(place: int, parent: str | None, side: str) -> None:
        line = lines[place]
        for own_side in ("left", "right") if "{}" in line.name and not side else (side,):
            bone = line.name.replace("{}", {"left": left, "right": right, "": ""}[own_side])
            builder.add(bone, parent, _head(builder, line, parent, own_side))
            kind = line.place.split(" ")[0]
            joint = f"{own_side}_{kind}" if kind in LIMB_KINDS else kind
            if line.kind == "=" and joint == "trunk":
                trunk.append(bone)
            elif line.kind == "=":
                truth[joint] = (*truth.get(joint, ()), bone)
            elif line.kind == "~":
                allowed[joint] = allowed.get(joint, frozenset()) | {bone}
            for child in _children(lines, place):
                grow(child, bone, own_side)

    for root in (place for place, line in enumerate(lines) if line.depth == 0):
        grow(root, None, "")
    _spread_trunk(builder, trunk, truth.get("neck", ()))
    return ForeignRig(name, builder.build(name), truth | share_spine(tuple(trunk)), allowed)


def _line(row: str) -> Line:
    depth, text = (len(row) - len(row.lstrip())) // 2, row.strip()
    for kind in ("=", "~", "@"):
        name, found, place = text.partition(f" {kind} ")
        if found:
            return Line(depth, name.strip(), kind, place.strip())
    return Line(depth, text, "", "")


def _children(lines: list[Line], place: int) -> list[int]:
    found = []
    for other in range(place + 1, len(lines)):
        if lines[other].depth <= lines[place].depth:
            break
        if lines[other].depth == lines[place].depth + 1:
            found.append(other)
    return found


def _site(words: str, side: str) -> np.ndarray:
    body = canonical_body()
    places = dict(zip(body.joint_names, body.rest_positions_m(), strict=True))
    if words == "floor":
        return np.zeros(3)
    if words == "trunk":
        return places["spine"]
    return places.get(words, places.get(f"{side}_{words}", np.zeros(3)))


def _head(builder: RigBuilder, line: Line, parent: str | None, side: str) -> np.ndarray:
    """Where a bone's head stands; beside its parent and further along when the line does not say."""
    heads = {name: head for name, _, head in builder.bones}
    step = 0.003 * (len(builder.bones) % 7)
    if ">" in line.place:
        start, _, rest = line.place.partition(" > ")
        end, share = rest.split()
        return _site(start, side) + (_site(end, side) - _site(start, side)) * float(share)
    if line.place:
        place = _site(line.place, side)
    else:
        outwards = {"left": 0.025, "right": -0.025, "": 0.0}[side]
        return heads[parent] + np.array([outwards, -0.004, 0.02 if not side else 0.0])
    if line.kind == "@" and line.place == "hand":  # fingers lie side by side
        count = sum(1 for _, above, _ in builder.bones if above == parent)
        return place + np.array([0.0, 0.02 * (count - 1), 0.0])
    return place + (0.0 if line.kind == "=" else step) * np.array([0.0, 1.0, 0.0])


def _spread_trunk(builder: RigBuilder, trunk: list[str], neck: tuple[str, ...]) -> None:
    """Set spine and neck bones evenly between the body's own, so that every count of them makes a trunk."""
    low, high = _site("spine", ""), _site("upper_chest", "")
    bottom, top = _site("neck", ""), _site("head", "")
    heads = {bone: low + (high - low) * place / max(len(trunk) - 1, 1) for place, bone in enumerate(trunk)}
    heads |= {bone: bottom + (top - bottom) * place / len(neck) for place, bone in enumerate(neck)}
    builder.bones = [(name, parent, heads.get(name, head)) for name, parent, head in builder.bones]
