"""The preview clip of a running capture: grows, takes later frames over earlier ones, stands on the floor."""

from __future__ import annotations

from typing import Any

import numpy as np
from clips import smooth_clip

from blender_addon.motion.posing import clip_body, find_feet, pose_clip


def _chunk(addon: Any, clip: Any, rows: slice, **values: Any) -> Any:
    messages = addon("wire.messages")
    index = np.arange(len(clip))[rows]
    fields = {
        "job_id": "0" * 32,
        "attempt": 1,
        "index": 0,
        "person": 0,
        "space": "world",
        "frame_index": index,
        "times_s": clip.times_s[rows],
        "rotations_wxyz": clip.rotations_wxyz[rows],
        "root_m": clip.root_world_m[rows],
        "joints_camera_m": clip.joints_camera_m[rows],
        "confidence": clip.confidence[rows],
    }
    return messages.MotionChunk(**{**fields, **values})


def test_frames_add_up_and_later_ones_count(extension: str, addon: Any) -> None:
    clip = smooth_clip(40)
    buffer = addon("client.partial_clip").ChunkBuffer(1.75)
    assert buffer.clip() is None
    buffer.add(_chunk(addon, clip, slice(0, 20)))
    buffer.add(_chunk(addon, clip, slice(15, 40), confidence=np.full(25, 0.3, np.float32)))
    partial = buffer.clip()
    assert len(partial) == len(buffer) == 40
    np.testing.assert_allclose(partial.rotations_wxyz, clip.rotations_wxyz, atol=1e-6)
    assert partial.confidence[14] > 0.5 > partial.confidence[15]


def test_another_person_and_a_voided_attempt_are_left_out(extension: str, addon: Any) -> None:
    clip = smooth_clip(20)
    buffer = addon("client.partial_clip").ChunkBuffer(1.75)
    assert buffer.add(_chunk(addon, clip, slice(0, 10)))
    assert not buffer.add(_chunk(addon, clip, slice(0, 10), person=1))
    assert buffer.add(_chunk(addon, clip, slice(0, 5), attempt=2))
    assert len(buffer) == 5
    assert not buffer.add(_chunk(addon, clip, slice(0, 10), attempt=1))


def test_a_preview_from_the_camera_stands_upright_on_the_floor(extension: str, addon: Any) -> None:
    from blender_addon.motion.rotations import matrix_to_quaternion, quaternion_multiply

    clip = smooth_clip(40)
    upright = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    rotations = clip.rotations_wxyz.astype(np.float64)
    rotations[:, 0] = quaternion_multiply(matrix_to_quaternion(upright.T), rotations[:, 0])
    root = clip.root_world_m @ upright + [0.0, 1.1, 5.0]
    buffer = addon("client.partial_clip").ChunkBuffer(1.75)
    buffer.add(_chunk(addon, clip, slice(0, 40), space="camera", rotations_wxyz=rotations, root_m=root))
    partial = buffer.clip()
    np.testing.assert_allclose(np.abs(partial.rotations_wxyz), np.abs(clip.rotations_wxyz), atol=1e-5)
    feet = find_feet(clip_body(partial), pose_clip(partial))
    assert abs(np.percentile(feet.positions_m[..., 2].min(axis=1), 5)) < 0.05


def test_frames_without_the_person_are_nobody(extension: str, addon: Any) -> None:
    clip = smooth_clip(10)
    lost = np.full_like(clip.root_world_m, np.nan)
    buffer = addon("client.partial_clip").ChunkBuffer(1.75)
    buffer.add(_chunk(addon, clip, slice(0, 10), root_m=lost))
    assert buffer.clip() is None


def test_times_for_people(extension: str, addon: Any) -> None:
    text = addon("client.capture_run").duration_text
    assert [text(s) for s in (11.6, 65, 3600 * 2 + 61)] == ["12 s", "1 min 05 s", "2 h 01 min"]
