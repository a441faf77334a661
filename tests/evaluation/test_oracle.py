"""Truth in place of parts: of a made person, what is replaced becomes true and what is not keeps its error."""

from __future__ import annotations

import numpy as np
import pytest

from backend.camera.lens import project_m
from backend.embedding.keypoints import KEYPOINT_NAMES
from backend.evaluation.landmark_track import landmark_track
from backend.evaluation.metrics import LIMB_JOINTS
from backend.evaluation.oracle import (
    ANSWERS,
    TrueClip,
    angle_deg,
    knee_bend_deg,
    landmarks_of_limbs,
    order_is_wrong,
    trunk_m,
    with_both,
)
from backend.types import Array, Intrinsics

_FRAMES = 20
_CAMERA = Intrinsics(np.array([[900.0, 0, 640], [0, 900, 360], [0, 0, 1]]), 1280, 720, "made")
_STANDING = {
    "shoulder": (0.18, -0.5, 0.0),
    "elbow": (0.25, -0.25, 0.1),
    "wrist": (0.28, -0.02, -0.05),
    "hip": (0.12, 0.0, 0.0),
    "knee": (0.14, 0.42, -0.05),
    "ankle": (0.13, 0.85, 0.05),
}
_TIMES = np.arange(_FRAMES) / 30


def _person() -> Array:
    """Limbs (T, 12, 3) m relative to the mid-hip, slightly different in each frame."""
    rng = np.random.default_rng(0)
    side = {"l": np.array([1.0, 1, 1]), "r": np.array([-1.0, 1, 1])}
    limbs = np.array([side[name[0]] * _STANDING[name[1:]] for name in LIMB_JOINTS])
    return _relative(limbs + 0.02 * rng.normal(size=(_FRAMES, 12, 3)))


def _relative(limbs: Array) -> Array:
    hips = [LIMB_JOINTS.index("lhip"), LIMB_JOINTS.index("rhip")]
    return np.asarray(limbs - limbs[:, hips].mean(axis=1, keepdims=True))


def _off(part: str, solved: Array, truth: Array) -> Array:
    return np.linalg.norm(_relative(ANSWERS[part](solved, truth, _TIMES)) - truth, axis=-1)


@pytest.mark.parametrize("part", ANSWERS)
def test_the_truth_is_left_alone(part: str) -> None:
    assert _off(part, _person(), _person()).max() < 1e-9


@pytest.mark.parametrize(
    ("part", "limb"), [("legs", ("knee", "ankle")), ("arms", ("elbow", "wrist")), ("torso (hips", ("shoulder", "hip"))]
)
def test_a_true_part_is_true_and_the_others_keep_their_error(part: str, limb: tuple[str, ...]) -> None:
    truth = _person()
    wrong = np.array([[0.0, 0.0, 0.1] if name[1:] in limb else [0.0] * 3 for name in LIMB_JOINTS])
    name = next(answer for answer in ANSWERS if answer.startswith(part))
    other = "arms" if name != "arms" else "legs"
    if limb == ("shoulder", "hip"):
        solved = _relative(truth + wrong * [[(-1.0) ** place] for place in range(12)])
        assert _off(name, solved, truth)[:, [0, 1, 6, 7]].max() < 1e-9
    else:
        assert _off(name, truth + wrong, truth).max() < 1e-9
        assert _off(other, truth + wrong, truth).max() > 0.09


def test_limbs_reversed_in_depth_are_counted_and_put_right() -> None:
    truth = _person()
    solved = truth.copy()
    elbow, wrist = LIMB_JOINTS.index("lelbow"), LIMB_JOINTS.index("lwrist")
    solved[:, wrist, 2] = 2 * truth[:, elbow, 2] - truth[:, wrist, 2]
    assert order_is_wrong(solved, truth).mean() == pytest.approx(1 / 8)
    assert _off("order in depth", solved, truth).max() < 1e-9


def test_a_turned_body_is_put_right_by_its_rotation_and_a_lean_by_the_trunk() -> None:
    truth = _person()
    lean = np.radians(10.0)
    turn = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
    solved = truth @ turn.T
    assert angle_deg(trunk_m(solved), trunk_m(truth)) == pytest.approx(np.full(_FRAMES, 10.0), abs=1.0)
    assert _off("rotation of the whole body", solved, truth).max() < 1e-9
    straightened = _off("direction of the trunk, the arms turned with it", solved, truth)
    shoulders, knees = ([place for place, name in enumerate(LIMB_JOINTS) if part in name] for part in ("sh", "knee"))
    assert straightened[:, shoulders].max() < 0.02
    assert straightened[:, knees].min() > 0.05


def test_slow_errors_and_constant_ones_are_told_apart() -> None:
    truth = _person()
    slow = 0.1 * np.linspace(-1, 1, _FRAMES)[:, None, None] * np.array([0.0, 0, 1])
    solved = _relative(truth + 0.05 * np.eye(12)[:, [0]] * [1.0, 0, 0] + slow * np.eye(12)[:, [2]])
    elbow, shoulder = LIMB_JOINTS.index("lelbow"), LIMB_JOINTS.index("lshoulder")
    left = _off("constant part of every joint's error", solved, truth)
    assert left[:, shoulder].max() < 1e-9
    assert left[:, elbow].max() == pytest.approx(0.1)


def test_a_straight_knee_has_no_bend() -> None:
    limbs = np.zeros((1, 12, 3))
    for side in "lr":
        limbs[0, LIMB_JOINTS.index(f"{side}knee")] = (0.0, 0.4, 0.0)
        limbs[0, LIMB_JOINTS.index(f"{side}ankle")] = (0.0, 0.8, 0.0)
    assert knee_bend_deg(limbs) == pytest.approx(np.zeros((1, 2)), abs=1e-4)


def test_the_true_input_is_the_projected_truth_and_carries_hands_and_feet_along() -> None:
    limbs = _person() + np.array([0.3, 0.1, 4.0])
    rng = np.random.default_rng(1)
    points = project_m(_CAMERA, limbs).mean(axis=1, keepdims=True) + rng.normal(0, 60, (_FRAMES, 33, 2))
    track = landmark_track(points, np.full((_FRAMES, 33), 0.4), rng.normal(size=(_FRAMES, 33, 3)))
    clip = TrueClip(track, _CAMERA, landmarks_of_limbs(limbs, _CAMERA, track), limbs)
    true = with_both(clip)
    wrist, thumb = KEYPOINT_NAMES.index("left_wrist"), KEYPOINT_NAMES.index("left_thumb")
    projected = project_m(_CAMERA, limbs[:, LIMB_JOINTS.index("lwrist")])
    assert true.keypoints_px[:, wrist] == pytest.approx(projected)
    own = points[:, thumb] - points[:, wrist]
    assert true.keypoints_px[:, thumb] - projected == pytest.approx(own, abs=1e-6)
    assert (true.visibility == 1.0).all()
    hips = [KEYPOINT_NAMES.index("left_hip"), KEYPOINT_NAMES.index("right_hip")]
    assert true.world_m[:, hips].mean(axis=1) == pytest.approx(np.zeros((_FRAMES, 3)), abs=1e-9)
    far = np.linalg.norm(clip.landmarks_m[:, wrist] - clip.landmarks_m[:, hips].mean(axis=1), axis=-1)
    assert np.linalg.norm(true.world_m[:, wrist], axis=-1) == pytest.approx(far)
