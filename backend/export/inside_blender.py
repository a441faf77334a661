"""Runs inside Blender: takes `ExportOrder`s on standard input and carries them out with the add-on's own functions.

    python -P inside_blender.py PACKAGES          (a Python with bpy)
    blender --background --python inside_blender.py -- PACKAGES

May import bpy, `backend.export.animate_request` and the add-on's rooms. Nothing else of the project imports this file.
"""

from __future__ import annotations

import ctypes
import io
import json
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def _take_over_streams() -> tuple[Any, Any]:
    """Orders and replies on descriptors of their own, so that no exporter's print can reach the replies."""
    orders = os.fdopen(os.dup(0), "r", encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):  # a name outside the code page must not end the exporter that prints it
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    return orders, replies


def _die_with_parent() -> None:
    """On Linux the kernel ends this process with the batch worker that started it, even in the middle of an export."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


# before anything is imported that prints
_ORDERS, _REPLIES = _take_over_streams()
_die_with_parent()
# at the end: Blender's own numpy must win over one that lies beside the packages
sys.path.append(sys.argv[-1])

import bpy  # noqa: E402
import numpy as np  # noqa: E402

from backend.export.animate_request import (  # noqa: E402
    LEAST_BLENDER,
    RIG_ENDINGS,
    ExportFault,
    ExportOrder,
    ReadOrder,
    order_from_line,
)


def tell(event: str, **values: Any) -> None:
    """Send one message to the batch."""
    _REPLIES.write(json.dumps({"event": event, **values}) + "\n")
    _REPLIES.flush()


if bpy.app.version < LEAST_BLENDER:
    tell(
        "old",
        message=f"{bpy.app.binary_path or sys.executable} is Blender {bpy.app.version_string}",
        remedy="Blender 4.2 or later is needed: name one with --blender",
    )
    os._exit(1)

from blender_addon.motion.body import canonical_body, shaped_offsets_m  # noqa: E402
from blender_addon.motion.clip import ClipError, MotionClip, read_clip, write_clip  # noqa: E402
from blender_addon.motion.looping import Loop  # noqa: E402
from blender_addon.motion.motion_file_error import MotionFileError  # noqa: E402
from blender_addon.motion.posing import clip_shape  # noqa: E402
from blender_addon.motion.resampling import shorten_pauses  # noqa: E402
from blender_addon.motion.smoothing import PRESETS  # noqa: E402
from blender_addon.retarget.baked_pose import RetargetOptions, Travel  # noqa: E402
from blender_addon.retarget.skeleton_map import SkeletonMap  # noqa: E402
from blender_addon.retarget.source_motion import RetargetError  # noqa: E402
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip  # noqa: E402
from blender_addon.rig.armature_clips import scene_file_clips  # noqa: E402
from blender_addon.rig.bake import BakeError, BakeOptions  # noqa: E402
from blender_addon.rig.bake_report import BakeReport  # noqa: E402
from blender_addon.rig.export_action import ExportError, export_action  # noqa: E402
from blender_addon.rig.prepare_clip import PrepareSettings  # noqa: E402

_TERMINAL_BONE_M = 0.1


class OrderError(RuntimeError):
    """An order that cannot be carried out; the message names the value, `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def carry_out(order: ExportOrder) -> dict[str, Any]:
    """Open the rig, bake the clip onto it, write every output; returns the reply's fields."""
    clock = {"began": time.perf_counter()}
    total = len(order.outputs) + 1
    tell("step", what="bake", done=0, total=total)
    clip = read_clip(Path(order.clip))
    if not (np.isfinite(clip.root_world_m).all(axis=1) & (clip.confidence > 0)).any():
        raise OrderError("Nobody is solved in any frame of the clip", "Solve another person or another part of it")
    clip, shortened = shorten_pauses(clip)
    armature, skeleton_map = open_rig(order, clip)
    clock["rig"] = time.perf_counter()
    report = animate(armature, clip, order, skeleton_map)
    clock["bake"] = time.perf_counter()
    faults = []
    for done, output in enumerate(order.outputs, start=1):
        kind = Path(output).suffix.removeprefix(".")
        tell("step", what=kind, done=done, total=total)
        try:
            write_output(armature, Path(output))
        except (ExportError, RuntimeError, OSError) as fault:
            faults.append(ExportFault(output, str(fault)))
        clock[kind] = time.perf_counter()
    moments = list(clock.items())
    return {
        "lines": report.lines(),
        "warnings": [*([shortened] if shortened else []), *report.warnings],
        "figures": report.figures,
        "faults": [{"output": fault.output, "message": fault.message} for fault in faults],
        "seconds": {name: round(at - moments[place][1], 3) for place, (name, at) in enumerate(moments[1:])},
    }


def read_motion(order: ReadOrder) -> dict[str, Any]:
    """The motions of a scene file as clip files; returns the reply's fields."""
    tell("step", what="read", done=0, total=1)
    new_file()
    files = []
    for number, named in enumerate(scene_file_clips(Path(order.motion))):
        path = Path(order.folder) / f"motion.{number}.npz"
        write_clip(named.clip, path)
        files.append(str(path))
    return {"files": files}


def open_rig(order: ExportOrder, clip: MotionClip) -> tuple[Any, SkeletonMap | None]:
    """A fresh file with the rig; its armature object, and the map where it is known beforehand."""
    if not order.rig:
        new_file()
        return build_body(clip), body_map()
    path = Path(order.rig)
    if not path.is_file():
        raise OrderError(f"There is no rig {path}", f"Give a file that ends in {', '.join(RIG_ENDINGS)}")
    load_rig(path)
    armatures = [thing for thing in bpy.context.scene.objects if thing.type == "ARMATURE"]
    if order.armature:
        armatures = [thing for thing in armatures if thing.name == order.armature]
    if not armatures:
        wanted = f"no armature {order.armature!r}" if order.armature else "no armature"
        raise OrderError(f"{path} holds {wanted} in its scene", "Give a file with a rigged character")
    largest = max(armatures, key=lambda thing: len(thing.data.bones))
    if not len(largest.data.bones):
        raise OrderError(f"The armature {largest.name} in {path} has no bones", "Give a file with a rigged character")
    return largest, None


def new_file() -> None:
    """An empty scene; exporters stay enabled."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True, app_template="")


def load_rig(path: Path) -> None:
    """Open or import a rig's file; scripts in it do not run."""
    ending = path.suffix.lower()
    try:
        if ending == ".blend":
            bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False, use_scripts=False)
            return
        new_file()
        if ending == ".fbx":
            bpy.ops.import_scene.fbx(filepath=str(path))
        elif ending in (".glb", ".gltf"):
            bpy.ops.import_scene.gltf(filepath=str(path))
        else:
            raise OrderError(f"{path} is not a rig file", f"Give a file that ends in {', '.join(RIG_ENDINGS)}")
    except RuntimeError as fault:
        if isinstance(fault, OrderError):
            raise
        text = str(fault).strip().removeprefix("Error: ")
        raise OrderError(f"The rig {path} cannot be opened ({text})", "Open it in Blender and save it again") from fault


def build_body(clip: MotionClip) -> Any:
    """The clip's own body in its T-pose as an armature object: one bone a joint, the person's proportions, metres."""
    body = canonical_body()
    offsets = shaped_offsets_m(body, clip_shape(clip))
    heads: list[Any] = []
    for joint, parent in enumerate(body.parents):
        heads.append(offsets[joint] + (heads[parent] if parent >= 0 else 0.0))
    # the person's legs are longer or shorter than the pelvis' canonical height says: let the soles stand on the floor
    toes = [body.joint_index(f"{side}_toe") for side in ("left", "right")]
    sole = body.rest_positions_m()[toes, 2].min() * clip.header.body_height_m / body.height_m
    lift = np.array([0.0, 0.0, sole - min(heads[toe][2] for toe in toes)])
    heads = [head + lift for head in heads]
    data = bpy.data.armatures.new("Body")
    armature = bpy.data.objects.new("Body", data)
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for joint, name in enumerate(body.joint_names):
        bone = data.edit_bones.new(name)
        parent = int(body.parents[joint])
        children = [child for child, above in enumerate(body.parents) if above == joint]
        along = offsets[joint] / np.linalg.norm(offsets[joint]) * _TERMINAL_BONE_M
        bone.head = heads[joint]
        bone.tail = heads[children[0]] if children else heads[joint] + along
        bone.parent = data.edit_bones[body.joint_names[parent]] if parent >= 0 else None
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def body_map() -> SkeletonMap:
    """The map of `build_body`'s armature: every joint is the bone of its name."""
    joints = {name: (name,) for name in canonical_body().joint_names}
    return SkeletonMap(family="canonical_body", label="Canonical body", joints=joints)


def animate(armature: Any, clip: MotionClip, order: ExportOrder, skeleton_map: SkeletonMap | None) -> BakeReport:
    """Smooth, retarget and bake by the add-on's `apply_clip`, at the rate that was asked for."""
    fps = set_frame_rate(clip, order.rate)
    options = ApplyOptions(
        prepare=PrepareSettings(
            PRESETS[order.smooth],
            order.ground,
            straighten_deg=order.straighten_deg,
            mirror=order.mirror,
            loop=Loop(order.loop),
        ),
        retarget=RetargetOptions(
            travel=Travel.IN_PLACE if order.in_place else Travel.TRAVEL,
            scale=None if order.rig else 1.0,  # the clip's own body needs none
        ),
        bake=BakeOptions(name=order.action, fps=fps),
        skeleton_map=skeleton_map,
    )
    report = apply_clip(armature, clip, options)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = report.frame_start, report.frame_end
    return report


def set_frame_rate(clip: MotionClip, rate: str) -> float:
    """Give the scene its rate, 23.976 and its kin included; returns frames a second."""
    render = bpy.context.scene.render
    if rate == "rig":
        return float(render.fps / render.fps_base)
    if rate == "source":
        wanted = clip.header.source_fps or 1.0 / float(np.median(np.diff(clip.times_s)))
    else:
        wanted = float(rate)
    render.fps = math.ceil(wanted - 1e-6)
    render.fps_base = render.fps / wanted
    return float(render.fps / render.fps_base)


def write_output(armature: Any, path: Path) -> None:
    """Write one file; its ending says what it is."""
    if path.suffix.lower() != ".blend":
        export_action(armature, path)
        return
    # the file is moved to its place afterwards, and paths beside the rig's file would then lead nowhere
    bpy.ops.file.make_paths_absolute()
    result: Any = bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True)
    if "FINISHED" not in result or not path.is_file():
        raise ExportError(f"{path.name}: Blender wrote no file")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def serve() -> None:
    """Orders until the pipe closes; a bug ends its order with a reason, not this Blender."""
    tell("ready", blender=bpy.app.version_string)
    for line in _ORDERS:
        try:
            order = order_from_line(line)
            tell("done", **(read_motion(order) if isinstance(order, ReadOrder) else carry_out(order)))
        except MotionFileError as fault:
            tell("failed", code="bad_input", message=fault.message, remedy=fault.remedy)
        except OrderError as fault:
            tell("failed", code="blender", message=str(fault), remedy=fault.remedy)
        except (BakeError, RetargetError) as fault:
            tell(
                "failed", code="blender", message=str(fault), remedy="Map the rig once in Blender to see what it lacks"
            )
        except ClipError as fault:
            tell("failed", code="blender", message=fault.message, remedy=_sentence(fault.remedy) or "Solve it again")
        except OSError as fault:
            tell("failed", code="output", message=str(fault), remedy="Check the folder and its space")
        except Exception as fault:
            message = f"Internal error in Blender: {type(fault).__name__}: {fault}"
            tell("failed", code="blender", message=message, remedy="Report this with the log of Blender")


if __name__ == "__main__":
    serve()
    sys.stderr.flush()
    os._exit(0)  # Blender's own shutdown may wait for its GPU thread for ever
