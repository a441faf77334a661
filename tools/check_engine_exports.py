"""Export a baked character for every engine and hold the files against what the engine documents.

    .venv-bpy-4.5/bin/python tools/check_engine_exports.py [--rig character.blend] [--output out/engines]

Each file is read twice: raw (FBX with Blender's own parser, glTF as JSON, BVH as text) for axes, units, the root's
name, bone names and bones that deform nothing; and by Blender's importer, for the motion itself. The conventions,
with the page or the source of each: docs/decisions/finishing.md. Unreal: centimetres; one root bone; a top object
called Armature, in a file that says Blender made it, is skipped, any other becomes the root bone; ' ' '.' ',' '/' '`'
'%' in bone names are replaced, capitals are not told apart. Unity: Y up, +Z forward, the file's unit in metres, objects
without scale. Godot: Y up, +Z front, metres; ':' and '/' in bone names are replaced. BVH: right-handed, Y up. The
engines themselves are not run. Exit code 1 with a list of what does not hold.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY_ROOT))

import bpy  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from blender_addon.motion.clip import read_clip  # noqa: E402
from blender_addon.motion.export_formats import Engine, names_that_meet  # noqa: E402
from blender_addon.retarget.baked_pose import RetargetOptions, RootMode  # noqa: E402
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip, detected_map  # noqa: E402
from blender_addon.rig.export_action import ExportOptions, action_range, export_action, skinned_meshes  # noqa: E402
from blender_addon.rig.read_armature import read_armature  # noqa: E402
from tools.read_engine_files import CM, READERS, RawFile  # noqa: E402

Array = NDArray[np.floating]

CHARACTER = REPOSITORY_ROOT / "assets" / "demo_character.blend"
CLIP = REPOSITORY_ROOT / "assets" / "sample_clip.npz"
FRONT, UP = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])
# how well axes and height have to agree where the bones stand at rest, and where they stand in some frame
_ALONG = {True: 0.999, False: 0.7}
_TALL = {True: 0.02, False: 0.3}


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
    near = abs(height_cm / CM - wanted.height_m) < _TALL[raw.at_rest] * wanted.height_m
    account.hold(
        near, f"the skeleton is {wanted.height_m:.2f} m tall with the file's unit (found {height_cm / CM:.2f} m)"
    )
    if engine is Engine.UNREAL:
        account.hold(abs(raw.unit_cm - 1.0) < 1e-6, "the file's unit is the centimetre")
    if engine in (Engine.UNITY, Engine.UNREAL):
        uneven = [name for name, scale in raw.scales.items() if np.abs(scale - 1.0).max() > 1e-3]
        account.hold(not uneven, f"no object and no bone is scaled ({', '.join(uneven[:3]) or 'none is'})")
    if engine is Engine.UNITY:
        account.hold(abs(raw.unit_cm - CM) < 1e-4, "the file's unit is the metre, so that the importer's scale is 1")


def _check_root(raw: RawFile, engine: Engine, wanted: Wanted, account: Account) -> None:
    tops = [name for name, parent in raw.parents.items() if parent is None]
    account.hold(len(tops) == 1, f"one bone is the root ({', '.join(tops)})")
    if wanted.root_bone:
        account.hold(tops == [wanted.root_bone], f"the root bone is {wanted.root_bone}")
    if engine is Engine.UNREAL:
        name = "Armature" if wanted.root_bone else "root"
        account.hold(raw.holder == name, f"the armature object is called {name} (found {raw.holder or 'none'})")
        account.hold(raw.holder_on_top, "the armature object hangs from nothing")
        account.hold(raw.creator.startswith("Blender"), f"the file says that Blender made it ({raw.creator})")


def _check_bones(raw: RawFile, engine: Engine, wanted: Wanted, account: Account, only_deform: bool) -> None:
    names = set(raw.heads)
    leaves = sorted(name for name in names - set(wanted.names) if name.endswith("_end"))
    account.hold(not leaves, "no end bones were added")
    account.hold(wanted.deform <= names, f"every deforming bone is there under its name ({len(wanted.deform)})")
    if only_deform and engine is not Engine.NONE:
        others = sorted(names - wanted.deform - _ancestors(raw, wanted.deform))
        account.hold(not others, f"no bone is there that deforms nothing ({', '.join(others[:3]) or 'none is'})")
    same = names_that_meet(names, engine)
    account.hold(not same, f"no two bones are one by the engine's names ({', '.join(same) or 'none are'})")


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
