"""BVH reader: hierarchy and channels to world rotations and positions. numpy only.

Rotation channels apply in the order in which the file names them (first channel outermost), as in the
Biovision format and Blender's importer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from backend.datasets.motion import MocapError
from backend.datasets.source import SourceMotion, axis_rotation
from backend.types import Array


@dataclass(slots=True)
class _Hierarchy:
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)
    tips: list[list[float]] = field(default_factory=list)


def read_bvh(path: Path) -> SourceMotion:
    """Read a BVH file. Raises MocapError for a truncated or malformed one."""
    text = path.read_text(encoding="utf-8", errors="replace")
    head, _, tail = text.partition("MOTION")
    if "HIERARCHY" not in head or not tail:
        raise MocapError(f"{path} is not a BVH file: it lacks HIERARCHY or MOTION", "Export it again as BVH")
    try:
        hierarchy = _read_hierarchy(head.split())
        table, fps = _read_table(tail, sum(len(c) for c in hierarchy.channels))
    except (IndexError, ValueError) as fault:
        raise MocapError(f"{path} is damaged: {fault}", "Export it again as BVH") from fault
    if not np.isfinite(table).all():
        raise MocapError(f"{path} holds NaN or infinite channel values", "Clean the take and export it again")
    return _pose(hierarchy, table, fps)


def _read_hierarchy(words: list[str]) -> _Hierarchy:
    stack: list[int] = []
    out, at, in_tip = _Hierarchy(), 0, False
    while at < len(words):
        word = words[at]
        if word in ("ROOT", "JOINT"):
            out.names.append(words[at + 1])
            out.parents.append(stack[-1] if stack else -1)
            out.tips.append([np.nan] * 3)
            stack.append(len(out.names) - 1)
            at += 2
        elif word == "End":
            in_tip = True
            at += 2
        elif word == "OFFSET":
            value = [float(item) for item in words[at + 1 : at + 4]]
            if in_tip:
                out.tips[stack[-1]] = value
            else:
                out.offsets.append(value)
            at += 4
        elif word == "CHANNELS":
            count = int(words[at + 1])
            out.channels.append(words[at + 2 : at + 2 + count])
            at += 2 + count
        elif word == "}":
            if in_tip:
                in_tip = False
            else:
                stack.pop()
            at += 1
        else:
            at += 1
    if not (len(out.names) == len(out.offsets) == len(out.channels)) or not out.names:
        raise ValueError("a joint lacks its OFFSET or CHANNELS")
    return out


def _read_table(text: str, width: int) -> tuple[Array, float]:
    lines = text.strip().splitlines()
    frame_time = float(lines[1].split(":")[1])
    table = np.array(" ".join(lines[2:]).split(), dtype=np.float64)
    if frame_time <= 0 or width == 0 or table.size == 0 or table.size % width:
        raise ValueError(f"{table.size} motion values do not fill rows of {width}")
    return table.reshape(-1, width), 1.0 / frame_time


def _pose(hierarchy: _Hierarchy, table: Array, fps: float) -> SourceMotion:
    frames, column = len(table), 0
    rotations, positions, rest = [], [], []
    for joint, parent in enumerate(hierarchy.parents):
        offset = np.array(hierarchy.offsets[joint])
        local, moved = np.tile(np.eye(3), (frames, 1, 1)), np.tile(offset, (frames, 1))
        for channel in hierarchy.channels[joint]:
            value = table[:, column]
            column += 1
            if channel.lower().endswith("position"):
                moved[:, "xyz".index(channel[0].lower())] = value
            else:
                local = local @ axis_rotation(channel[0].lower(), value)
        if parent < 0:
            rotations.append(local)
            positions.append(moved)
            rest.append(offset)
        else:
            rotations.append(rotations[parent] @ local)
            positions.append(positions[parent] + np.einsum("tij,tj->ti", rotations[parent], moved))
            rest.append(rest[parent] + offset)
    rest_positions = np.array(rest)
    return SourceMotion(
        tuple(hierarchy.names),
        np.array(hierarchy.parents, dtype=np.intp),
        rest_positions,
        rest_positions + np.array(hierarchy.tips),
        np.stack(rotations, axis=1),
        np.stack(positions, axis=1),
        fps,
    )
