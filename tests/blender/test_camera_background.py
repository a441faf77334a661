"""The camera made from a clip sees the clip's world where the filming camera saw it, to a fraction of a pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from clips import HEIGHT, WIDTH, smooth_clip
from mathutils import Matrix, Vector

from blender_addon.motion.body import canonical_body
from blender_addon.motion.posing import pose_clip
from blender_addon.rig.camera_background import (
    CameraError,
    CameraPlacement,
    frame_offsets,
    make_camera,
    show_video,
)


def _pixels(camera: bpy.types.Object, points: np.ndarray) -> np.ndarray:
    scene = bpy.context.scene
    bpy.context.view_layer.update()
    seen = np.array([world_to_camera_view(scene, camera, Vector(point)) for point in points])
    return np.stack([seen[:, 0] * WIDTH, (1 - seen[:, 1]) * HEIGHT], axis=1)


@pytest.mark.parametrize("stretch", [1.0, 1.2, 0.8])
def test_joints_fall_on_their_pixels(stretch: float) -> None:
    clip = smooth_clip()
    matrix = clip.intrinsics.copy()
    matrix[1, 1] *= stretch
    clip = replace(clip, intrinsics=matrix)
    scale, turn = 1.4, Matrix.Rotation(0.7, 4, "Z") @ Matrix.Translation((2.0, -1.0, 0.5))
    placement = np.array(turn) @ np.diag([scale, scale, scale, 1.0])
    camera = make_camera(clip, CameraPlacement(placement, 1.0, 30.0))
    joints = pose_clip(clip).positions_m[20]
    camera_from_world = np.linalg.inv(clip.world_from_camera[20])
    seen = joints @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    expected = (seen @ matrix.T)[:, :2] / seen[:, 2:]
    in_scene = joints @ placement[:3, :3].T + placement[:3, 3]
    assert np.abs(_pixels(camera, in_scene) - expected).max() < 0.1
    assert len(joints) == len(canonical_body().joint_names)


def test_a_moving_camera_gets_keys() -> None:
    clip = smooth_clip(20)
    moving = clip.world_from_camera.copy()
    moving[:, 0, 3] = np.linspace(0, 1, 20)
    camera = make_camera(replace(clip, world_from_camera=moving), CameraPlacement(np.eye(4), 11.0, 30.0))
    bpy.context.scene.frame_set(30)
    assert camera.matrix_world.translation.x == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("scene_fps", [24.0, 30.0])
def test_points_of_the_floor_stay_under_a_camera_that_travels_turns_and_zooms(scene_fps: float) -> None:
    """At 1080p, within 5 px, on frames of the scene that lie between those of the video too."""
    clip = smooth_clip(61)
    scale = 1920 / WIDTH

    def camera_at(time_s: float) -> tuple[np.ndarray, float]:
        pose = clip.world_from_camera[0].copy()
        pan = Matrix.Rotation(0.5 * np.sin(2.0 * time_s) + 0.02 * np.sin(9.0 * time_s), 3, "Z")
        tilt = Matrix.Rotation(0.25 + 0.03 * np.sin(7.0 * time_s), 3, "X")
        pose[:3, :3] = np.array(pan) @ pose[:3, :3] @ np.array(tilt).T
        pose[:3, 3] += [0.6 * time_s, 0.3 * time_s, 0.05 * np.sin(8.0 * time_s)]
        return pose, 1.0 + 0.2 * np.sin(1.5 * time_s)

    poses, zooms = zip(*(camera_at(time_s) for time_s in clip.times_s), strict=True)
    moving = replace(clip, world_from_camera=np.stack(poses), focal_scale=np.array(zooms))
    camera = make_camera(moving, CameraPlacement(np.eye(4), 1.0, scene_fps))
    floor = np.stack(np.meshgrid(np.linspace(-2, 2, 9), np.linspace(-1, 6, 8), [0.0]), axis=-1).reshape(-1, 3)
    worst, seen_points = 0.0, 0
    for frame in range(1, int(2.0 * scene_fps) + 1):
        pose, zoom = camera_at((frame - 1) / scene_fps)
        seen = (floor - pose[:3, 3]) @ pose[:3, :3]
        lens = moving.intrinsics * [[zoom], [zoom], [1.0]]
        lens[:2, 2] = moving.intrinsics[:2, 2]
        expected = (seen @ lens.T)[:, :2] / seen[:, 2:]
        inside = (seen[:, 2] > 0.5) & (expected >= 0).all(axis=1) & (expected < [WIDTH, HEIGHT]).all(axis=1)
        bpy.context.scene.frame_set(frame)
        off = np.linalg.norm(_pixels(camera, floor[inside]) - expected[inside], axis=1)
        worst, seen_points = max(worst, float(off.max(initial=0.0))), seen_points + int(inside.sum())
    assert seen_points > 500
    assert worst * scale < 5.0


def test_a_lens_that_zooms_gets_keys_and_one_that_does_not_gets_none() -> None:
    clip = smooth_clip(20)
    still = make_camera(replace(clip, focal_scale=np.ones(20)), CameraPlacement(np.eye(4), 11.0, 30.0))
    assert still.data.animation_data is None
    zooming = replace(clip, focal_scale=np.linspace(1.0, 1.5, 20))
    camera = make_camera(zooming, CameraPlacement(np.eye(4), 11.0, 30.0))
    bpy.context.scene.frame_set(30)
    assert camera.data.lens == pytest.approx(1.5 * still.data.lens, rel=1e-4)
    bpy.context.scene.frame_set(11)
    assert camera.data.lens == pytest.approx(still.data.lens, rel=1e-4)


def test_a_clip_without_a_lens_is_refused_in_words() -> None:
    clip = smooth_clip(3)
    blind = replace(clip, header=replace(clip.header, source_width=0))
    with pytest.raises(CameraError, match="size of its video"):
        make_camera(blind, CameraPlacement(np.eye(4), 1.0, 24.0))


def test_video_frames_follow_the_time_stamps() -> None:
    clip = smooth_clip(61, fps=60.0)
    offsets = frame_offsets(clip, CameraPlacement(np.eye(4), 1.0, 24.0))
    # one second at 24 fps shows every 2.5th frame of a 60 fps video
    np.testing.assert_array_equal(offsets + np.arange(25), np.floor(np.arange(25) * 2.5 + 0.5))
    assert not frame_offsets(smooth_clip(30, fps=24.0), CameraPlacement(np.eye(4), 1.0, 24.0)).any()


def test_the_video_is_shown_and_its_time_is_keyed(tmp_path: Path) -> None:
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y, scene.frame_end = 64, 64, 10
    if bpy.app.version >= (5, 0, 0):
        scene.render.image_settings.media_type = "VIDEO"
    scene.render.image_settings.file_format = "FFMPEG"
    scene.render.ffmpeg.format = "MPEG4"
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.camera = make_camera(smooth_clip(3), CameraPlacement(np.eye(4), 1.0, 24.0))
    scene.render.resolution_x, scene.render.resolution_y = 64, 64
    scene.render.filepath = str(tmp_path / "clip.mp4")
    bpy.ops.render.render(animation=True)
    clip = smooth_clip(61, fps=60.0)
    placement = CameraPlacement(np.eye(4), 5.0, 24.0)
    camera = make_camera(clip, placement)
    background = show_video(camera, next(tmp_path.glob("*.mp4")), clip, placement)
    assert background.image.source == "MOVIE"
    assert background.image_user.frame_start == 5
    scene.frame_set(15)
    evaluated = camera.evaluated_get(bpy.context.evaluated_depsgraph_get())
    assert evaluated.data.background_images[0].image_user.frame_offset == 25 - 10
    with pytest.raises(CameraError, match="cannot be shown"):
        show_video(camera, tmp_path / "missing.mp4", clip, placement)
