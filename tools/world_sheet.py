"""A contact sheet of solved videos: each beside the demo character that it moves, seen from two sides.

    .venv-bpy-4.5/bin/python -m tools.world_sheet draw FOLDER        (draws every FOLDER/*.npz, which is a clip)
    .venv/bin/python -m tools.world_sheet join FOLDER SHEET.webp     (joins the images with FOLDER/*.mp4, the videos)

Each row is a video; three moments of it, and at each the frame, the character as the camera sees it, and from its side.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from blender_addon.motion.clip import MotionClip, read_clip

_CHARACTER = Path(__file__).resolve().parents[1] / "assets" / "demo_character.blend"
_SIZE_PX = 200
_MOMENTS = (0.15, 0.5, 0.85)
_SIDES_DEG = (0.0, 90.0)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("draw", "join"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("sheet", type=Path, nargs="?")
    args = parser.parse_args()
    if args.what == "draw":
        for path in sorted(args.folder.glob("*.npz")):
            _draw(path)
        sys.stdout.flush()
        os._exit(0)  # Blender's module may crash while the interpreter shuts down
    _join(args.folder, args.sheet or args.folder / "sheet.webp")


def _moments(clip: MotionClip) -> list[int]:
    known = np.flatnonzero(np.isfinite(clip.root_world_m).all(axis=1))
    return [int(known[round(part * (len(known) - 1))]) for part in _MOMENTS]


def _draw(path: Path) -> None:
    """Images of the character at each moment from each side, beside the clip."""
    import bpy

    from tools.demo_blender import QUICK, Stage, add_floor, animate, open_character

    clip = read_clip(path)
    armature = open_character(_CHARACTER)
    stage = Stage(armature, clip, path.parent, path.with_suffix(".mp4"), QUICK)
    _, placement = animate(stage)
    add_floor(stage)
    scene: Any = bpy.context.scene
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.view_settings.view_transform = "Standard"
    scene.display.shading.light = "STUDIO"
    scene.display.shading.show_shadows = True
    scene.world = scene.world or bpy.data.worlds.new("Sheet")
    scene.world.color = (0.55, 0.57, 0.6)
    scene.render.resolution_x = scene.render.resolution_y = _SIZE_PX
    scene.render.image_settings.file_format = "PNG"
    for number, row in enumerate(_moments(clip)):
        scene.frame_set(round(placement.frame_start + float(clip.times_s[row]) * placement.fps))
        for side, turn_deg in enumerate(_SIDES_DEG):
            scene.camera = _camera(scene, clip, placement, row, turn_deg)
            scene.render.filepath = str(path.with_name(f"{path.stem}_{number}_{side}.png"))
            bpy.ops.render.render(write_still=True)
    print(path.name, flush=True)


def _camera(scene: Any, clip: MotionClip, placement: Any, row: int, turn_deg: float) -> Any:
    """A camera at chest height, 4 m from the person, on the filming camera's side or turned about the person."""
    import bpy
    from mathutils import Matrix, Vector

    to_scene = Matrix(np.asarray(placement.world_matrix).tolist())
    person = to_scene @ Vector(clip.root_world_m[row].tolist())
    eye = to_scene @ Vector(clip.world_from_camera[row, :3, 3].tolist())
    away = Vector((eye.x - person.x, eye.y - person.y, 0.0)).normalized()
    away = Matrix.Rotation(np.deg2rad(turn_deg), 3, "Z") @ away
    target = Vector((person.x, person.y, max(0.45 * person.z + 0.3, 0.3)))
    camera = bpy.data.objects.new("Side", bpy.data.cameras.new("Side"))
    camera.data.lens_unit, camera.data.angle = "FOV", np.deg2rad(36.0)
    camera.location = target + 3.6 * away + Vector((0.0, 0.0, 0.7))
    camera.rotation_euler = (target - camera.location).to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(camera)
    return camera


def _join(folder: Path, sheet: Path) -> None:
    import cv2

    from backend.video import open_video

    rows = []
    for path in sorted(folder.glob("*.npz")):
        clip, cells = read_clip(path), []
        frames = list(open_video(path.with_suffix(".mp4")).frames())
        for number, row in enumerate(_moments(clip)):
            cells.append(_square(frames[row].image[..., ::-1], np.nanmean(clip.keypoints_px[row], axis=0)))
            sides = [cv2.imread(str(path.with_name(f"{path.stem}_{number}_{side}.png"))) for side in range(2)]
            cells += [np.asarray(side) for side in sides]
        rows.append(np.hstack(cells))
    cv2.imwrite(str(sheet), np.vstack(rows), [cv2.IMWRITE_WEBP_QUALITY, 80])


def _square(image: Any, middle_px: Any) -> Any:
    """The part of an image (H, W, 3) around a point, as high as it is, in the sheet's size."""
    import cv2

    side = min(image.shape[:2])
    left, top = (
        int(np.clip(at - side / 2, 0, length - side)) for at, length in zip(middle_px, image.shape[1::-1], strict=True)
    )
    return cv2.resize(image[top : top + side, left : left + side], (_SIZE_PX, _SIZE_PX), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    main()
