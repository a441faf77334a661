from __future__ import annotations

import av
import numpy as np
import pytest

from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import quaternion_rotate


@pytest.fixture(params=["demo_clip", "demo_clip_vfr"])
def clip(request, repository):
    video = repository / "assets" / f"{request.param}.mp4"
    with np.load(video.with_suffix(".npz"), allow_pickle=False) as data:
        return video, {name: data[name] for name in data.files}


def test_truth_has_the_videos_frames_and_times(clip):
    path, truth = clip
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        size = (stream.width, stream.height)
        times = np.array([frame.time for frame in container.decode(stream)])
    assert size == (truth["width_px"], truth["height_px"])
    np.testing.assert_allclose(times, truth["times_s"], atol=1e-5)
    steps = np.round(np.diff(times) * 24000)
    expected = {1001} if "vfr" not in path.name else {1001, 2002, 3003}
    assert set(steps.tolist()) == expected
    assert path.stat().st_size < 1_500_000


def test_the_person_is_in_the_image_and_moves(clip):
    _, truth = clip
    points = truth["landmarks_camera_m"] @ truth["intrinsics"].T
    pixels = points[..., :2] / points[..., 2:]
    assert (pixels > 0).all()
    assert (pixels < [truth["width_px"], truth["height_px"]]).all()
    assert np.ptp(truth["root_world_m"][:, :2], axis=0).max() > 1.5
    feet = truth["body_joints_camera_m"] @ truth["world_from_camera"][:3, :3].T + truth["world_from_camera"][:3, 3]
    assert -0.02 < feet[..., 2].min() < 0.08, "the feet stand on the floor"


def test_camera_and_world_positions_are_the_same_body(clip):
    _, truth = clip
    camera = truth["world_from_camera"]
    root = (truth["root_world_m"] - camera[:3, 3]) @ camera[:3, :3]
    np.testing.assert_allclose(root, truth["joints_camera_m"][:, 0], atol=1e-4)
    # the root rotation's left (X) is the direction from the right hip to the left one
    names = canonical_body().joint_names
    joints = truth["body_joints_camera_m"] @ camera[:3, :3].T
    across = joints[:, names.index("left_hip")] - joints[:, names.index("right_hip")]
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    left = quaternion_rotate(truth["rotations_wxyz"][:, 0], np.array([1.0, 0.0, 0.0]))
    assert (np.einsum("ij,ij->i", across, left) > 0.999).all()


def test_the_characters_file_is_small_and_licensed(repository):
    folder = repository / "assets"
    assert 100_000 < (folder / "demo_character.blend").stat().st_size < 4_000_000
    text = (folder / "LICENSE.md").read_text(encoding="utf-8")
    assert all(name in text for name in ("demo_character.blend", "demo_clip.mp4", "CC0", "NSF"))
