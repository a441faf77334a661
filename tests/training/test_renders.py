"""Training on renders: landmarks found once and kept, windows that agree with their truth, a fitted error model."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from backend.embedding.features import WINDOW
from backend.errors import BadInputError
from backend.training.landmark_noise import LandmarkNoise, read_noise, write_noise
from backend.training.noise_fit import fitted_noise, joined, measured_errors, simulated_seen
from backend.training.render_landmarks import RenderLandmarks, render_landmarks
from backend.training.render_windows import render_batch, render_pool
from backend.training.simulate import SimulationSettings
from blender_addon.motion.body import canonical_body, forward_kinematics, points_m
from blender_addon.motion.rotations import rotvec_to_quaternion

VIDEO = 8


def people(videos: int = 120, frames: int = VIDEO, seed: int = 0) -> RenderLandmarks:
    """Perfectly seen people: videos of slowly moving random poses before cameras that look at them."""
    rng = np.random.default_rng(seed)
    body = canonical_body()
    joints = len(body.joint_names)
    start = np.repeat(rng.normal(0, 0.35, (videos, joints, 3)), frames, axis=0)
    drift = np.tile(np.arange(frames), videos)[:, None, None] * np.repeat(
        rng.normal(0, 0.01, (videos, joints, 3)), frames, axis=0
    )
    turn = start + drift
    turn[:, 0] = [0, 0, 1] * np.repeat(rng.uniform(-np.pi, np.pi, (videos, 1)), frames, axis=0)
    rotations = rotvec_to_quaternion(turn)
    positions, turns = forward_kinematics(body, rotations, np.zeros(3))
    camera = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # looks along +Y of the world
    shift = np.array([0.0, 0.0, 4.0])
    landmarks = points_m(body, "blazepose33", positions, turns) @ camera.T + shift
    count = videos * frames
    relative = landmarks - landmarks[:, [23, 24]].mean(axis=1, keepdims=True)
    return RenderLandmarks(
        points=(landmarks[..., :2] / landmarks[..., 2:]).astype(np.float32),
        visibility=np.ones((count, 33), np.float32),
        guess=relative.astype(np.float32),
        found=np.ones(count, bool),
        landmarks_m=landmarks.astype(np.float32),
        joints_m=(points_m(body, "centres17", positions, turns) @ camera.T + shift).astype(np.float32),
        rotations_wxyz=rotations.astype(np.float32),
        camera_from_world=np.tile(camera, (count, 1, 1)),
        offsets_m=np.tile(body.offsets_m, (count, 1, 1)).astype(np.float32),
        visible=np.ones((count, 33), bool),
        video=np.repeat(np.arange(videos), frames),
    )


def test_windows_agree_with_their_truth_also_when_mirrored():
    pool = render_pool([people(30)])
    batch = render_batch(pool, 200, np.random.default_rng(1), SimulationSettings())
    assert batch.frames.shape[:2] == (200, WINDOW)
    points = batch.frames[:, WINDOW // 2, :66].reshape(-1, 33, 2)
    for landmark, joint in ((15, 13), (16, 16), (27, 6), (28, 3), (11, 11), (12, 14)):
        for axis in range(2):
            assert np.corrcoef(points[:, landmark, axis], batch.joints_m[:, joint, axis])[0, 1] > 0.8
    # rotations carry the canonical shin to where the joints are, in mirrored windows too
    body = canonical_body()
    knee, ankle = body.joint_index("left_knee"), body.joint_index("left_ankle")
    shin = batch.rotations[:, knee] @ body.offsets_m[ankle]
    assert np.allclose(shin, batch.joints_m[:, 6] - batch.joints_m[:, 5], atol=0.02)
    assert np.allclose(np.linalg.det(batch.rotations), 1.0, atol=1e-3)
    back = np.einsum("bji,bj->bi", batch.virtual_from_camera, batch.gravity)
    plain = np.isclose(back, pool.down[0], atol=1e-4).all(axis=1)
    mirrored = np.isclose(back, pool.down[0] * [-1, 1, 1], atol=1e-4).all(axis=1)
    assert (plain | mirrored).all()
    present = batch.frames[:, :, -1]
    assert set(present.sum(axis=1).astype(int)) == {VIDEO}, "only the video's own frames are there"


def test_lost_people_are_left_out():
    seen = people(10)
    found = seen.found.copy()
    found[3] = False
    assert len(render_pool([replace(seen, found=found)])) == 9 * VIDEO, "the whole video goes"
    with pytest.raises(BadInputError, match="no person was found"):
        render_pool([replace(seen, found=np.zeros_like(found))])


def test_the_fit_finds_the_model_that_made_the_errors():
    truth = people(250)
    known = LandmarkNoise(
        bias=0.022, jitter=0.016, correlation=0.7, far_limb_factor=3.0, lost_share=0.3, depth_bias=0.07,
        depth_jitter=0.09, depth_gain_low=0.6, depth_gain_high=1.2, swap_share=0.0,
    )  # fmt: skip
    fitted = fitted_noise(simulated_seen(truth, known, np.random.default_rng(3)), rounds=8)
    for name in ("bias", "jitter", "depth_bias", "depth_jitter"):
        assert getattr(fitted, name) == pytest.approx(getattr(known, name), rel=0.25), name
    assert fitted.correlation == pytest.approx(known.correlation, abs=0.12)
    assert fitted.far_limb_factor == pytest.approx(known.far_limb_factor, rel=0.3)
    assert fitted.lost_share == pytest.approx(known.lost_share, rel=0.4)
    middle = (fitted.depth_gain_low + fitted.depth_gain_high) / 2
    assert middle == pytest.approx(0.9, rel=0.1)
    assert fitted.swap_share < 0.02


def test_too_few_people_are_refused():
    seen = people(5)
    with pytest.raises(BadInputError, match="found 40 people"):
        measured_errors(seen)


def test_joined_folders_keep_their_videos_apart():
    both = joined([people(3), people(2, seed=1)])
    assert len(both) == 5 * VIDEO
    assert len(np.unique(both.video)) == 5


def test_noise_files(tmp_path):
    path = tmp_path / "noise.json"
    write_noise(LandmarkNoise(bias=0.05), path)
    assert read_noise(path) == LandmarkNoise(bias=0.05)
    path.write_text(json.dumps({"noise": {"jitter": 0.02}}))
    assert read_noise(path) == LandmarkNoise(jitter=0.02)
    for text, words in (
        ('{"noise": {"bais": 1}}', "bais"),
        ('{"noise": {"bias": -1}}', "bias"),
        ('{"noise": {"bias": "x"}}', "bias"),
        ('{"other": 1}', "not a noise model"),
        ("no json", "not a noise model"),
    ):
        path.write_text(text)
        with pytest.raises(BadInputError, match=words):
            read_noise(path)
    with pytest.raises(BadInputError, match=r"missing\.json"):
        read_noise(tmp_path / "missing.json")


@pytest.mark.slow
def test_landmarks_are_found_once_and_kept(tmp_path):
    pytest.importorskip("moderngl", reason="needs the extra 'train'")
    pytest.importorskip("anny", reason="needs the extra 'train'")
    from backend.errors import DeviceError
    from backend.synthesis.dataset import DatasetRequest, make_dataset
    from backend.synthesis.generate import RenderSettings
    from backend.types import CancelToken

    settings = RenderSettings(seed=2, size_px=192, sequence_frames=2, companion_share=0.0, cut_share=0.0)
    try:
        make_dataset(DatasetRequest(tmp_path, 8, settings, shard_size=4, workers=1), lambda _: None, CancelToken())
    except DeviceError as fault:
        pytest.skip(str(fault))
    seen = render_landmarks(tmp_path)
    assert seen.video.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert seen.found.sum() >= 4
    truth = seen.landmarks_m[..., :2] / seen.landmarks_m[..., 2:]
    reach = np.linalg.norm(truth - truth[:, [23, 24]].mean(axis=1, keepdims=True), axis=-1).max(axis=1)
    error = np.linalg.norm(seen.points - truth, axis=-1) / reach[:, None]
    assert np.median(error[seen.found]) < 0.15, "what the network saw lies on the truth"
    kept = next(tmp_path.glob("landmarks_*.npz"))
    before = kept.stat().st_mtime_ns
    again = render_landmarks(tmp_path)
    assert kept.stat().st_mtime_ns == before
    assert np.array_equal(again.points, seen.points)
    os.truncate(kept, 200)
    assert np.array_equal(render_landmarks(tmp_path).points, seen.points), "a damaged file is made again"
