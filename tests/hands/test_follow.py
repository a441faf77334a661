"""Whose hand it is: one hand for one side, no stranger's, none where there is none."""

from dataclasses import replace

import numpy as np

from backend.hands.close_up import CloseUpHands, _Followed
from backend.hands.crops import WRISTS, pixels_per_metre, roi_from_body, roi_from_landmarks
from backend.hands.follow import Found, HandFollower, _fits, _one_hand_once, load_hand_networks
from backend.hands.palms import anchor_centres


def body() -> np.ndarray:
    """A person 500 px a metre, arms hanging, in BlazePose's landmarks."""
    keypoints = np.full((33, 2), np.nan)
    for left, x, y in (
        (11, 0.175, 0),
        (13, 0.2, 0.27),
        (15, 0.2, 0.5),
        (17, 0.22, 0.6),
        (19, 0.18, 0.6),
        (23, 0.1, 0.5),
    ):
        keypoints[left] = [300 + 500 * x, 100 + 500 * y]
        keypoints[left + 1] = [300 - 500 * x, 100 + 500 * y]
    return keypoints


def hand_at(wrist: np.ndarray, own: float = 0.9) -> Found:
    points = wrist + np.random.default_rng(0).uniform(-30, 30, (21, 2)) + [0, 40]
    points[0], points[9] = wrist, np.add(wrist, (0, 45))
    return Found(points, 0.9, own)


def test_the_scale_survives_a_keypoint_astray_and_a_turned_body() -> None:
    keypoints = body()
    assert abs(pixels_per_metre(keypoints) - 500) < 30
    keypoints[15] += [400, 0]
    assert abs(pixels_per_metre(keypoints) - 500) < 150
    turned = body()
    turned[:, 0] = 300 + 0.2 * (turned[:, 0] - 300)
    assert abs(pixels_per_metre(turned) - 500) < 60


def test_regions_lie_over_the_hand_and_the_left_one_is_mirrored() -> None:
    keypoints = body()
    for side in (0, 1):
        roi = roi_from_body(keypoints, side, 500.0)
        hand = hand_at(keypoints[WRISTS[side]]).landmarks_px
        x0, y0, x1, y1 = roi.box()
        assert ((hand > [x0, y0]) & (hand < [x1, y1])).all()
        assert roi.mirrored == roi_from_landmarks(hand, side).mirrored == (side == 0)


def test_a_hand_far_from_the_wrist_or_of_another_size_is_none() -> None:
    keypoints = body()
    wrist = keypoints[WRISTS[0]]
    assert _fits(hand_at(wrist), 0, keypoints, 500.0)
    assert not _fits(hand_at(np.add(wrist, (150, 0))), 0, keypoints, 500.0)
    assert not _fits(replace(hand_at(wrist), presence=0.3), 0, keypoints, 500.0)
    tiny = hand_at(wrist)
    assert not _fits(replace(tiny, landmarks_px=wrist + 0.1 * (tiny.landmarks_px - wrist)), 0, keypoints, 500.0)


def test_one_hand_is_not_both() -> None:
    keypoints = body()
    hand = hand_at(keypoints[WRISTS[0]])
    left, right = _one_hand_once([hand, hand], keypoints)
    assert left is hand
    assert right is None
    apart = [hand_at(keypoints[WRISTS[side]]) for side in (0, 1)]
    assert _one_hand_once(list(apart), keypoints) == apart


def test_a_strangers_hand_and_the_other_hand_are_refused() -> None:
    follower = HandFollower(load_hand_networks(threads=1), 1)
    keypoints = body()
    wrist = keypoints[WRISTS[0]]
    hand = hand_at(np.add(wrist, (30, 0)))
    assert follower._own(hand, 0, keypoints, np.zeros((0, 2)), 500.0) is hand
    assert follower._own(hand, 0, keypoints, np.add(wrist, (32, 0))[None], 500.0) is None
    assert follower._own(replace(hand, own_hand=0.02), 0, keypoints, np.zeros((0, 2)), 500.0) is None


def test_nothing_is_found_where_nothing_is_and_palms_are_sought_seldom() -> None:
    follower = HandFollower(load_hand_networks(threads=1), 20)
    image = np.full((600, 600, 3), 120, np.uint8)
    for row in range(20):
        follower.update(row, image, row / 30.0, body(), np.ones(33), np.zeros((0, 2)))
    track = follower.track()
    assert not track.presence.any()
    assert np.isnan(track.landmarks_px).all()
    assert track.searches == 4  # both hands, at most every half second


def test_detectors_have_as_many_anchors_as_rows() -> None:
    assert len(anchor_centres(192)) == 2016
    assert len(anchor_centres(128)) == 896


def test_of_two_that_follow_one_hand_in_a_close_up_the_newer_is_dropped() -> None:
    """Both are taken for the same side, so that they are alike but for their arrays."""
    follower = CloseUpHands(load_hand_networks())
    older, newer = (_Followed(0, hand_at(np.array([100.0, 100.0]))) for _ in range(2))
    for hand, frames in ((older, 3), (newer, 2)):
        for row in range(frames):
            hand.keep(row, hand.last)
    follower._now = [older, newer]
    follower._drop_doubles()
    assert len(follower._now) == 1
    assert follower._now[0] is older
