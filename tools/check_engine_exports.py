"""Export a baked character for every engine and hold the files against what the engine documents.

    .venv-bpy-4.5/bin/python tools/check_engine_exports.py [--rig character.blend] [--output out/engines]

Each file is read twice: raw (FBX with Blender's own parser, glTF as JSON, BVH as text) for axes, units, the root's
name, bone names and bones that deform nothing; and by Blender's importer, for the motion itself. Conventions:
Unreal (FBX Content Pipeline; FBX Import Options): centimetres; one root bone; an armature object called Armature is
skipped, any other becomes the root bone. Unity (Model import; ModelImporter.useFileUnits): Y up, +Z forward, metres,
objects without scale. Godot (Importing 3D scenes; Skeleton3D): glTF 2.0, Y up, +Z front, metres; ':' and '/' in bone
names are replaced. BVH: Y up. The engines themselves are not run. Exit code 1 with a list of what does not hold.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY_ROOT))

import bpy  # noqa: E402
import numpy as np  # noqa: E402
from mathutils import Euler, Matrix, Quaternion  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from blender_addon.motion.clip import read_clip  # noqa: E402
from blender_addon.motion.export_formats import Engine  # noqa: E402
from blender_addon.retarget.baked_pose import RetargetOptions, RootMode  # noqa: E402
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip, detected_map  # noqa: E402
from blender_addon.rig.export_action import ExportOptions, action_range, export_action, skinned_meshes  # noqa: E402
from blender_addon.rig.read_armature import read_armature  # noqa: E402

Array = NDArray[np.floating]

CHARACTER = REPOSITORY_ROOT / "assets" / "demo_character.blend"
CLIP = REPOSITORY_ROOT / "assets" / "sample_clip.npz"
FRONT, UP = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])
_CM = 100.0
# how well axes and height have to agree where the bones stand at rest, and where they stand in some frame
_ALONG = {True: 0.999, False: 0.7}
_TALL = {True: 0.02, False: 0.3}


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file as it is written: bones with their rest place in file units, what else stands in it.

    `unit_cm` is how many centimetres a unit is; `heads` (3,) by bone at rest in the file's world; `parents` by bone
    (None: no bone above); `holder` is the node that holds the skeleton, "" without one; `scales` (3,) of the nodes
    that hold or are bones. Without `at_rest` the places are those of some frame: an FBX without a mesh has no other.
    """

    unit_cm: float
    heads: dict[str, Array]
    parents: dict[str, str | None]
    holder: str
    scales: dict[str, Array]
    up_axis: int = 1
    at_rest: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the file has to hold: world places (N, 3) in m of the bones `names` at rest, the skeleton's height in m, the
    bones that deform, the root bone's name, world positions (T, N, 3) of `names` in m in Blender's axes, and the box
    (3, 2, 3) around the skin in three of the frames.
    """

    rest_m: Array
    height_m: float
    deform: frozenset[str]
    root_bone: str
    names: tuple[str, ...]
    heads_m: Array
    skin_m: Array


@dataclass(slots=True)
class Account:
    """What was found: sentences that hold and those that do not."""

    good: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)

    def hold(self, condition: bool, sentence: str) -> None:
        """Note whether a sentence holds."""
        (self.good if condition else self.bad).append(sentence)


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
    return RawFile(
        float(settings["UnitScaleFactor"][0]), heads, parents, holder, scales, int(settings["UpAxis"][0]), bool(bound)
    )


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
    return RawFile(_CM, heads, parents, nodes[holders[0]]["name"] if holders else "", scales)


def read_bvh(path: Path) -> RawFile:
    """The hierarchy of a BVH file, taken to be in metres, as it was exported."""
    heads: dict[str, np.ndarray] = {}
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
    return RawFile(_CM, heads, parents, "", {})


READERS: dict[str, Callable[[Path], RawFile]] = {".fbx": read_fbx, ".glb": read_glb, ".bvh": read_bvh}


def check_file(path: Path, engine: Engine, wanted: Wanted) -> Account:
    """Hold one file against the conventions of an engine (NONE: those of BVH)."""
    raw, account = READERS[path.suffix](path), Account()
    _check_axes(raw, wanted, account)
    _check_units(raw, engine, wanted, account)
    _check_root(raw, engine, wanted, account)
    _check_bones(raw, engine, wanted, account, only_deform=path.suffix != ".bvh")
    return account


def _check_axes(raw: RawFile, wanted: Wanted, account: Account) -> None:
    """Which way Blender's up and front (-Y) point in the file, by the places of the bones at rest."""
    account.hold(raw.up_axis == 1, "the file says Y up")
    rows = [row for row, name in enumerate(wanted.names) if name in raw.heads]
    before, after = wanted.rest_m[rows], np.array([raw.heads[wanted.names[row]] for row in rows])
    fit = np.linalg.lstsq(before - before.mean(axis=0), after - after.mean(axis=0), rcond=None)[0].T
    axes = fit / np.linalg.norm(fit, axis=0)
    account.hold(float(axes[:, 2] @ UP) > _ALONG[raw.at_rest], "Blender's up is Y")
    account.hold(float(-axes[:, 1] @ FRONT) > _ALONG[raw.at_rest], "Blender's front is +Z")
    account.hold(bool(np.linalg.det(axes) > 0.0), "left is left: the axes are right-handed")


def _check_units(raw: RawFile, engine: Engine, wanted: Wanted, account: Account) -> None:
    places = np.array([raw.heads[name] for name in wanted.names if name in raw.heads])
    height_cm = float(np.ptp(places[:, 1])) * raw.unit_cm
    near = abs(height_cm / _CM - wanted.height_m) < _TALL[raw.at_rest] * wanted.height_m
    account.hold(
        near, f"the skeleton is {wanted.height_m:.2f} m tall with the file's unit (found {height_cm / _CM:.2f} m)"
    )
    if engine is Engine.UNREAL:
        account.hold(abs(raw.unit_cm - 1.0) < 1e-6, "the file's unit is the centimetre")
    if engine in (Engine.UNITY, Engine.UNREAL):
        uneven = [name for name, scale in raw.scales.items() if np.abs(scale - 1.0).max() > 1e-3]
        account.hold(not uneven, f"no object and no bone is scaled ({', '.join(uneven[:3]) or 'none is'})")
    if engine is Engine.UNITY:
        account.hold(abs(raw.unit_cm - _CM) < 1e-4, "the file's unit is the metre, so that the importer's scale is 1")


def _check_root(raw: RawFile, engine: Engine, wanted: Wanted, account: Account) -> None:
    tops = [name for name, parent in raw.parents.items() if parent is None]
    account.hold(len(tops) == 1, f"one bone is the root ({', '.join(tops)})")
    if wanted.root_bone:
        account.hold(tops == [wanted.root_bone], f"the root bone is {wanted.root_bone}")
    if engine is Engine.UNREAL:
        name = "Armature" if wanted.root_bone else "root"
        account.hold(raw.holder == name, f"the armature object is called {name} (found {raw.holder or 'none'})")


def _check_bones(raw: RawFile, engine: Engine, wanted: Wanted, account: Account, only_deform: bool) -> None:
    names = set(raw.heads)
    leaves = sorted(name for name in names - set(wanted.names) if name.endswith("_end"))
    account.hold(not leaves, "no end bones were added")
    account.hold(wanted.deform <= names, f"every deforming bone is there under its name ({len(wanted.deform)})")
    if only_deform and engine is not Engine.NONE:
        others = sorted(names - wanted.deform - _ancestors(raw, wanted.deform))
        account.hold(not others, f"no bone is there that deforms nothing ({', '.join(others[:3]) or 'none is'})")
    account.hold(len({name.casefold() for name in names}) == len(names), "no two bones differ in capitals alone")


def _ancestors(raw: RawFile, names: frozenset[str]) -> set[str]:
    """Bones above others: a skeleton hangs together by them."""
    found: set[str] = set()
    for name in names:
        above = raw.parents.get(name)
        while above is not None:
            found.add(above)
            above = raw.parents.get(above)
    return found


def check_motion(path: Path, wanted: Wanted) -> Account:
    """Read a file with Blender's importer and compare every bone's way through the world."""
    account, there = Account(), set(bpy.data.objects)
    if path.suffix == ".fbx":
        bpy.ops.import_scene.fbx(filepath=str(path), anim_offset=0.0)
    elif path.suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=str(path))
    else:
        bpy.ops.import_anim.bvh(filepath=str(path), update_scene_fps=False)
    made = [thing for thing in bpy.data.objects if thing not in there]
    back = next(thing for thing in made if thing.type == "ARMATURE")
    names = [name for name in wanted.names if name in back.pose.bones]
    found, columns = world_heads(back, names, len(wanted.heads_m)), [wanted.names.index(name) for name in names]
    away = float(np.abs(found - wanted.heads_m[:, columns]).max())
    skins = [thing for thing in made if thing.type == "MESH" and thing.modifiers]
    if path.suffix != ".bvh" and len(wanted.skin_m):
        account.hold(bool(skins), "the skinned meshes are there")
    if skins and len(wanted.skin_m):
        off = float(np.abs(skin_boxes(skins, len(wanted.heads_m)) - wanted.skin_m).max())
        account.hold(off < 5e-3, f"read back in Blender, the skin moves as it did (to {1000 * off:.1f} mm)")
    account.hold(away < 3e-3, f"read back in Blender, {len(names)} bones move as they did (to {1000 * away:.1f} mm)")
    for thing in made:
        bpy.data.objects.remove(thing)
    return account


def skin_boxes(meshes: list[Any], frames: int) -> Array:
    """The box (3, 2, 3) around skinned meshes in the world in the first, the middle and the last frame."""
    boxes = []
    for frame in (1, frames // 2, frames):
        bpy.context.scene.frame_set(frame)
        graph = bpy.context.evaluated_depsgraph_get()
        clouds = []
        for mesh in meshes:
            shown = mesh.evaluated_get(graph)
            places = np.empty(3 * len(shown.data.vertices), np.float32)
            shown.data.vertices.foreach_get("co", places)
            matrix = np.array(shown.matrix_world)
            clouds.append(places.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
        cloud = np.concatenate(clouds)
        boxes.append([cloud.min(axis=0), cloud.max(axis=0)])
    return np.array(boxes)


def world_heads(armature: Any, names: list[str] | tuple[str, ...], frames: int) -> Array:
    """World positions (T, N, 3) of bones' heads from frame 1 on."""
    rows = []
    for frame in range(1, frames + 1):
        bpy.context.scene.frame_set(frame)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        rows.append([posed.matrix_world @ posed.pose.bones[name].head for name in names])
    return np.array(rows)


def load_character(path: Path, with_root: bool) -> Any:
    """The armature of a .blend, in an empty file; `with_root` gives it a root bone on the floor."""
    bpy.ops.wm.open_mainfile(filepath=str(path))
    armature = max((one for one in bpy.data.objects if one.type == "ARMATURE"), key=lambda one: len(one.data.bones))
    if with_root:
        bpy.context.view_layer.objects.active = armature
        bpy.ops.object.mode_set(mode="EDIT")
        bones = armature.data.edit_bones
        root = bones.new("root")
        root.head, root.tail = (0.0, 0.0, 0.0), (0.0, 0.3, 0.0)
        for bone in bones:
            if bone.parent is None and bone != root:
                bone.parent = root
        bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def prepared(armature: Any) -> Wanted:
    """The sample clip baked onto a character, and what its files have to hold."""
    skeleton_map = detected_map(read_armature(armature))
    root = RootMode.ROOT_BONE if skeleton_map.root_bone else RootMode.HIPS
    apply_clip(armature, read_clip(CLIP), ApplyOptions(retarget=RetargetOptions(root=root)))
    deform = frozenset(bone.name for bone in armature.data.bones if bone.use_deform)
    names = tuple(sorted(deform))
    rest = np.array([armature.matrix_world @ armature.data.bones[name].head_local for name in names])
    tops = [bone.name for bone in armature.data.bones if bone.parent is None and bone.use_deform]
    root_bone = tops[0] if tops == [skeleton_map.root_bone] else ""
    frames = action_range(armature)[1]
    heads = world_heads(armature, names, frames)
    meshes = skinned_meshes(armature)
    skin = skin_boxes(meshes, frames) if meshes else np.zeros((0, 2, 3))
    return Wanted(rest, float(np.ptp(rest[:, 2])), deform, root_bone, names, heads, skin)


TARGETS = (
    (Engine.UNREAL, ".fbx"), (Engine.UNITY, ".fbx"), (Engine.GODOT, ".glb"), (Engine.GODOT, ".fbx"),
    (Engine.NONE, ".bvh"),
)  # fmt: skip


def check_character(armature: Any, folder: Path, label: str) -> dict[str, Account]:
    """Export a character for every engine; what was found by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted, found = prepared(armature), {}
    for engine, ending in TARGETS:
        path = export_action(armature, folder / f"{label}_{engine.value}{ending}", ExportOptions(engine=engine))
        account = check_file(path, engine, wanted)
        motion = check_motion(path, wanted)
        found[path.name] = Account(account.good + motion.good, account.bad + motion.bad)
    return found


def main() -> int:
    """Command line."""
    own = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rig", type=Path, default=CHARACTER, help="a .blend with a character")
    parser.add_argument("--output", type=Path, default=REPOSITORY_ROOT / "out" / "engines")
    args = parser.parse_args(own)
    failed = 0
    for with_root in (False, True):
        label = f"{args.rig.stem}{'_root' if with_root else ''}"
        for name, account in check_character(load_character(args.rig, with_root), args.output, label).items():
            print(f"{name}: {len(account.good)} hold, {len(account.bad)} do not", *account.bad, sep="\n  NOT: ")
            failed += len(account.bad)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
