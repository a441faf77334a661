"""Where networks see landmarks on the body: the fit finds what was put in, and the body's file keeps its layout."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from blender_addon.motion.body import canonical_body, forward_kinematics, points_m
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion
from tests.training.test_renders import people
from tools.fit_landmark_points import _BODY_FILE, _fit, _frame, _text
from tools.measure_proportions import standing_ratio

NAMES = canonical_body().subsets["blazepose33"]


def test_the_fit_finds_where_landmarks_are_seen() -> None:
    bare, rng = people(60), np.random.default_rng(5)
    body = canonical_body()
    _, turns = forward_kinematics(body, bare.rotations_wxyz.astype(float), np.zeros((len(bare), 3)))
    in_camera = bare.camera_from_world[:, None] @ quaternion_to_matrix(turns)
    offsets = {name: rng.normal(0.0, 0.02, 3) for name in NAMES if not name.startswith("right_")}
    seen = bare.landmarks_m.astype(float).copy()
    for place, name in enumerate(NAMES):
        left = name.replace("right_", "left_")
        offsets[left][0] *= left.startswith("left_")  # what lies in the middle is seen in the middle
        offset = offsets[left] * ([-1, 1, 1] if left != name else [1, 1, 1])
        seen[:, place] += in_camera[:, body.joint_index(_frame(name))] @ offset
    points = seen[..., :2] / seen[..., 2:]
    lost = rng.random(points.shape[:2]) < 0.1
    points[lost] += 0.3  # a landmark that is somewhere else must not pull
    for name, offset in offsets.items():
        found, before, after = _fit([replace(bare, points=points.astype(np.float32))], name)
        assert np.allclose(found, offset, atol=0.002), name
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
    seen = points_m(body, "blazepose33", *forward_kinematics(body, still, np.zeros((3, 3))))
    front = seen[..., [0, 2]] * [1.0, -1.0] * 200.0  # px, from far away
    names = ("shoulder", "hip", "knee", "ankle")
    left, right = (
        {name: seen[0, body.subsets["blazepose33"].index(f"{side}_{name}")] for name in names}
        for side in ("left", "right")
    )
    trunk = (left["shoulder"] + right["shoulder"])[2] / 2 - (left["hip"] + right["hip"])[2] / 2
    leg = [
        np.hypot(*(side[a] - side[b])[[0, 2]])
        for side in (left, right)
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    assert standing_ratio(front) == pytest.approx([trunk / (sum(leg) / 2)])
