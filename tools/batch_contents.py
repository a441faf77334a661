"""Open animation files in Blender and say what is in them: `.venv-bpy-4.5/bin/python tools/batch_contents.py FILES...`

Prints one JSON object on its last line: per file the animated armature's bones, frames and a digest of its bones'
places over time, rounded to 0.1 mm, so that two files compare by content. Fails where a file does not open.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from blender_addon.motion.export_formats import format_of_ending

_SAMPLES: Final = 12


def look_at(path: Path) -> dict[str, Any]:
    """What the file holds. Raises RuntimeError where it has no moving armature."""
    if path.suffix == ".blend":
        bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False)
    else:
        bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True, app_template="")
        read_animation(path)
    armatures = [thing for thing in bpy.context.scene.objects if thing.type == "ARMATURE"]
    if not armatures:
        raise RuntimeError(f"{path} holds no armature")
    armature = max(armatures, key=lambda thing: len(thing.data.bones))
    first, last = frame_range(path, armature)
    places = []
    for frame in np.unique(np.linspace(first, last, _SAMPLES).round().astype(int)):
        bpy.context.scene.frame_set(int(frame))
        places.append([(armature.matrix_world @ bone.head)[:] for bone in armature.pose.bones])
    travelled = float(np.ptp(np.array(places), axis=0).max())
    if travelled < 1e-3:
        raise RuntimeError(f"{path}: nothing moves")
    rounded = np.round(np.array(places), 4) + 0.0
    names = sorted(bone.name for bone in armature.data.bones)
    return {
        "bones": len(names),
        "frames": last - first + 1,
        "meshes": sum(thing.type == "MESH" for thing in bpy.context.scene.objects),
        "digest": hashlib.sha256(json.dumps([names, rounded.tolist()]).encode()).hexdigest(),
    }


def read_animation(path: Path) -> None:
    """Import a file of one of the export formats. Raises RuntimeError for another one."""
    kind = format_of_ending(path.suffix)
    if kind is None:
        raise RuntimeError(f"{path} is no animation file")
    group, _, name = kind.importer.partition(".")
    getattr(getattr(bpy.ops, group), name)(filepath=str(path))


def frame_range(path: Path, armature: Any) -> tuple[int, int]:
    """First and last frame of its action, or of the scene where the file brings no action (USD)."""
    data = armature.animation_data
    if path.suffix != ".usd" and data is not None and data.action is not None:
        return round(data.action.frame_range[0]), round(data.action.frame_range[1])
    return bpy.context.scene.frame_start, bpy.context.scene.frame_end


def main() -> int:
    """Command line."""
    told = {name: look_at(Path(name)) for name in sys.argv[1:]}
    sys.stdout.write("\n" + json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
