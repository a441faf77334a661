from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.datasets import Motion
from backend.errors import BadInputError
from blender_addon.motion.rotations import quaternion_between, rotvec_to_quaternion


def walking_take():
    """A second of someone who turns by 90 degrees while moving 1 m along Y."""
    frames = 31
    rotations = np.tile([1.0, 0.0, 0.0, 0.0], (frames, 24, 1))
    rotations[:, 0] = rotvec_to_quaternion(np.linspace(0, np.pi / 2, frames)[:, None] * np.array([0.0, 0.0, 1.0]))
    root = np.stack([np.zeros(frames), np.linspace(0, 1, frames), np.full(frames, 0.9)], axis=1)
    return Motion(rotations, root, 30.0, "nobody", "turn", "synthetic")


def video(person, size_px=160):
    from backend.synthesis.scene import Camera, sample_backdrop, sample_light
    from backend.synthesis.video import Video, still_camera

    camera: Camera = still_camera(np.array([3.0, -3.0, 1.4]), np.array([0.0, 0.4, 0.9]), np.radians(60), size_px)
    rng = np.random.default_rng(0)
    backdrop = sample_backdrop(rng, (), camera, np.array([0.0, 0.0, 0.9]))
    backdrop = replace(backdrop, floor_kind=0, room_walls_m=None, shadow_catcher=False)  # only the person may change
    return Video(person, walking_take(), camera, 120, sample_light(rng, backdrop), backdrop)


@pytest.fixture(scope="module")
def person(model):
    from backend.synthesis.assets import AssetLibrary
    from backend.synthesis.wardrobe import sample_person

    return sample_person(np.random.default_rng(5), AssetLibrary())


def test_takes_are_read_between_their_frames():
    from backend.synthesis.video import take_at

    times = np.array([0.0, 0.25, 0.5, 1001 / 24000 * 3])
    rotations, root = take_at(walking_take(), times)
    expected = rotvec_to_quaternion(times[:, None] * np.pi / 2 * np.array([0.0, 0.0, 1.0]))
    assert quaternion_between(rotations[:, 0], expected).max() < 1e-6
    np.testing.assert_allclose(root[:, 1], times, atol=1e-9)
    with pytest.raises(BadInputError, match=r"1\.00 s"):
        take_at(walking_take(), np.array([0.5, 1.2]))


def test_truth_is_one_body_on_the_floor(person):
    from backend.synthesis.video import video_truth

    shot = video(person)
    truth, bones = video_truth(shot, np.linspace(0.0, 1.0, 7))
    assert len(bones) == 7
    assert truth.joints_camera_m.shape == (7, 17, 3)
    assert truth.landmarks_camera_m.shape == (7, 33, 3)
    camera = truth.world_from_camera
    np.testing.assert_allclose(
        truth.joints_camera_m[:, 0] @ camera[:3, :3].T + camera[:3, 3], truth.root_world_m, atol=1e-9
    )
    walked = np.linalg.norm(truth.root_world_m[-1, :2] - truth.root_world_m[0, :2])
    assert 0.8 < walked < 1.2, "1 m, scaled by the legs of this person"
    # the kept rows are the middle of the square image
    assert truth.intrinsics[1, 2] == pytest.approx(shot.camera.intrinsics[1, 2] - 20)


def test_frames_show_the_person_where_the_truth_says(person, renderer):
    from backend.synthesis.video import video_frames, video_truth

    shot = video(person)
    truth, bones = video_truth(shot, np.array([0.0, 0.9]))
    frames = list(video_frames(shot, bones, renderer))
    assert [frame.shape for frame in frames] == [(120, 160, 3)] * 2
    changed = np.abs(frames[0].astype(int) - frames[1].astype(int)).sum(axis=2) > 30
    pixels = truth.joints_camera_m @ truth.intrinsics.T
    pixels = pixels[..., :2] / pixels[..., 2:]
    columns = np.flatnonzero(changed.any(axis=0))
    assert columns[0] > pixels[..., 0].min() - 25
    assert columns[-1] < pixels[..., 0].max() + 25
