"""Where the images come from: a video, an image of a sequence, the clip that the Movie Clip Editor shows."""

from __future__ import annotations

from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from clips import smooth_clip, turned_copy

from blender_addon.motion.clip import write_clip
from blender_addon.rig.camera_background import CameraPlacement, make_camera

CLIP = Path(__file__).resolve().parents[2] / "assets" / "demo_clip.mp4"


def test_a_video_is_taken_as_a_video(extension: str) -> None:
    assert bpy.ops.marionet.choose_video(filepath=str(CLIP)) == {"FINISHED"}
    capture = bpy.context.scene.marionet.capture
    assert (capture.source, capture.video) == ("FILE", str(CLIP))


def test_a_image_stands_for_its_folder(extension: str, addon: Any, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"shot_{number:04d}.PNG").write_bytes(b"")
    assert bpy.ops.marionet.choose_video(filepath=str(tmp_path / "shot_0001.PNG")) == {"FINISHED"}
    capture = bpy.context.scene.marionet.capture
    assert capture.source == "SEQUENCE"
    assert addon("session.capture_request").source_path(capture) == tmp_path
    assert addon("session.capture_request").solve_options(capture).sequence_fps == capture.sequence_fps


def test_the_movie_clip_editor_s_clip_is_taken(extension: str, addon: Any) -> None:
    kind = addon("ui.operators.sources").MARIONET_OT_use_movie_clip
    clip = bpy.data.movieclips.load(str(CLIP))
    said: list[str] = []
    context = SimpleNamespace(scene=bpy.context.scene, space_data=SimpleNamespace(clip=clip))
    hand = SimpleNamespace(report=lambda _kind, text: said.append(text))
    assert MethodType(kind.execute, hand)(context) == {"FINISHED"}
    capture = bpy.context.scene.marionet.capture
    assert (capture.source, capture.movie_clip) == ("MOVIE_CLIP", clip)
    assert addon("session.capture_request").source_path(capture) == CLIP
    assert clip.name in said[0]


def test_without_a_clip_the_button_says_so(extension: str) -> None:
    with pytest.raises(RuntimeError, match="Open a clip in the Movie Clip Editor first"):
        bpy.ops.marionet.use_movie_clip()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_video_that_this_blender_shows_lying_behind_the_camera_is_said(
    extension: str, addon: Any, tmp_path: Path, turns: int
) -> None:
    clip, video = smooth_clip(20), turned_copy(CLIP, tmp_path / "phone.mp4", turns)
    write_clip(clip, tmp_path / "sway.npz")
    bpy.ops.marionet.import_clip(filepath=str(tmp_path / "sway.npz"))
    bpy.context.scene.marionet.clips[0].video = str(video)
    placement = CameraPlacement(np.eye(4), 1.0, 24.0)
    camera = make_camera(clip, placement)
    stored = bpy.data.images.load(str(CLIP)).size[:]
    shown = bpy.data.images.load(str(video)).size[:]
    said: list[str] = []
    hand = SimpleNamespace(report=lambda _kind, text: said.append(text), alpha=0.8)
    kind = addon("ui.operators.clips").MARIONET_OT_make_camera
    assert "phone.mp4 behind it" in MethodType(kind._show_video, hand)(bpy.context, camera, clip, placement)
    lies = bpy.app.version < (4, 4) and turns > 0
    assert ((shown != stored) == (turns % 2 == 1)) or lies
    assert [f"turned by {90 * turns}°" in text for text in said] == [True] * lies
