"""Movies whose header mirrors them: what this Blender shows, brought upright, is what the backend sees."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from clips import smooth_clip

from blender_addon.rig.camera_background import CameraPlacement, frame_offsets, make_camera, show_video
from blender_addon.rig.video_rotation import clip_orientation, left_out, orientation, turn_point

CLIP = Path(__file__).resolve().parents[2] / "assets" / "demo_clip.mp4"
ONE = 0x10000
MATRICES = {
    (1, 0, 0, 1): (False, 0),
    (0, 1, -1, 0): (False, 1),
    (-1, 0, 0, -1): (False, 2),
    (0, -1, 1, 0): (False, 3),
    (-1, 0, 0, 1): (True, 0),
    (0, -1, -1, 0): (True, 1),
    (1, 0, 0, -1): (True, 2),
    (0, 1, 1, 0): (True, 3),
}


def with_matrix(copy: Path, matrix: tuple[int, int, int, int]) -> Path:
    a, b, c, d = (value * ONE for value in matrix)
    data = bytearray(CLIP.read_bytes())
    place = data.index(struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, 0x40000000), data.index(b"tkhd"))
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    copy.write_bytes(data)
    return copy


def pixels(path: Path) -> np.ndarray:
    """The first image as Blender shows it, (H, W, 3), the top row first."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    return np.array(image.pixels[:], np.float32).reshape(height, width, 4)[::-1, :, :3]


@pytest.mark.parametrize("matrix", MATRICES)
def test_what_blender_shows_is_brought_upright(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    video = with_matrix(tmp_path / "phone.mp4", matrix)
    mirrored, turns = MATRICES[matrix]
    assert (orientation(video).mirrored, orientation(video).quarter_turns) == (mirrored, turns)
    as_stored = pixels(CLIP)
    upright = np.rot90(as_stored[:, ::-1] if mirrored else as_stored, -turns)
    shown, left = pixels(video), left_out(video)
    np.testing.assert_allclose(
        np.rot90(shown[:, ::-1] if left.mirrored else shown, -left.quarter_turns), upright, atol=0.02
    )
    clip = bpy.data.movieclips.load(str(video))
    assert clip_orientation(clip) == left
    height, width = shown.shape[:2]
    x, y = turn_point(10.5, 20.5, (width, height), left.quarter_turns, left.mirrored)
    np.testing.assert_allclose(upright[int(y), int(x)], shown[20, 10], atol=0.02)


@pytest.mark.parametrize("matrix", [(-1, 0, 0, 1), (1, 0, 0, -1)])
def test_a_mirrored_movie_is_mirrored_back_behind_the_camera(tmp_path: Path, matrix: Any) -> None:
    video = with_matrix(tmp_path / "phone.mp4", matrix)
    placement = CameraPlacement(np.eye(4), 1.0, 24.0)
    background = show_video(make_camera(smooth_clip(20), placement), video, smooth_clip(20), placement)
    shown = pixels(video)
    shown = shown[:, ::-1] if background.use_flip_x else shown
    shown = shown[::-1] if background.use_flip_y else shown
    as_stored = pixels(CLIP)
    np.testing.assert_allclose(shown, as_stored[:, ::-1] if matrix[0] < 0 else as_stored[::-1], atol=0.02)


def test_a_pause_is_counted_at_the_video_s_own_rate() -> None:
    clip = smooth_clip(50, fps=25.0)
    times = clip.times_s.copy()
    times[25:] += 4.0
    paused = type(clip)(**{name: getattr(clip, name) for name in clip.__slots__} | {"times_s": times})
    placement = CameraPlacement(np.eye(4), 1.0, 24.0)
    offsets = frame_offsets(paused, placement, shown_fps=8.5)
    frames = np.arange(len(offsets))
    np.testing.assert_array_equal(offsets + frames, np.floor(frames / 24.0 * 8.5 + 0.5 + 1e-6))
