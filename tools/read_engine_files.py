"""Animation files as they are written, for `check_engine_exports.py`: FBX by Blender's own parser, glTF, BVH as text.

Runs where Blender is (`bpy`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mathutils import Euler, Matrix, Quaternion
from numpy.typing import NDArray

Array = NDArray[np.floating]

CM = 100.0


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file as it is written: bones with their rest place in file units, what else stands in it.

    `unit_cm` is how many centimetres a unit is; `heads` (3,) by bone at rest in the file's world; `parents` by bone
    (None: no bone above); `holder` is the node that holds the skeleton, "" without one; `scales` (3,) of the nodes
    that hold or are bones. Without `at_rest` the places are those of some frame: an FBX without a mesh has no other.
    `creator` is the program that an FBX names, `holder_on_top` whether the holder hangs from nothing.
    """

    unit_cm: float
    heads: dict[str, Array]
    parents: dict[str, str | None]
    holder: str
    scales: dict[str, Array]
    up_axis: int = 1
    at_rest: bool = True
    creator: str = ""
    holder_on_top: bool = True


def read_fbx(path: Path) -> RawFile:
    """A binary FBX with the parser that comes with Blender."""
    from io_scene_fbx import parse_fbx

    root, _ = parse_fbx.parse(str(path))
    parts = {element.id: element for element in root.elems}
    settings = _properties(parts[b"GlobalSettings"])
    models = {one.props[0]: one for one in parts[b"Objects"].elems if one.id == b"Model"}
    links = [one.props for one in parts[b"Connections"].elems]
    above = {link[1]: link[2] for link in links if link[1] in models and link[2] in models}
    names = {uid: one.props[1].split(b"\x00")[0].decode() for uid, one in models.items()}
    world: dict[int, Any] = {}

    def matrix(uid: int) -> Any:
        if uid not in world:
            parent = above.get(uid)
            own = _fbx_matrix(_properties(models[uid]))
            world[uid] = matrix(parent) @ own if parent in models else own
        return world[uid]

    bones = [uid for uid, one in models.items() if one.props[2] == b"LimbNode"]
    parents = {names[uid]: names.get(above.get(uid)) if above.get(uid) in bones else None for uid in bones}
    holders = {above.get(uid) for uid in bones} - set(bones)
    holder = next((names[uid] for uid in holders if uid in models), "")
    scales = {
        names[uid]: _scale(_properties(models[uid])) for uid in [*bones, *(uid for uid in holders if uid in models)]
    }
    bound = _bind_pose(parts[b"Objects"])
    heads = {names[uid]: bound[uid] if uid in bound else np.array(matrix(uid).translation) for uid in bones}
    up, unit_cm = int(settings["UpAxis"][0]), float(settings["UnitScaleFactor"][0])
    on_top = not any(uid in above for uid in holders)
    return RawFile(unit_cm, heads, parents, holder, scales, up, bool(bound), _creator(parts), on_top)


def _creator(parts: dict[bytes, Any]) -> str:
    """The program that wrote the file, as its header says."""
    header = parts[b"FBXHeaderExtension"].elems
    return next((one.props[0].decode() for one in header if one.id == b"Creator"), "")


def _bind_pose(objects: Any) -> dict[int, Array]:
    """Places (3,) of the bind pose's nodes in the file's world; the nodes themselves stand in some frame's pose."""
    nodes = [node for pose in objects.elems if pose.id == b"Pose" for node in pose.elems if node.id == b"PoseNode"]
    found = {}
    for node in nodes:
        parts = {one.id: one.props[0] for one in node.elems}
        found[parts[b"Node"]] = np.array(parts[b"Matrix"]).reshape(4, 4)[3, :3]
    return found


def _properties(element: Any) -> dict[str, list[Any]]:
    block = next((one for one in element.elems if one.id == b"Properties70"), None)
    return {one.props[0].decode(): list(one.props[4:]) for one in block.elems} if block is not None else {}


def _scale(properties: dict[str, list[Any]]) -> Array:
    return np.array(properties.get("Lcl Scaling", (1.0, 1.0, 1.0)))


def _fbx_matrix(properties: dict[str, list[Any]]) -> Any:
    turn = Euler(np.radians(properties.get("Lcl Rotation", (0.0, 0.0, 0.0))).tolist(), "XYZ")
    return Matrix.LocRotScale(properties.get("Lcl Translation", (0.0, 0.0, 0.0)), turn, _scale(properties).tolist())


def read_glb(path: Path) -> RawFile:
    """A .glb file: its JSON chunk; the unit of glTF is the metre. A skin's joints are the bones."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + length])
    nodes = document["nodes"]
    above = {child: place for place, node in enumerate(nodes) for child in node.get("children", ())}
    joints = list(dict.fromkeys(joint for skin in document["skins"] for joint in skin["joints"]))

    def matrix(place: int) -> Any:
        node = nodes[place]
        x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
        own = Matrix.LocRotScale(
            node.get("translation", (0, 0, 0)), Quaternion((w, x, y, z)), node.get("scale", (1, 1, 1))
        )
        return matrix(above[place]) @ own if place in above else own

    parents = {nodes[j]["name"]: nodes[above[j]]["name"] if above.get(j) in joints else None for j in joints}
    holders = [above[j] for j in joints if j in above and above[j] not in joints]
    scales = {nodes[j]["name"]: np.array(nodes[j].get("scale", (1.0, 1.0, 1.0))) for j in [*joints, *holders]}
    heads = {nodes[j]["name"]: np.array(matrix(j).translation) for j in joints}
    return RawFile(CM, heads, parents, nodes[holders[0]]["name"] if holders else "", scales)


def read_bvh(path: Path) -> RawFile:
    """The hierarchy of a BVH file, taken to be in metres, as it was exported."""
    heads: dict[str, Array] = {}
    parents: dict[str, str | None] = {}
    stack: list[str] = []
    for words in map(str.split, path.read_text(encoding="utf-8").partition("MOTION")[0].splitlines()):
        if words[0] in ("ROOT", "JOINT", "End"):
            opened = words[1] if words[0] != "End" else ""
        elif words[0] == "{":
            stack.append(opened)
        elif words[0] == "}":
            stack.pop()
        elif words[0] == "OFFSET" and stack[-1]:
            above = stack[-2] if len(stack) > 1 else None
            offset = np.array([float(word) for word in words[1:]])
            parents[stack[-1]] = above
            heads[stack[-1]] = offset + (heads[above] if above else 0.0)
    return RawFile(CM, heads, parents, "", {})


READERS: dict[str, Callable[[Path], RawFile]] = {".fbx": read_fbx, ".glb": read_glb, ".bvh": read_bvh}
