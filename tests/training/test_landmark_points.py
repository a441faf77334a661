"""Where networks see landmarks on the body: the fit finds what was put in, and the body's file keeps its layout."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from blender_addon.motion.body import canonical_body, forward_kinematics, points_m, seen_points_m
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion
from tests.training.test_renders import people
from tools.fit_landmark_points import _BODY_FILE, _fit, _text
from tools.measure_proportions import standing_ratio

LEFT_AND_MIDDLE = [name for name in canonical_body().subsets["seen33"] if not name.startswith("right_")]


def test_the_fit_finds_where_landmarks_are_seen() -> None:
    bare = people(60, anatomical=True)
    _, turns = forward_kinematics(canonical_body(), bare.rotations_wxyz.astype(float), np.zeros((len(bare), 3)))
    seen = seen_points_m("seen33", bare.landmarks_m, bare.camera_from_world[:, None] @ quaternion_to_matrix(turns))
    points = seen[..., :2] / seen[..., 2:]
    lost = np.random.default_rng(5).random(points.shape[:2]) < 0.1
    points[lost] += 0.3  # a landmark that is somewhere else must not pull
    subset = dict(zip(canonical_body().subsets["seen33"], canonical_body().points["seen33"], strict=True))
    for name in LEFT_AND_MIDDLE:
        offset, before, after = _fit([replace(bare, points=points.astype(np.float32))], name)
        assert np.allclose(offset, subset[name].shift_m, atol=0.002), name
        assert after < 0.001 < before, name


def test_the_body_s_file_is_as_the_tool_lays_it_out() -> None:
    text = _BODY_FILE.read_text(encoding="utf-8")
    assert _text(json.loads(text)) == text


@pytest.mark.parametrize("turn_deg", [0.0, 180.0])
def test_the_ratio_is_trunk_over_leg_of_people_who_stand_straight(turn_deg: float) -> None:
    body = canonical_body()
    still = np.tile([1.0, 0.0, 0.0, 0.0], (3, len(body.joint_names), 1))
    still[:, 0] = rotvec_to_quaternion(np.array([0.0, 0.0, np.radians(turn_deg)]))
    still[1, body.joint_index("left_knee")] = rotvec_to_quaternion(np.array([0.0, 0.6, 0.0]))  # a bent leg
    still[2, body.joint_index("spine")] = rotvec_to_quaternion(np.array([0.0, 0.5, 0.0]))  # leans to a side
    seen = points_m(body, "seen33", *forward_kinematics(body, still, np.zeros((3, 3))))
    front = seen[..., [0, 2]] * [1.0, -1.0] * 200.0  # px, from far away
    names = ("shoulder", "hip", "knee", "ankle")
    left, right = (
        {name: seen[0, body.subsets["seen33"].index(f"{side}_{name}")] for name in names} for side in ("left", "right")
    )
    trunk = (left["shoulder"] + right["shoulder"])[2] / 2 - (left["hip"] + right["hip"])[2] / 2
    leg = [
        np.hypot(*(side[a] - side[b])[[0, 2]])
        for side in (left, right)
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    assert standing_ratio(front) == pytest.approx([trunk / (sum(leg) / 2)])
