"""Two-bone IK: lengths kept, targets met, plane kept, no flips."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.motion.limb_ik import Limb, two_bone_ik
from blender_addon.motion.rotations import quaternion_rotate


def _limb(seed: int, count: int = 1) -> Limb:
    random = np.random.default_rng(seed)
    root = random.normal(size=(count, 3))
    upper = random.normal(size=(count, 3))
    lower = random.normal(size=(count, 3))
    upper *= random.uniform(0.2, 0.6, (count, 1)) / np.linalg.norm(upper, axis=-1, keepdims=True)
    lower *= random.uniform(0.2, 0.6, (count, 1)) / np.linalg.norm(lower, axis=-1, keepdims=True)
    return Limb(root, root + upper, root + upper + lower)


@given(st.integers(0, 10_000))
def test_a_target_in_reach_is_met_with_the_bones_kept(seed: int) -> None:
    limb = _limb(seed, 8)
    random = np.random.default_rng(seed + 1)
    upper = np.linalg.norm(limb.middle_m - limb.root_m, axis=-1)
    lower = np.linalg.norm(limb.end_m - limb.middle_m, axis=-1)
    direction = random.normal(size=(8, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    distance = random.uniform(np.abs(upper - lower) * 1.01 + 1e-3, (upper + lower) * 0.999)
    target = limb.root_m + distance[:, None] * direction
    solution = two_bone_ik(limb, target)
    assert solution.reached.all()
    np.testing.assert_allclose(solution.end_m, target, atol=1e-9)
    turned_upper = quaternion_rotate(solution.upper_turn_wxyz, limb.middle_m - limb.root_m)
    turned_lower = quaternion_rotate(solution.lower_turn_wxyz, limb.end_m - limb.middle_m)
    np.testing.assert_allclose(limb.root_m + turned_upper, solution.middle_m, atol=1e-7)
    np.testing.assert_allclose(limb.root_m + turned_upper + turned_lower, target, atol=1e-7)


@given(st.integers(0, 10_000))
def test_the_own_end_as_target_changes_nothing(seed: int) -> None:
    limb = _limb(seed)
    solution = two_bone_ik(limb, limb.end_m)
    np.testing.assert_allclose(np.abs(solution.upper_turn_wxyz[..., 0]), 1.0, atol=1e-7)
    np.testing.assert_allclose(solution.middle_m, limb.middle_m, atol=1e-6)


def test_out_of_reach_points_at_the_target_and_says_so() -> None:
    limb = Limb(np.zeros(3), np.array([0.0, 0.1, -0.4]), np.array([0.0, 0.0, -0.8]))
    solution = two_bone_ik(limb, np.array([0.0, 0.0, -5.0]))
    assert not solution.reached
    np.testing.assert_allclose(solution.end_m[:2], 0.0, atol=1e-9)
    longest = 2 * np.hypot(0.1, 0.4)
    np.testing.assert_allclose(solution.end_m[2], -longest, atol=1e-6)


def test_a_straight_leg_bends_towards_the_hint() -> None:
    straight = Limb(np.zeros(3), np.array([0.0, 0.0, -0.4]), np.array([0.0, 0.0, -0.8]))
    solution = two_bone_ik(straight, np.array([0.0, 0.0, -0.7]), bend_hint=np.array([0.0, -1.0, 0.0]))
    assert solution.middle_m[1] < -0.1
    np.testing.assert_allclose(solution.middle_m[0], 0.0, atol=1e-9)


def test_a_bent_leg_keeps_its_own_plane_against_the_hint() -> None:
    bent = Limb(np.zeros(3), np.array([0.0, -0.1, -0.4]), np.array([0.0, 0.0, -0.8]))
    solution = two_bone_ik(bent, np.array([0.0, 0.0, -0.6]), bend_hint=np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(solution.middle_m[0], 0.0, atol=1e-9)
    assert solution.middle_m[1] < -0.1


def test_soft_reach_slows_the_knee_near_full_stretch() -> None:
    distance = np.linspace(0.70, 0.90, 400)
    limb = Limb(np.zeros((400, 3)), np.tile([0.0, -0.1, -0.4], (400, 1)), np.tile([0.0, 0.0, -0.8], (400, 1)))
    target = np.stack([np.zeros(400), np.zeros(400), -distance], -1)

    def knee_speed(soft: float) -> float:
        knee = two_bone_ik(limb, target, soft_fraction=soft).middle_m
        return float(np.linalg.norm(np.diff(knee, axis=0), axis=-1).max())

    assert knee_speed(0.05) < 0.5 * knee_speed(0.0)
