"""Simulated people who sit, kneel and lie, and images that cut them off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.datasets.motion import Motion
from backend.embedding.features import WINDOW
from backend.embedding.keypoints import HIPS, SHOULDERS
from backend.training.cameras import ShotRange, outside_image, random_shots
from backend.training.pool import MotionPool, Variation, draw_windows, motion_pool
from backend.training.postures import PostureShares, with_postures
from backend.training.simulate import SimulationSettings, as_in_video, simulate_batch, simulate_people
from blender_addon.motion.body import canonical_body, forward_kinematics


def _pool() -> MotionPool:
    """A person who stands in the rest pose and walks off."""
    still = np.zeros((60, len(canonical_body().joint_names), 4))
    still[..., 0] = 1.0
    root = np.stack([np.linspace(0, 2, 60), np.zeros(60), np.full(60, 0.9)], axis=-1)
    return motion_pool([Motion(still, root, 30.0, "s0", "stand", "made")])


def _windows(**shares: float):  # type: ignore[no-untyped-def]
    plain = Variation(0.0, 0.0, 0.0, 1.0, 1.0, PostureShares(**shares))
    return draw_windows(_pool(), 40, np.random.default_rng(0), plain)


def _directions(windows, *, child: str) -> np.ndarray:  # type: ignore[no-untyped-def]
    body = canonical_body()
    joint = body.joint_index(child)
    positions, _ = forward_kinematics(body, windows.rotations_wxyz[:, WINDOW // 2].astype(float), np.zeros(3))
    limb = positions[:, joint] - positions[:, body.parents[joint]]
    return limb / np.linalg.norm(limb, axis=-1, keepdims=True)


def test_the_thighs_of_seated_people_point_forward_and_their_shins_down() -> None:
    windows = _windows(seated=1.0)
    for side in ("left", "right"):
        thigh = _directions(windows, child=f"{side}_knee")
        assert (thigh[:, 1] < -0.5).mean() > 0.85  # the body looks along -y
        assert abs(thigh[:, 2].mean()) < 0.4
        assert _directions(windows, child=f"{side}_ankle")[:, 2].mean() < -0.5
    assert (_directions(windows, child="left_knee")[:, 0] > -0.35).all()  # legs do not cross
    moved = np.abs(np.diff(windows.root_m, axis=1)).max()
    assert moved == 0.0  # who sits does not walk off


def test_the_shins_of_kneeling_people_point_back() -> None:
    shin = _directions(_windows(kneeling=1.0), child="left_ankle")
    assert (shin[:, 1] > 0.5).mean() > 0.8


def test_the_trunks_of_lying_people_are_level() -> None:
    trunk = _directions(_windows(lying=1.0), child="chest")
    assert np.abs(trunk[:, 2]).max() < 0.5


def test_windows_without_postures_stay_as_they_are() -> None:
    windows = _windows(seated=0.3)
    rotations, root = with_postures(windows.rotations_wxyz, windows.root_m, PostureShares(), np.random.default_rng(0))
    assert np.array_equal(rotations, windows.rotations_wxyz)
    assert np.array_equal(root, windows.root_m)


def test_lenses_keep_the_person_at_the_size_drawn_and_the_distance_in_range() -> None:
    ranges = ShotRange()
    shots = random_shots(5000, ranges, np.random.default_rng(0))
    longer = shots.half_size.max(axis=-1)
    focal_mm = 18.0 / longer
    assert focal_mm.min() >= ranges.shortest_mm - 1e-6
    assert focal_mm.max() <= ranges.longest_mm + 1e-6
    assert shots.distance_m.min() >= ranges.nearest_m
    assert shots.distance_m.max() <= ranges.farthest_m
    wide, tele = focal_mm < 24, focal_mm > 70
    assert np.median(shots.distance_m[wide]) < 0.5 * np.median(shots.distance_m[tele])


def test_an_image_keeps_shoulders_or_hips_and_cuts_off_the_rest() -> None:
    rng = np.random.default_rng(0)
    people = simulate_people(draw_windows(_pool(), 400, rng, Variation()), rng, SimulationSettings())
    points, shots = people.noisy.points, random_shots(400, ShotRange(), rng)
    outside = outside_image(points, shots)
    middle = outside[:, WINDOW // 2]
    assert 0.05 < middle.mean() < 0.6
    torso_kept = ~middle[:, SHOULDERS].all(axis=1) | ~middle[:, HIPS].all(axis=1)
    assert torso_kept.mean() > 0.9
    far = replace(shots, half_size=np.full_like(shots.half_size, 50.0))
    assert not outside_image(points, far).any()


def test_cut_off_keypoints_are_reported_with_little_confidence_and_much_error() -> None:
    rng = np.random.default_rng(0)
    plain = simulate_batch(_pool(), 400, rng, SimulationSettings())
    video = simulate_batch(_pool(), 400, rng, as_in_video(SimulationSettings()))
    unseen = [(batch.frames[:, WINDOW // 2, 66:99] < 0.5).mean() for batch in (plain, video)]
    assert unseen[1] > unseen[0] + 0.05
    assert np.isfinite(video.frames).all()
    half_size = [np.percentile(np.exp(batch.context[:, 0] - 1.0), 99) for batch in (plain, video)]
    assert half_size[1] > 1.3 * half_size[0]
    assert np.percentile(video.gravity[:, 2], 1) < np.percentile(plain.gravity[:, 2], 1)


def test_the_ordinary_simulation_is_what_it_was() -> None:
    settings = SimulationSettings()
    assert settings.shots is None
    assert not settings.variation.postures.any
    assert as_in_video(settings).noise == settings.noise
