"""A BVH file turned into other axes: offsets, positions and rotations. Text in, text out; numpy only, free of bpy.

Blender writes BVH in the armature's own space; nearly every reader takes Y for up. A vector v becomes M v and a
rotation R becomes Q R Q^-1, Q being M without its scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

# Blender's world (Z up, looking along -Y) to Y up, looking along +Z
Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
_EVEN = {(0, 1, 2), (1, 2, 0), (2, 0, 1)}


@dataclass(frozen=True, slots=True)
class _Joint:
    """A joint's channels: first column of its positions (-1: none), of its rotations, and the rotations' axes."""

    positions: int
    rotations: int
    order: tuple[int, int, int]
    is_root: bool


def turned_bvh(text: str, matrix: Array) -> str:
    """The file in the axes that `matrix` (4, 4) leads to; its scale is taken as even. Raises ValueError for no BVH."""
    linear = np.asarray(matrix, dtype=np.float64)[:3, :3]
    left, singular, right = np.linalg.svd(linear)
    turn, scale = left @ right, float(np.cbrt(np.prod(singular)))
    head, found, motion = text.partition("MOTION")
    if not found:
        raise ValueError("the file has no MOTION")
    place = np.asarray(matrix, dtype=np.float64)[:3, 3]
    lines, joints = _turned_hierarchy(head, scale * turn, place)
    count, interval, *rows = motion.strip().splitlines()
    values = np.array([[float(word) for word in row.split()] for row in rows], dtype=np.float64)
    for joint in joints:
        if joint.positions >= 0:
            columns = slice(joint.positions, joint.positions + 3)
            values[:, columns] = values[:, columns] @ (scale * turn).T + (place if joint.is_root else 0.0)
        columns = slice(joint.rotations, joint.rotations + 3)
        matrices = turn @ _matrices(values[:, columns], joint.order) @ turn.T
        values[:, columns] = _angles_deg(matrices, joint.order)
    data = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in values)
    return f"{lines}MOTION\n{count}\n{interval}\n{data}\n"


def _turned_hierarchy(head: str, linear: Array, place: Array) -> tuple[str, list[_Joint]]:
    lines, joints, column, is_root = [], [], 0, False
    for row in head.splitlines():
        line, words = row, row.split()
        if words[:1] == ["ROOT"]:
            is_root = True
        if words[:1] == ["OFFSET"]:
            offset = linear @ np.array([float(word) for word in words[1:4]]) + (place if is_root else 0.0)
            line = row[: len(row) - len(row.lstrip())] + "OFFSET " + " ".join(f"{part:.6f}" for part in offset)
        if words[:1] == ["CHANNELS"]:
            names = words[2:]
            turns = [index for index, name in enumerate(names) if name.endswith("rotation")]
            first = next((index for index, name in enumerate(names) if name.endswith("position")), -1)
            order = tuple("XYZ".index(names[index][0]) for index in turns)
            joints.append(_Joint(column + first if first >= 0 else -1, column + turns[0], order, is_root))  # type: ignore[arg-type]
            column, is_root = column + len(names), False
        lines.append(line)
    return "\n".join(lines) + "\n", joints


def _matrices(angles_deg: Array, order: tuple[int, int, int]) -> Array:
    """Rotation matrices (T, 3, 3) of angles (T, 3) about the axes in turn, each in the frame of those before it."""
    out = np.broadcast_to(np.eye(3), (len(angles_deg), 3, 3))
    for angle, axis in zip(np.radians(angles_deg).T, order, strict=True):
        b, c = (axis + 1) % 3, (axis + 2) % 3
        one = np.zeros((len(angle), 3, 3))
        one[:, axis, axis] = 1.0
        one[:, b, b] = one[:, c, c] = np.cos(angle)
        one[:, b, c], one[:, c, b] = -np.sin(angle), np.sin(angle)
        out = out @ one
    return out


def _angles_deg(matrices: Array, order: tuple[int, int, int]) -> Array:
    """The angles (T, 3) that `_matrices` takes, continuous over time."""
    i, j, k = order
    sign = 1.0 if order in _EVEN else -1.0
    middle = np.arcsin(np.clip(sign * matrices[:, i, k], -1.0, 1.0))
    first = np.arctan2(-sign * matrices[:, j, k], matrices[:, k, k])
    last = np.arctan2(-sign * matrices[:, i, j], matrices[:, i, i])
    return np.degrees(np.stack([np.unwrap(first), middle, np.unwrap(last)], axis=-1))
