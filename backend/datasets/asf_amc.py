"""Acclaim ASF skeletons and AMC motion (CMU, HDM05) to world rotations and positions. numpy only.

A bone's rotation is C M C^-1 in its parent's turned frame, C the bone's axis, M the AMC angles in the order of
its degrees of freedom. A joint stands at the head of its bone and bears the bone's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.datasets.motion import MocapError
from backend.datasets.source import SourceMotion, axis_rotation
from backend.types import Array


@dataclass(frozen=True, slots=True)
class _Bone:
    name: str
    tail: Array
    axis: Array
    freedoms: tuple[str, ...]


def read_asf_amc(asf_path: Path, amc_path: Path, fps: float = 120.0) -> SourceMotion:
    """Read a take. AMC stores no rate: `fps` is the recording's. Raises MocapError for damaged files."""
    try:
        bones, parents = _read_asf(asf_path)
        values = _read_amc(amc_path)
        return _pose(bones, parents, values, fps)
    except (IndexError, KeyError, ValueError) as fault:
        raise MocapError(
            f"{amc_path} with {asf_path.name} cannot be read: {fault!r}", "Check that both belong together"
        ) from fault


def _read_asf(path: Path) -> tuple[list[_Bone], dict[str, str]]:
    lines = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    bones, parents = [_Bone("root", np.zeros(3), np.eye(3), ())], {}
    section, entry = "", dict[str, list[str]]()
    for words in lines:
        if not words:
            continue
        if words[0].startswith(":"):
            section = words[0]
        elif section == ":bonedata" and words[0] == "begin":
            entry = {}
        elif section == ":bonedata" and words[0] == "end":
            bones.append(_bone(entry))
        elif section == ":bonedata":
            entry.setdefault(words[0], words[1:])
        elif section == ":hierarchy" and words[0] not in ("begin", "end"):
            parents.update(dict.fromkeys(words[1:], words[0]))
    if len(bones) < 2:
        raise ValueError(f"{path.name} contains no bones")
    return bones, parents


def _bone(entry: dict[str, list[str]]) -> _Bone:
    direction = np.array(entry["direction"], dtype=np.float64)
    angles = np.array(entry["axis"][:3], dtype=np.float64)
    axis = axis_rotation("z", angles[2]) @ axis_rotation("y", angles[1]) @ axis_rotation("x", angles[0])
    return _Bone(entry["name"][0], direction * float(entry["length"][0]), axis, tuple(entry.get("dof", ())))


def _read_amc(path: Path) -> dict[str, Array]:
    frames: list[dict[str, list[float]]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if len(words) == 1 and words[0].isdigit():
            frames.append({})
        elif frames and len(words) > 1:
            frames[-1][words[0]] = [float(word) for word in words[1:]]
    while frames and frames[-1].keys() != frames[0].keys():  # a file cut in its last frame
        frames.pop()
    if not frames:
        raise ValueError("no frames")
    return {name: np.array([frame[name] for frame in frames]) for name in frames[0]}


def _pose(bones: list[_Bone], parents: dict[str, str], values: dict[str, Array], fps: float) -> SourceMotion:
    by_name = {bone.name: bone for bone in bones}
    order = ["root"]
    for name in order:  # grows while it is walked: parents before children
        order += [child for child, parent in parents.items() if parent == name and child in by_name]
    root = values["root"]
    turn = {"root": axis_rotation("z", root[:, 5]) @ axis_rotation("y", root[:, 4]) @ axis_rotation("x", root[:, 3])}
    head, rest, tail, rest_tail = (
        {"root": root[:, :3]},
        {"root": np.zeros(3)},
        {"root": root[:, :3]},
        {"root": np.zeros(3)},
    )
    for name in order[1:]:
        bone, parent = by_name[name], parents[name]
        local = np.tile(np.eye(3), (len(root), 1, 1))
        for column, freedom in enumerate(bone.freedoms):
            if freedom.startswith("r") and name in values:
                local = axis_rotation(freedom[1], values[name][:, column]) @ local
        turn[name] = turn[parent] @ bone.axis @ local @ bone.axis.T
        head[name], rest[name] = tail[parent], rest_tail[parent]
        tail[name] = head[name] + np.einsum("tij,j->ti", turn[name], bone.tail)
        rest_tail[name] = rest[name] + bone.tail
    childless = [name not in parents.values() for name in order]
    return SourceMotion(
        tuple(order),
        np.array([-1] + [order.index(parents[name]) for name in order[1:]], dtype=np.intp),
        np.array([rest[name] for name in order]),
        np.array([rest_tail[name] if alone else [np.nan] * 3 for name, alone in zip(order, childless, strict=True)]),
        np.stack([turn[name] for name in order], axis=1),
        np.stack([head[name] for name in order], axis=1),
        fps,
    )
