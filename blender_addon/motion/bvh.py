"""BVH reader: hierarchy and channels to world rotations and positions. May import numpy and its own room only.

Rotation channels apply in the order in which the file names them (first channel outermost), as in the
Biovision format and Blender's importer.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .motion_file_error import MotionFileError
from .moving_skeleton import MovingSkeleton, axis_rotation

Array = NDArray[np.floating]

_HIERARCHY: Final = re.compile(r"^\s*HIERARCHY\b", re.MULTILINE)
_MOTION: Final = re.compile(r"^[ \t]*MOTION[ \t]*$", re.MULTILINE)
_BRACE: Final = re.compile(r"[{}]")
_CHANNEL: Final = re.compile(r"[xyz](position|rotation)", re.IGNORECASE)
_FRAMES: Final = re.compile(r"^\s*Frames\s*:\s*(\d+)", re.MULTILINE | re.IGNORECASE)
_FRAME_TIME: Final = re.compile(r"^\s*Frame\s*Time\s*:\s*(\S+)", re.MULTILINE | re.IGNORECASE)
_SHORTEST_S, _LONGEST_S = 1e-4, 10.0


@dataclass(slots=True)
class _Hierarchy:
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)
    tips: list[list[float]] = field(default_factory=list)


def read_bvh(path: Path) -> MovingSkeleton:
    """Read a BVH file. Raises MotionFileError for a truncated or malformed one.

    Keywords count at the beginning of a line only, so joints may be called like them, and names may hold spaces.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as fault:
        raise MotionFileError(f"{path} cannot be read ({fault.strerror})", "Check its permissions") from fault
    begun, motion = _HIERARCHY.search(text), _MOTION.search(text)
    if begun is None or motion is None or motion.start() < begun.end():
        raise MotionFileError(f"{path} is not a BVH file: it lacks HIERARCHY or MOTION", "Export it again as BVH")
    try:
        hierarchy = _read_hierarchy(text[begun.end() : motion.start()])
        table, fps = _read_table(text[motion.end() :], sum(len(c) for c in hierarchy.channels))
    except (IndexError, ValueError) as fault:
        raise MotionFileError(f"{path} is damaged: {fault}", "Export it again as BVH") from fault
    if not np.isfinite(table).all():
        raise MotionFileError(f"{path} holds NaN or infinite channel values", "Clean the take and export it again")
    return _pose(hierarchy, table, fps)


def _read_hierarchy(text: str) -> _Hierarchy:
    out = _Hierarchy()
    stack: list[int] = []
    in_tip = False
    lines = deque(_BRACE.sub(r"\n\g<0>\n", text).splitlines())
    while lines:
        word, rest = [*lines.popleft().split(maxsplit=1), "", ""][:2]
        if word in ("ROOT", "JOINT"):
            out.names.append(_name(rest))
            out.parents.append(stack[-1] if stack else -1)
            out.tips.append([np.nan] * 3)
            stack.append(len(out.names) - 1)
        elif word == "End":
            in_tip = True
        elif word == "OFFSET":
            numbers, more = _split(rest, 3)
            value = [float(item) for item in numbers]
            if in_tip:
                out.tips[stack[-1]] = value
            else:
                out.offsets.append(value)
            lines.appendleft(more)
        elif word == "CHANNELS":
            (count,), more = _split(rest, 1)
            channels, more = _split(more, int(count))
            out.channels.append(_checked(channels))
            lines.appendleft(more)
        elif word == "}":
            if in_tip:
                in_tip = False
            else:
                stack.pop()
    if stack or not (len(out.names) == len(out.offsets) == len(out.channels)) or not out.names:
        raise ValueError("a joint lacks its OFFSET, CHANNELS or closing brace")
    return out


def _name(text: str) -> str:
    if not text.strip():
        raise ValueError("a joint has no name")
    return text.strip()


def _split(text: str, count: int) -> tuple[list[str], str]:
    """The first `count` words, and the rest of the line."""
    words = text.split(maxsplit=count)
    if len(words) < count:
        raise ValueError(f"{text.strip()!r} should have {count} values")
    return words[:count], words[count] if len(words) > count else ""


def _checked(channels: list[str]) -> list[str]:
    for channel in channels:
        if not _CHANNEL.fullmatch(channel):
            raise ValueError(f"{channel!r} is not a channel")
    return channels


def _read_table(text: str, width: int) -> tuple[Array, float]:
    stated, step = _FRAMES.search(text), _FRAME_TIME.search(text)
    if stated is None or step is None:
        raise ValueError("it lacks Frames or Frame Time")
    frame_time = float(step[1])
    if not _SHORTEST_S <= frame_time <= _LONGEST_S:
        raise ValueError(f"its Frame Time is {step[1]}; it must be between {_SHORTEST_S} and {_LONGEST_S} s")
    table = np.array(text[step.end() :].split(), dtype=np.float64)
    if width == 0 or table.size == 0 or table.size % width:
        raise ValueError(f"{table.size} motion values do not fill rows of {width}")
    rows, frames = table.reshape(-1, width), int(stated[1])
    # some exporters count the rest pose and do not write it, or the other way about
    if len(rows) < frames - 1:
        raise ValueError(f"it says {frames} frames and holds {len(rows)}: it is cut off")
    return rows, 1.0 / frame_time


def _pose(hierarchy: _Hierarchy, table: Array, fps: float) -> MovingSkeleton:
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
    return MovingSkeleton(
        tuple(hierarchy.names),
        np.array(hierarchy.parents, dtype=np.intp),
        rest_positions,
        rest_positions + np.array(hierarchy.tips),
        np.stack(rotations, axis=1),
        np.stack(positions, axis=1),
        np.arange(frames) / fps,
    )
