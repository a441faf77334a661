"""Readers of exported files that owe nothing to Blender's exporters: BVH as text, glTF with json and numpy."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mathutils import Matrix, Quaternion


@dataclass
class BvhJoint:
    name: str
    parent: int
    offset: list[float] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)


def read_bvh(path: Path) -> tuple[list[str], np.ndarray]:
    """Joint names and world positions (T, J, 3) in the file's axes."""
    head, _, motion = path.read_text(encoding="utf-8").partition("MOTION")
    joints = _bvh_joints(head)
    rows = [[float(word) for word in line.split()] for line in motion.strip().splitlines()[2:]]
    return [joint.name for joint in joints], np.array([_bvh_pose(joints, row) for row in rows])


def _bvh_joints(head: str) -> list[BvhJoint]:
    joints: list[BvhJoint] = []
    stack: list[BvhJoint] = []
    for words in map(str.split, head.splitlines()):
        if words[0] in ("ROOT", "JOINT"):
            opened = BvhJoint(words[1], joints.index(stack[-1]) if stack else -1)
            joints.append(opened)
        elif words[0] == "End":
            opened = BvhJoint("", -1)
        elif words[0] == "{":
            stack.append(opened)
        elif words[0] == "}":
            stack.pop()
        elif words[0] == "OFFSET":
            stack[-1].offset = [float(word) for word in words[1:]]
        elif words[0] == "CHANNELS":
            stack[-1].channels = words[2:]
    return joints


def _bvh_pose(joints: list[BvhJoint], row: list[float]) -> list[Any]:
    values = iter(row)
    matrices: list[Any] = []
    for joint in joints:
        place, turn = list(joint.offset), Matrix()
        for channel in joint.channels:
            value = next(values)
            if channel.endswith("position"):
                place["XYZ".index(channel[0])] = value
            else:
                turn = turn @ Matrix.Rotation(np.radians(value), 4, channel[0])
        local = Matrix.Translation(place) @ turn
        matrices.append(local if joint.parent < 0 else matrices[joint.parent] @ local)
    return [matrix.translation for matrix in matrices]


class Glb:
    """One .glb file: nodes and the first animation, sampled at its own key times."""

    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        length = struct.unpack("<I", raw[12:16])[0]
        self.document, self.blob = json.loads(raw[20 : 20 + length]), raw[20 + length + 8 :]
        self.nodes = self.document["nodes"]
        self.parent = {child: index for index, node in enumerate(self.nodes) for child in node.get("children", [])}
        animation = self.document["animations"][0]
        self.samples = {}
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            keys, values = self._array(sampler["input"])[:, 0], self._array(sampler["output"])
            self.samples[channel["target"]["node"], channel["target"]["path"]] = (keys, values)
        self.times = max((keys for keys, _ in self.samples.values()), key=len)

    def _array(self, index: int) -> np.ndarray:
        accessor = self.document["accessors"][index]
        view = self.document["bufferViews"][accessor["bufferView"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        count = accessor["count"] * width
        return np.frombuffer(self.blob, np.float32, count, start).reshape(accessor["count"], width)

    def _value(self, node: int, path: str, frame: int, rest: list[float]) -> Any:
        if (node, path) not in self.samples:
            return np.array(self.nodes[node].get(path, rest))
        keys, values = self.samples[node, path]
        return values[int(np.abs(keys - self.times[frame]).argmin())]

    def world(self, node: int, frame: int) -> Any:
        """A node's world matrix at a key."""
        turn = self._value(node, "rotation", frame, [0, 0, 0, 1])
        place = self._value(node, "translation", frame, [0, 0, 0])
        scale = self._value(node, "scale", frame, [1, 1, 1])
        local = Matrix.LocRotScale(place, Quaternion((turn[3], *turn[:3])), scale)
        return self.world(self.parent[node], frame) @ local if node in self.parent else local


def read_glb(path: Path) -> tuple[list[str], np.ndarray]:
    """Node names and world positions (T, N, 3) in the file's axes."""
    glb = Glb(path)
    frames, nodes = range(len(glb.times)), range(len(glb.nodes))
    positions = [[glb.world(node, frame).translation for node in nodes] for frame in frames]
    return [node.get("name", "") for node in glb.nodes], np.array(positions)
