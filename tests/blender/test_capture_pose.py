"""The pose of one frame, of a video or an image file, on a rig: through a real backend with its weights."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from rigs import canonical_armature

from blender_addon.motion.clip import read_clip
from blender_addon.motion.posing import pose_clip
from blender_addon.motion.resampling import sample_clip

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
BACKEND_PYTHON = Path(os.environ.get("MARIONET_TEST_PYTHON", REPOSITORY_ROOT / ".venv" / "bin" / "python"))
VIDEO, SAMPLE = REPOSITORY_ROOT / "assets" / "demo_clip.mp4", REPOSITORY_ROOT / "assets" / "sample_clip.npz"
FRAME = 30
ARMS = [
    (f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in (("shoulder", "elbow"), ("elbow", "wrist"))
]


@pytest.fixture
def scene(extension: str, addon: Any, tmp_path: Path) -> Iterator[Any]:
    """The scene's settings, an armature chosen, with a link to a backend."""
    if not BACKEND_PYTHON.is_file():
        pytest.skip("no backend environment: make dev-venv")
    access, runtime = addon("session.backend"), addon("session.session_state")
    preferences = bpy.context.preferences.addons[extension].preferences
    preferences.clip_dir = str(tmp_path / "clips")
    process = addon("client.backend_process")
    plan = process.LaunchPlan(BACKEND_PYTHON, REPOSITORY_ROOT, tmp_path / "state")
    link = addon("client.link").BackendLink(process.BackendProcess(plan), None, "test")
    runtime.STATE.link, runtime.STATE.link_key = link, access._link_key(preferences)
    kept = bpy.context.scene.marionet
    kept.retarget.armature = canonical_armature()
    kept.capture.quality = "fast"
    yield kept
    runtime.STATE.capture = None
    addon("session.previews").stop_overlay()
    access.close_link()
    runtime.STATE.clips.clear()
    preferences.clip_dir = ""


def arm_directions(positions: dict[str, np.ndarray]) -> np.ndarray:
    spans = np.array([positions[b] - positions[a] for a, b in ARMS])
    return spans / np.linalg.norm(spans, axis=1, keepdims=True)


def rig_arms(armature: Any) -> np.ndarray:
    posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return arm_directions({name: np.array(posed.pose.bones[name].head) for pair in ARMS for name in pair})


def clip_arms(kept: Any, time_s: float) -> np.ndarray:
    """Directions of the arms in the last clip, from where its person faces to where the rig does."""
    clip = sample_clip(read_clip(Path(kept.clips[-1].filepath)), np.array([time_s]))
    posed = pose_clip(clip)
    pelvis = posed.world_wxyz[0, 0]
    heading = 2.0 * np.arctan2(pelvis[3], pelvis[0])
    turn = _about_z(-heading)
    places = {name: turn @ posed.positions_m[0, clip.body_joint_names.index(name)] for pair in ARMS for name in pair}
    return arm_directions(places)


def _about_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def off_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(np.sum(a * b, axis=1), -1.0, 1.0))).max())


def test_one_frame_of_a_video_and_an_image_file(scene: Any, tmp_path: Path) -> None:
    armature = scene.retarget.armature
    scene.capture.video, scene.capture.pose_s = str(VIDEO), FRAME * 1001 / 24000
    bpy.context.scene.frame_set(12)
    assert bpy.ops.marionet.capture_pose() == {"FINISHED"}
    action = armature.animation_data.action
    assert action.frame_range[0] == 12.0
    from_video = rig_arms(armature)
    assert off_deg(from_video, clip_arms(scene, scene.capture.pose_s)) < 12.0  # the heading is the pelvis' here
    # the same frame as a file, on another frame of the same action
    scene.capture.source, scene.capture.image = "IMAGE", str(still_of(VIDEO, tmp_path))
    bpy.context.scene.frame_set(20)
    assert bpy.ops.marionet.capture_pose() == {"FINISHED"}
    assert armature.animation_data.action == action
    from_image = rig_arms(armature)
    assert off_deg(from_image, from_video) < 25.0  # the video's own pose looks at what goes on around it
    bpy.context.scene.frame_set(12)
    assert off_deg(rig_arms(armature), from_video) < 0.1


def still_of(video: Path, folder: Path) -> Path:
    """One frame of a video as an image file, decoded by the backend's environment."""
    path = folder / "still.png"
    program = (
        "import av, sys\n"
        "frames = av.open(sys.argv[1]).decode(video=0)\n"
        "[next(frames) for _ in range(int(sys.argv[3]))]\n"
        "next(frames).to_image().save(sys.argv[2])\n"
    )
    subprocess.run([str(BACKEND_PYTHON), "-c", program, str(video), str(path), str(FRAME)], check=True)
    return path


def test_a_pose_out_of_a_clip(scene: Any) -> None:
    assert bpy.ops.marionet.import_clip(filepath=str(SAMPLE)) == {"FINISHED"}
    bpy.context.scene.frame_set(31)
    assert bpy.ops.marionet.apply_pose() == {"FINISHED"}
    pose = rig_arms(scene.retarget.armature)
    scene.retarget.armature.animation_data_clear()
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    bpy.context.scene.frame_set(31)
    baked = rig_arms(scene.retarget.armature)
    # the bake goes on from where the clip begins, the pose faces as the character does: seen from the trunk both agree
    assert np.abs(pose @ pose.T - baked @ baked.T).max() < 1e-3


def test_what_is_missing_is_said(scene: Any) -> None:
    scene.capture.source = "IMAGE"
    assert not bpy.ops.marionet.capture_pose.poll()
    scene.capture.image = "/nowhere/pose.png"
    with pytest.raises(RuntimeError, match="no video at"):
        bpy.ops.marionet.capture_pose()
