"""Bodies that lie, kneel or stand on their hands are on the floor, and none of them is below it."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon.motion.body import BodyShape, canonical_body
from blender_addon.motion.body_contacts import CONTACT_PARTS
from blender_addon.motion.planting import Motion, plant_feet
from blender_addon.motion.posing import FOOT_POINTS, pose_body
from blender_addon.motion.resting import heights_m, lift_feet, rest_body
from blender_addon.motion.rotations import quaternion_to_rotvec, rotvec_to_quaternion

BODY = canonical_body()
SHAPE = BodyShape(BODY.height_m, np.ones(len(BODY.joint_names)))
FRAMES = 40
# turns about the body's left (x), back (y) and up (z), degrees
ON_BACK = {"pelvis": (-90, 0, 0), "left_shoulder": (0, 70, 0), "right_shoulder": (0, -70, 0)}
ON_HANDS = {
    "pelvis": (80, 0, 0),
    "left_hip": (-10, 0, 0),
    "right_hip": (-10, 0, 0),
    "left_ankle": (-40, 0, 0),
    "right_ankle": (-40, 0, 0),
    "left_shoulder": (0, 0, -90),
    "right_shoulder": (0, 0, 90),
}


def _motion(pose: dict[str, tuple[float, float, float]], root_z_m: float) -> Motion:
    turns = np.zeros((FRAMES, len(BODY.joint_names), 3))
    for name, turn in pose.items():
        turns[:, BODY.joint_index(name)] = turn
    root = np.tile([0.0, 0.0, root_z_m], (FRAMES, 1))
    return Motion(np.arange(FRAMES) / 30.0, rotvec_to_quaternion(np.deg2rad(turns)), root)


def _contacts(*parts: str) -> np.ndarray:
    planted = np.zeros((FRAMES, len(FOOT_POINTS) + len(CONTACT_PARTS)), bool)
    for name in parts:
        planted[:, [*FOOT_POINTS, *CONTACT_PARTS].index(name)] = True
    return planted


def _heights(motion: Motion) -> dict[str, float]:
    height = heights_m(BODY, pose_body(BODY, SHAPE, motion.rotations_wxyz, motion.root_m))
    return dict(zip([*FOOT_POINTS, *CONTACT_PARTS], np.median(height, axis=0).tolist(), strict=True))


def test_a_body_that_lies_in_the_air_or_in_the_floor_comes_to_the_floor() -> None:
    for root_z_m in (0.05, 0.25):
        rested = rest_body(BODY, SHAPE, _motion(ON_BACK, root_z_m), _contacts("seat", "back"))
        height = _heights(rested)
        assert min(height["seat"], height["back"], height["head"]) >= -0.002
        assert min(abs(height["seat"]), abs(height["back"]), abs(height["head"])) < 0.01
        assert min(height["left_hand"], height["right_hand"]) > -0.005


def test_resting_hands_come_to_the_floor_by_the_arms() -> None:
    motion = _motion(ON_HANDS, 0.5)
    parts = ("left_toe", "right_toe", "left_hand", "right_hand")
    rested = rest_body(BODY, SHAPE, motion, _contacts(*parts))
    height = _heights(rested)
    assert abs(height["left_hand"]) < 0.01
    assert abs(height["right_hand"]) < 0.01
    legs = [BODY.joint_index(name) for name in ("left_hip", "left_knee", "right_hip", "spine")]
    np.testing.assert_array_equal(rested.rotations_wxyz[:, legs], motion.rotations_wxyz[:, legs])


def test_a_body_without_such_contacts_is_not_moved_and_one_in_the_air_not_pulled_down() -> None:
    for parts in ((), ("left_heel", "left_toe")):
        motion = _motion({"left_shoulder": (0, 70, 0)}, 1.4)
        rested = rest_body(BODY, SHAPE, motion, _contacts(*parts))
        np.testing.assert_array_equal(rested.root_m, motion.root_m)
        np.testing.assert_array_equal(rested.rotations_wxyz, motion.rotations_wxyz)


def test_a_seat_on_a_chair_is_not_pulled_to_the_floor() -> None:
    sitting = {f"{s}_{joint}": (turn, 0, 0) for s in ("left", "right") for joint, turn in (("hip", -88), ("knee", 88))}
    motion = _motion(sitting, 0.5)
    rested = rest_body(BODY, SHAPE, motion, _contacts("seat", *FOOT_POINTS))
    np.testing.assert_array_equal(rested.root_m, motion.root_m)
    np.testing.assert_array_equal(rested.rotations_wxyz, motion.rotations_wxyz)


def test_feet_do_not_pull_a_resting_body_through_the_floor() -> None:
    motion = _motion(ON_BACK, 0.12)
    feet = _contacts(*FOOT_POINTS)[:, :4]
    stays = plant_feet(BODY, SHAPE, motion, feet, rests=np.ones(FRAMES, bool))
    np.testing.assert_array_equal(stays.motion.root_m, motion.root_m)


@pytest.mark.parametrize("height_m", [BODY.height_m, 0.8])
def test_a_body_on_a_support_comes_down_to_feet_that_its_legs_do_not_reach(height_m: float) -> None:
    shape = BodyShape(height_m, np.ones(len(BODY.joint_names)))
    motion = _motion({}, float(BODY.rest_positions_m()[0, 2]) * height_m / BODY.height_m + 0.05)
    feet = _contacts(*FOOT_POINTS)[:, :4]
    for rests in (None, np.ones(FRAMES, bool)):
        done = plant_feet(BODY, shape, motion, feet, rests=rests)
        np.testing.assert_allclose(done.motion.root_m[:, 2], motion.root_m[:, 2] - 0.05, atol=0.005)


def test_knees_rest_and_shins_lie_behind_them() -> None:
    """A kneeling body whose solved shins hang steeply, above the floor and in it."""
    kneels = {f"{side}_knee": (60, 0, 0) for side in ("left", "right")}
    for root_z_m in (0.62, 0.35):
        knees = _contacts("left_knee", "right_knee")
        rested = lift_feet(BODY, SHAPE, rest_body(BODY, SHAPE, _motion(kneels, root_z_m), knees), knees)
        height = _heights(rested)
        assert abs(height["left_knee"]) < 0.01
        assert abs(height["right_knee"]) < 0.01
        assert -0.005 < min(height[name] for name in FOOT_POINTS) < 0.01
        assert max(height[name] for name in FOOT_POINTS) < 0.12


def test_elbows_and_free_feet_come_out_of_the_floor() -> None:
    """A body on its back whose left arm points into the floor and whose legs hang below it."""
    lies = ON_BACK | {"left_shoulder": (0, 0, 40), "left_hip": (35, 0, 0)}
    before = _heights(_motion(lies, 0.12))
    assert before["left_elbow"] < -0.05
    assert before["left_heel"] < -0.2
    contacts = _contacts("seat", "back")
    rested = _heights(lift_feet(BODY, SHAPE, rest_body(BODY, SHAPE, _motion(lies, 0.12), contacts), contacts))
    assert min(rested[name] for name in ("left_elbow", "left_hand", "left_heel", "left_toe")) > -0.02
    assert abs(rested["back"]) < 0.01 or abs(rested["seat"]) < 0.01


def test_hidden_feet_are_lifted_only_where_the_trunk_lies() -> None:
    hidden = np.ones((FRAMES, len(FOOT_POINTS)), bool)
    leg = BODY.joint_index("left_hip")
    stands = _motion({}, 0.7)
    rested = lift_feet(BODY, SHAPE, stands, _contacts(), hidden)
    np.testing.assert_array_equal(rested.rotations_wxyz[:, leg], stands.rotations_wxyz[:, leg])
    lies = _motion(ON_BACK | {"left_hip": (35, 0, 0)}, 0.12)
    contacts = _contacts("seat", "back")
    lifted = lift_feet(BODY, SHAPE, rest_body(BODY, SHAPE, lies, contacts), contacts, hidden)
    assert _heights(lifted)["left_heel"] > -0.02


def test_missing_frames_stay_missing() -> None:
    motion = _motion(ON_BACK, 0.3)
    motion.root_m[10:15] = np.nan
    rested = rest_body(BODY, SHAPE, motion, _contacts("seat", "back"))
    assert np.isnan(rested.root_m[10:15]).all()
    assert np.isfinite(rested.root_m[:10]).all()


AIR = slice(12, 20)


def _stand_and_jump(low_m: float) -> tuple[Motion, np.ndarray]:
    """Somebody who stands, jumps by 12 cm with straight legs and stands again, `low_m` too low; with contacts."""
    motion = _motion({}, -min(_heights(_motion({}, 0.0)).values()) - low_m)
    motion.root_m[AIR, 2] += 0.12 * np.sin(np.linspace(0.0, np.pi, 10))[1:-1]
    contacts = _contacts(*FOOT_POINTS)
    contacts[AIR] = False
    return motion, contacts


def _knee_deg(motion: Motion) -> np.ndarray:
    turn = quaternion_to_rotvec(motion.rotations_wxyz[:, BODY.joint_index("left_knee")])
    return np.rad2deg(np.linalg.norm(turn, axis=1))


def test_legs_stay_straight_in_a_jump_though_the_whole_body_is_solved_too_low() -> None:
    motion, contacts = _stand_and_jump(0.12)
    planted = plant_feet(BODY, SHAPE, rest_body(BODY, SHAPE, motion, contacts), contacts[:, :4]).motion
    lifted = lift_feet(BODY, SHAPE, planted, contacts)
    assert (_knee_deg(lifted) - _knee_deg(planted)).max() < 3.0
    assert heights_m(BODY, pose_body(BODY, SHAPE, lifted.rotations_wxyz, lifted.root_m))[:, :4].min() > -0.02


def test_legs_go_to_the_floor_and_back_without_a_jump() -> None:
    """Hidden legs of somebody who lies and sits up: they hang through the floor beside a trunk that is upright."""
    lies, sits = _motion(ON_BACK | {"left_hip": (35, 0, 0)}, 0.12), _motion({}, 0.5)
    lies.rotations_wxyz[20:], lies.root_m[20:] = sits.rotations_wxyz[20:], sits.root_m[20:]
    lies.rotations_wxyz[:, 0] = sits.rotations_wxyz[:, 0]
    hidden = np.ones((FRAMES, len(FOOT_POINTS)), bool)
    hidden[20:] = False
    own = _knee_deg(lies)
    lifted = lift_feet(BODY, SHAPE, lies, _contacts(), hidden)
    assert np.abs(np.diff(_knee_deg(lifted) - own)).max() < 25.0


def test_shins_lie_down_and_stand_up_again_without_a_jump() -> None:
    kneels = {f"{side}_knee": (50, 0, 0) for side in ("left", "right")}
    motion, knees = _motion(kneels, 0.5), _contacts("left_knee", "right_knee")
    knees[:15] = False
    knees[28:] = False
    step_deg = np.abs(np.diff(_knee_deg(rest_body(BODY, SHAPE, motion, knees))))
    assert 3.0 < step_deg.max() < 16.0
