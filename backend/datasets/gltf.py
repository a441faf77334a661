"""Animations of a binary glTF file (.glb) as source motions. numpy only; glTF 2.0 as the Khronos Group specifies it.

Node transforms and animated translations and rotations are read; meshes, scales and morph targets are not.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.datasets.motion import MocapError
from backend.datasets.source import SourceMotion
from backend.types import Array
from blender_addon.motion.rotations import quaternion_continuous, quaternion_slerp, quaternion_to_matrix

_MAGIC: Final = b"glTF"
_WIDTHS: Final = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_FLOAT: Final = 5126


@dataclass(frozen=True, slots=True)
class _File:
    record: dict[str, Any]
    payload: bytes

    def values(self, accessor: int) -> Array:
        """The values (N, C) of an accessor of floats."""
        entry = self.record["accessors"][accessor]
        view = self.record["bufferViews"][entry["bufferView"]]
        width = _WIDTHS[entry["type"]]
        if entry["componentType"] != _FLOAT or view.get("byteStride", 4 * width) != 4 * width:
            raise ValueError("only tightly packed floats are read")
        start = view.get("byteOffset", 0) + entry.get("byteOffset", 0)
        flat = np.frombuffer(self.payload, "<f4", entry["count"] * width, start)
        return np.asarray(flat.reshape(-1, width), np.float64)


def animation_names(path: Path) -> tuple[str, ...]:
    """Names of the animations of a .glb file. Raises MocapError for anything else."""
    return tuple(str(animation.get("name", "")) for animation in _open(path).record.get("animations", ()))


def read_gltf(path: Path, animation: str, rest: str | None = None, fps: float = 30.0) -> SourceMotion:
    """One animation, sampled at `fps`; the first frame of the animation `rest` is the rest pose, else the nodes' own.

    Raises MocapError for a file that cannot be read or has no such animation.
    """
    file = _open(path)
    try:
        nodes = _ordered(file.record["nodes"])
        turns, places = _sampled(file, nodes, animation, fps)
        first = _sampled(file, nodes, rest, fps) if rest else _still(file.record["nodes"], nodes)
        local = np.concatenate([first[0][:1], turns]), np.concatenate([first[1][:1], places])
        source = _world(file.record["nodes"], nodes, local, fps).rebased(0)
    except (KeyError, IndexError, ValueError) as fault:
        raise MocapError(f"{path}: the animation {animation!r} cannot be read ({fault})") from fault
    return SourceMotion(
        source.names,
        source.parents,
        source.rest_positions,
        source.tips,
        source.rotations[1:],
        source.positions[1:],
        fps,
    )


def _open(path: Path) -> _File:
    data = path.read_bytes()
    if data[:4] != _MAGIC:
        raise MocapError(f"{path} is not a binary glTF file", "Export the take as .glb or .bvh")
    try:
        (length,) = struct.unpack_from("<I", data, 12)
        return _File(json.loads(data[20 : 20 + length]), data[28 + length :])
    except (struct.error, ValueError) as fault:
        raise MocapError(f"{path} is damaged ({fault})") from fault


def _ordered(nodes: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Nodes with their parents' places in this list (-1 for roots), parents first."""
    children = {child for node in nodes for child in node.get("children", ())}
    order = [(node, -1) for node in range(len(nodes)) if node not in children]
    for place, (node, _) in enumerate(order):  # grows while it is read
        order += [(child, place) for child in nodes[node].get("children", ())]
    return order


def _still(nodes: list[dict[str, Any]], order: list[tuple[int, int]]) -> tuple[Array, Array]:
    """Local rotations (1, N, 4) xyzw and translations (1, N, 3) of the nodes themselves."""
    turns = [nodes[node].get("rotation", (0.0, 0.0, 0.0, 1.0)) for node, _ in order]
    places = [nodes[node].get("translation", (0.0, 0.0, 0.0)) for node, _ in order]
    return np.array([turns], np.float64), np.array([places], np.float64)


def _sampled(file: _File, order: list[tuple[int, int]], name: str, fps: float) -> tuple[Array, Array]:
    """Local rotations (T, N, 4) xyzw and translations (T, N, 3) of an animation."""
    entry = {one.get("name"): one for one in file.record["animations"]}[name]
    samplers = [(file.values(one["input"])[:, 0], file.values(one["output"])) for one in entry["samplers"]]
    end_s = max(times_s[-1] for times_s, _ in samplers)
    start_s = min(times_s[0] for times_s, _ in samplers)
    times_s = np.arange(start_s, end_s + 1e-6, 1.0 / fps)
    turns, places = (np.repeat(values, len(times_s), axis=0) for values in _still(file.record["nodes"], order))
    place_of = {node: place for place, (node, _) in enumerate(order)}
    for channel in entry["channels"]:
        own_s, values = samplers[channel["sampler"]]
        place, path = place_of[channel["target"]["node"]], channel["target"]["path"]
        if path == "rotation":
            turns[:, place] = _turned(own_s, values, times_s)
        elif path == "translation":
            places[:, place] = np.stack([np.interp(times_s, own_s, column) for column in values.T], axis=1)
    return turns, places


def _turned(own_s: Array, values: Array, times_s: Array) -> Array:
    if len(own_s) == 1:
        return np.repeat(values, len(times_s), axis=0)
    smooth = quaternion_continuous(values[:, None])[:, 0]
    before = np.clip(np.searchsorted(own_s, times_s, side="right") - 1, 0, len(own_s) - 2)
    share = np.clip((times_s - own_s[before]) / (own_s[before + 1] - own_s[before]), 0.0, 1.0)
    return np.asarray(quaternion_slerp(smooth[before], smooth[before + 1], share))


def _world(
    nodes: list[dict[str, Any]], order: list[tuple[int, int]], local: tuple[Array, Array], fps: float
) -> SourceMotion:
    turns, places = quaternion_to_matrix(local[0][..., [3, 0, 1, 2]]), local[1]
    rotations, positions = np.empty_like(turns), np.empty_like(places)
    for place, (_, parent) in enumerate(order):
        if parent < 0:
            rotations[:, place], positions[:, place] = turns[:, place], places[:, place]
            continue
        rotations[:, place] = rotations[:, parent] @ turns[:, place]
        positions[:, place] = positions[:, parent] + (rotations[:, parent] @ places[:, place, :, None])[..., 0]
    names = tuple(str(nodes[node].get("name", node)) for node, _ in order)
    parents: NDArray[np.intp] = np.array([parent for _, parent in order], np.intp)
    tips = np.full((len(order), 3), np.nan)
    return SourceMotion(names, parents, positions[0], tips, rotations, positions, fps)
