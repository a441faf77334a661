"""Smoothing is still when the person is and lets fast motion pass; the person is placed on the floor."""

from __future__ import annotations

import numpy as np
import pytest

from backend.live.follower import SideKeeper
from backend.live.smoothing import Euro, EuroRotation, EuroVector, SmoothSettings
from backend.people.left_right import MIRRORED
from blender_addon.motion.rotations import quaternion_between, rotvec_to_quaternion

STEP_S = 1.0 / 30.0


def test_noise_of_a_still_value_is_calmed():
    random = np.random.default_rng(3)
    euro = EuroVector(SmoothSettings().joints)
    out = np.array([euro.update(0.005 * random.normal(size=(17, 3)), STEP_S).copy() for _ in range(150)])[60:]
    step = np.linalg.norm(np.diff(out, axis=0), axis=-1).mean()
    assert step < 0.002  # raw: 11 mm


def test_a_fast_turn_lags_by_less_than_two_frames():
    euro, angles = EuroRotation(SmoothSettings().rotation), np.concatenate([np.zeros(30), np.linspace(0, 3.0, 30)])
    out = [euro.update(rotvec_to_quaternion(np.array([[0.0, 0.0, angle]])), STEP_S).copy() for angle in angles]
    truth = rotvec_to_quaternion(np.array([0.0, 0.0, angles[-1]]))
    assert quaternion_between(out[-1][0], truth) < 2 * 0.1035


def test_noisy_rotations_are_calmed():
    random = np.random.default_rng(4)
    euro = EuroRotation(SmoothSettings().rotation)
    out = np.array([euro.update(rotvec_to_quaternion(0.03 * random.normal(size=(24, 3))), STEP_S) for _ in range(150)])
    assert quaternion_between(out[60:-1], out[61:]).mean() < 0.006


def test_the_first_value_is_taken_as_it_is():
    assert EuroVector(Euro(1.0, 0.0)).update(np.array([3.0]), 0.0) == pytest.approx(3.0)


def test_exchanged_sides_are_put_right_and_believed_after_a_while():
    random = np.random.default_rng(5)
    points = random.uniform(0, 400, (33, 2))
    keeper = SideKeeper()
    assert not keeper.is_wrong(points, 0.0)
    assert keeper.is_wrong(points[MIRRORED], STEP_S)
    assert not keeper.is_wrong(points, 2 * STEP_S)
    told = [keeper.is_wrong(points[MIRRORED], (3 + k) * STEP_S) for k in range(60)]
    assert told[0]
    assert not told[-1]


def test_a_slow_computer_calibrates_too():
    from backend.live.calibration import CalibrationSettings, Calibrator
    from backend.live.causal_poses import CausalPose
    from backend.types import PersonTrack

    points = np.random.default_rng(6).uniform(0, 400, (1, 33, 2))
    ones = np.ones((1, 33))
    calibrator = Calibrator(CalibrationSettings())
    for number in range(60):
        time_s = number / 3.0  # three frames a second
        track = PersonTrack(
            0, np.array([number]), np.array([time_s]), points, ones, ones, np.zeros((1, 33, 3)), ones[:, 0], ones[:, :4]
        )
        down = np.array([0.0, 1.0, 0.0])
        joints = np.zeros((24, 4))
        pose = CausalPose(number, time_s, joints, down, np.zeros((17, 3)), 1.0, 0.0, 0.0, down, np.zeros(7))
        calibrator.add(track, pose)
        if calibrator.is_due:
            break
    assert time_s < 5.0
