"""Hands of several views: who sees more counts more, a palm that looks the wrong way hardly; and at other times."""

import numpy as np
import pytest

from backend.hands import HandEvidence, HandTrack, hands_at, hands_together, no_hands
from backend.hands.timing import between, longest_gap_s
from blender_addon.motion.rotations import quaternion_between, rotvec_to_quaternion

FRAMES = 30
TIMES_S = np.arange(FRAMES) / 30.0
SHOTS = np.zeros(FRAMES, np.intp)


def view(bend: float, turn_rad: float, confidence: float, palm_px: float = 60.0) -> HandEvidence:
    made = no_hands(FRAMES)
    made.angles[:] = bend
    made.wrist_wxyz[:] = rotvec_to_quaternion(np.array([0.0, turn_rad, 0.0]))
    made.confidence[:], made.wrist_confidence[:], made.pixels[:] = confidence, confidence, palm_px
    return made


def test_one_view_stays_as_it_is() -> None:
    one = view(0.4, 0.1, 0.7)
    assert hands_together([one], TIMES_S, SHOTS) is one


def test_the_view_that_sees_more_counts_more() -> None:
    both = hands_together([view(0.2, 0.0, 0.9), view(0.8, 0.2, 0.3)], TIMES_S, SHOTS)
    assert 0.2 < both.angles.mean() < 0.3
    near = hands_together([view(0.2, 0.0, 0.9, 12.0), view(0.8, 0.0, 0.9, 60.0)], TIMES_S, SHOTS)
    assert near.angles.mean() > 0.65
    assert np.all(near.pixels == 60.0)
    assert (both.confidence > 0.8).all(), "a bad view does not make a good one worse"


def test_a_palm_that_is_taken_for_its_back_hardly_counts() -> None:
    wrong = view(1.2, np.pi, 0.6)
    both = hands_together([wrong, view(0.2, 0.0, 0.9)], TIMES_S, SHOTS)
    assert np.degrees(quaternion_between(both.wrist_wxyz, view(0, 0.0, 1.0).wrist_wxyz)).max() < 5.0
    assert both.angles.mean() < 0.25


def test_views_change_over_smoothly() -> None:
    first, second = view(0.2, 0.0, 0.9), view(0.8, 0.0, 0.9)
    first.confidence[15:], second.confidence[:15] = 0.05, 0.05
    both = hands_together([first, second], TIMES_S, SHOTS)
    assert both.angles[2].mean() < 0.25
    assert both.angles[-3].mean() > 0.75
    assert np.abs(np.diff(both.angles[:, 0, 0])).max() < 0.25


def test_a_close_up_gives_fingers_and_no_wrists() -> None:
    close = view(0.8, 0.0, 0.95)
    close.wrist_wxyz[:], close.wrist_confidence[:] = np.nan, 0.0
    both = hands_together([view(0.2, 0.5, 0.3, 15.0), close], TIMES_S, SHOTS)
    assert both.angles.mean() > 0.7
    np.testing.assert_allclose(both.wrist_wxyz, view(0.2, 0.5, 0.3).wrist_wxyz, atol=1e-9)
    np.testing.assert_allclose(both.wrist_confidence, 0.3)


def test_landmarks_at_the_times_of_another_video() -> None:
    own_s = np.arange(20) / 25.0
    landmarks = np.tile(own_s[:, None, None, None], (1, 2, 21, 2))
    presence = np.ones((20, 2))
    presence[8:14, 1] = 0.0
    track = HandTrack(landmarks, presence, np.full(20, 300.0))
    at_s = np.array([-0.2, 0.1, 0.41, 0.55, 0.9])
    found = hands_at(track, own_s, at_s)
    np.testing.assert_allclose(found.landmarks_px[:, 0, 0, 0], [np.nan, 0.1, 0.41, 0.55, np.nan])
    assert (found.presence[:, 0] > 0).tolist() == [False, True, True, True, False]
    assert (found.presence[:, 1] > 0).tolist() == [False, True, False, True, False]
    assert not between(own_s, np.zeros(20, bool), at_s).known.any()


@pytest.mark.parametrize(("rate", "gap_s"), [(30.0, 0.12), (5.0, 0.3)])
def test_neighbouring_frames_of_a_slow_video_belong_together(rate: float, gap_s: float) -> None:
    assert abs(longest_gap_s(np.arange(20) / rate) - gap_s) < 1e-9
