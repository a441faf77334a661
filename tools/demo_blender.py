"""Blender's half of `make demo`: a clip onto the character by the add-on's own functions, saved, exported, drawn.

    .venv-bpy-4.5/bin/python -m tools.demo_blender CLIP CHARACTER OUTPUT_DIR

Imports bpy and the add-on as a plain package, the way batch conversion does. Prints one JSON object on its last line.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from blender_addon.motion.clip import MotionClip, read_clip
from blender_addon.motion.smoothing import PRESETS
from blender_addon.rig.apply_clip import ApplyOptions, retarget_clip, scene_from_clip
from blender_addon.rig.bake import BakeOptions, bake
from blender_addon.rig.bake_report import BakeReport
from blender_addon.rig.camera_background import CameraPlacement, make_camera, show_video
from blender_addon.rig.export_action import export_action, skinned_meshes
from blender_addon.rig.prepare_clip import PrepareSettings, prepare_clip


@dataclass(frozen=True, slots=True)
class Look:
    """How the images are drawn: height in px, images a second of video, Workbench's anti-aliasing."""

    height_px: int
    rate_fps: float
    samples: str


# On two cores without a GPU a quick image takes a third of a second, a fine one two seconds.
QUICK, FINE = Look(404, 10.0, "FXAA"), Look(540, 15.0, "8")


@dataclass(frozen=True, slots=True)
class Stage:
    """The scene that the character stands in: its armature, the clip, where results go, and how it is drawn."""

    armature: Any
    clip: MotionClip
    output: Path
    video: Path
    look: Look


def open_character(path: Path) -> Any:
    """Open the character's file; returns its armature object."""
    bpy.ops.wm.open_mainfile(filepath=str(path))
    armatures = [thing for thing in bpy.context.scene.objects if thing.type == "ARMATURE"]
    if not armatures:
        raise SystemExit(f"{path} holds no armature")
    return max(armatures, key=lambda thing: len(thing.data.bones))


def set_frame_rate(clip: MotionClip) -> float:
    """Give the scene the clip's own rate, 23.976 and its kin included; returns it."""
    rate = clip.header.source_fps or 1.0 / float(np.median(np.diff(clip.times_s)))
    render = bpy.context.scene.render
    render.fps = math.ceil(rate - 1e-6)
    render.fps_base = render.fps / rate
    return float(render.fps / render.fps_base)


def animate(stage: Stage) -> tuple[BakeReport, CameraPlacement]:
    """Smooth lightly, map the rig by itself, retarget, bake; returns the account and where the clip's world lies."""
    fps = set_frame_rate(stage.clip)
    bake_options = BakeOptions(name=f"Marionet {Path(stage.clip.header.source).stem}", fps=fps)
    options = ApplyOptions(prepare=PrepareSettings(smooth=PRESETS["light"]), bake=bake_options)
    found = retarget_clip(stage.armature, prepare_clip(stage.clip, options.prepare), options)
    start = bake_options.frame_start - float(found.clip.times_s[0]) * fps
    report = bake(stage.armature, found.pose, replace(bake_options, frame_start=start))
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = report.frame_start, report.frame_end
    return report, CameraPlacement(scene_from_clip(found, options.retarget), start, fps)


def add_camera(stage: Stage, placement: CameraPlacement) -> None:
    """The filming camera with its video behind the character."""
    camera = make_camera(stage.clip, placement)
    bpy.context.scene.camera = camera
    show_video(camera, stage.video, stage.clip, placement)


def add_floor(stage: Stage) -> None:
    """A chequered floor below the feet, so that contact and travel can be seen."""
    tile, count = 0.5, 24
    vertices: list[tuple[float, float, float]] = []
    faces: list[tuple[int, ...]] = []
    for row in range(count):
        for column in range(count):
            if (row + column) % 2:
                continue
            x, y = (column - count / 2) * tile, (row - count / 2) * tile
            first = len(vertices)
            vertices += [(x, y, 0), (x + tile, y, 0), (x + tile, y + tile, 0), (x, y + tile, 0)]
            faces.append(tuple(range(first, first + 4)))
    mesh = bpy.data.meshes.new("Floor")
    mesh.from_pydata(vertices, [], faces)
    floor = bpy.data.objects.new("Floor", mesh)
    paint = bpy.data.materials.new("Floor")
    floor.color = paint.diffuse_color = (0.30, 0.34, 0.38, 1.0)
    mesh.materials.append(paint)
    middle = stage.armature.matrix_world.translation
    floor.location = (round(middle.x), round(middle.y), 0.0)
    bpy.context.scene.collection.objects.link(floor)


def image_window(clip: MotionClip) -> tuple[float, float, float, float]:
    """The part of the video that the person moves in, with room around: left, top, right, bottom as shares of it."""
    seen = clip.keypoints_px[clip.confidence > 0.2]
    size = np.array([clip.header.source_width, clip.header.source_height], dtype=np.float64)
    low, high = np.nanmin(seen, axis=(0, 1)), np.nanmax(seen, axis=(0, 1))
    half = np.maximum((high - low) / 2 + 0.12 * (high[1] - low[1]), 0.15 * size)
    # about as wide as high, so that two of them side by side make an image
    half = np.maximum(half, half[::-1] * [0.9, 0.6])
    middle = np.clip((low + high) / 2, half, np.maximum(size - half, half))
    low, high = np.clip((middle - half) / size, 0, 1), np.clip((middle + half) / size, 0, 1)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def image_step(stage: Stage) -> int:
    """Every how many scene frames an image is drawn."""
    render = bpy.context.scene.render
    return max(1, round(render.fps / render.fps_base / stage.look.rate_fps))


def prepare_images(stage: Stage) -> None:
    """Workbench without a display, on the part of the video that the person moves in."""
    scene = bpy.context.scene
    render = scene.render
    left, top, right, bottom = image_window(stage.clip)
    scale = stage.look.height_px / (bottom - top) / render.resolution_y
    render.resolution_x, render.resolution_y = round(render.resolution_x * scale), round(render.resolution_y * scale)
    render.use_border = render.use_crop_to_border = True
    render.border_min_x, render.border_max_x = left, right
    render.border_min_y, render.border_max_y = 1 - bottom, 1 - top  # Blender counts from below
    render.engine = "BLENDER_WORKBENCH"
    scene.view_settings.view_transform = "Standard"
    render.image_settings.file_format = "JPEG"
    render.image_settings.quality = 92
    scene.world = scene.world or bpy.data.worlds.new("World")
    scene.world.color = (0.16, 0.19, 0.22)
    shading = scene.display.shading
    shading.light = "STUDIO"
    shading.color_type = "TEXTURE" if has_textures(stage.armature) else "OBJECT"
    shading.show_backface_culling = True  # a camera below the floor, as before a stage or a roof, looks through it
    shading.show_shadows = True
    shading.shadow_intensity = 0.45
    scene.display.render_aa = stage.look.samples
    scene.display.light_direction = Vector((0.25, 0.3, 0.92))
    for mesh in skinned_meshes(stage.armature):
        mesh.color = (0.93, 0.6, 0.27, 1.0)


def has_textures(armature: Any) -> bool:
    """Whether the character's materials hold images; without them it is drawn in one plain colour."""
    materials = [slot.material for mesh in skinned_meshes(armature) for slot in mesh.material_slots if slot.material]
    trees = [material.node_tree for material in materials if material.node_tree is not None]
    return any(node.type == "TEX_IMAGE" and node.image for tree in trees for node in tree.nodes)


def draw_images(stage: Stage) -> list[str]:
    """Render every nth frame; returns the images' paths, one a frame that was drawn."""
    prepare_images(stage)
    scene = bpy.context.scene
    folder = stage.output / "frames"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for frame in range(scene.frame_start, scene.frame_end + 1, image_step(stage)):
        scene.frame_set(frame)
        scene.render.filepath = str(folder / f"character_{frame:05d}.jpg")
        bpy.ops.render.render(write_still=True)
        paths.append(scene.render.filepath)
    return paths


def timed(times: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """Run a step and note its seconds."""
    began = time.perf_counter()
    result = work()
    times[name] = round(time.perf_counter() - began, 2)
    return result


def perform(stage: Stage) -> dict[str, Any]:
    """Animate, save, export, draw; returns what to tell about it."""
    times: dict[str, float] = {}
    report, placement = timed(times, "retarget and bake", lambda: animate(stage))
    add_camera(stage, placement)
    blend = stage.output / "character.blend"
    timed(times, "save", lambda: bpy.ops.wm.save_as_mainfile(filepath=str(blend), compress=True))
    files = [blend]
    for ending in (".bvh", ".fbx", ".glb"):
        path = stage.output / f"character{ending}"
        files.append(timed(times, f"export {ending}", partial(export_action, stage.armature, path)))
    add_floor(stage)
    images = timed(times, "images", lambda: draw_images(stage))
    return {
        "files": [str(path) for path in files],
        "report": report.lines(),
        "images": images,
        "image_fps": placement.fps / image_step(stage),
        "frame_of_time_zero": placement.frame_start,
        "fps": placement.fps,
        "window": image_window(stage.clip),
        "seconds": times,
        "blender": bpy.app.version_string,
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("character", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--fine", action="store_true", help="larger, smoother images; several times slower")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    armature = open_character(options.character.resolve())
    look = FINE if options.fine else QUICK
    stage = Stage(armature, read_clip(options.clip), options.output.resolve(), options.video.resolve(), look)
    told = perform(stage)
    sys.stdout.write("\n" + json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # Blender 4.5 may wait for its own GPU thread for ever once it has rendered without a display
