"""Choosing among tracks, telling them apart, putting left and right right, the sheet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.errors import BadInputError, NoPersonError
from backend.people import Choice, PeopleOptions, Selection, choose_tracks
from backend.people.left_right import MIRRORED, fix_swaps
from backend.people.region import Roi
from backend.people.reidentification import Absent, Found, PairAppearance, are_doubles, are_swapped, match
from backend.people.tracked_person import MotionFilter
from backend.types import PersonTrack


def _track(track_id: int, frames: range, height: float, step: float, x: float) -> PersonTrack:
    """A body of fixed shape whose landmarks move to and fro by `step` px around `x`."""
    count = len(frames)
    rng = np.random.default_rng(0)
    shape = rng.uniform(-0.2, 0.2, (33, 2)) * height + [0, 0.3 * height]
    shape[11:33:2, 0], shape[12:33:2, 0] = 0.15 * height, -0.15 * height
    places = np.stack([x + step * (np.arange(count) % 2), np.full(count, 100.0)], -1)
    keypoints = shape[None] + places[:, None]
    box = np.concatenate([keypoints.min(1), keypoints.max(1)], -1)
    world = np.zeros((count, 33, 3))
    world[..., 0], world[..., 2] = shape[:, 0] / height, 0.1
    return PersonTrack(
        track_id, np.array(frames, np.intp), np.array(frames) / 30, keypoints, np.ones((count, 33)),
        np.ones((count, 33)), world, np.ones(count), box,
    )  # fmt: skip


SMALL_LONG = _track(0, range(90), 100, 0.2, 100)
LARGE = _track(1, range(10, 70), 400, 0.2, 500)
LIVELY = _track(2, range(20, 60), 120, 9.0, 900)
TRACKS = [SMALL_LONG, LARGE, LIVELY]


@pytest.mark.parametrize(("choice", "chosen"), [(Choice.LARGEST, 1), (Choice.LONGEST, 0), (Choice.MOST_MOVING, 2)])
def test_choices(choice: Choice, chosen: int) -> None:
    assert [track.track_id for track in choose_tracks(TRACKS, Selection(choice))] == [chosen]


def test_all_by_number_and_by_click() -> None:
    assert choose_tracks(TRACKS, Selection(Choice.ALL)) == TRACKS
    assert choose_tracks(TRACKS, Selection(Choice.INDEX, index=2)) == [LIVELY]
    for track in TRACKS:
        x, y = track.keypoints_px[20, 23]
        click = Selection(Choice.CLICK, click_px=(float(x), float(y)), click_frame=int(track.frame_index[20]))
        assert choose_tracks(TRACKS, click) == [track]


def test_a_point_of_a_image_with_other_pixels_is_scaled_and_of_one_that_lies_is_refused() -> None:
    click = Selection(Choice.CLICK, click_px=(180.0, 300.0), click_frame=3, click_in_px=(720, 576))
    scaled = Selection(Choice.CLICK, click_px=(256.0, 300.0), click_frame=3, frame_px=(1024, 576))
    assert click.in_frame(1024, 576) == scaled
    as_it_is = Selection(Choice.CLICK, click_px=(180.0, 300.0), click_frame=3, frame_px=(720, 576))
    assert click.in_frame(720, 576) == as_it_is
    with pytest.raises(BadInputError, match=r"picked in an image of 720 x 576 pixels, upright the video has 576 x 720"):
        click.in_frame(576, 720)
    for plain in (Selection(), Selection(Choice.CLICK, click_px=(1.0, 2.0))):
        assert plain.in_frame(1024, 576) == replace(plain, frame_px=(1024, 576))


def test_click_and_number_that_hit_nobody() -> None:
    with pytest.raises(NoPersonError, match="no person at 5,5"):
        choose_tracks(TRACKS, Selection(Choice.CLICK, click_px=(5, 5), click_frame=30))
    with pytest.raises(NoPersonError):  # long before the person comes
        choose_tracks([LARGE], Selection(Choice.CLICK, click_px=(500, 220), click_frame=10 - 40))
    with pytest.raises(BadInputError, match="numbers found are 0, 1, 2"):
        choose_tracks(TRACKS, Selection(Choice.INDEX, index=7))
    with pytest.raises(NoPersonError):
        choose_tracks([], Selection())


def test_options_are_checked() -> None:
    for wrong in (lambda: Selection(Choice.CLICK), lambda: Selection(Choice.INDEX)):
        with pytest.raises(BadInputError):
            wrong()
    for wrong_options in ({"max_people": 0}, {"threads": 0}):
        with pytest.raises(BadInputError):
            PeopleOptions(**wrong_options)


def test_frames_with_left_and_right_exchanged_are_put_right() -> None:
    good = _track(0, range(60), 300, 2.0, 300)
    keypoints, world, depth = good.keypoints_px.copy(), good.world_m.copy(), good.keypoint_depth.copy()
    wrong = slice(20, 35)
    keypoints[wrong] = keypoints[wrong][:, MIRRORED]
    world[wrong] = world[wrong][:, MIRRORED] * [1, 1, -1]
    depth[wrong] *= -1
    from dataclasses import replace

    mixed = replace(good, keypoints_px=keypoints, world_m=world, keypoint_depth=depth)
    mended = fix_swaps(mixed)
    np.testing.assert_array_equal(mended.keypoints_px, good.keypoints_px)
    np.testing.assert_array_equal(mended.world_m, good.world_m)
    np.testing.assert_array_equal(mended.keypoint_depth, good.keypoint_depth)
    assert fix_swaps(good) is good


def test_a_person_who_turns_round_is_left_alone() -> None:
    """Shoulders that narrow, cross and widen again are a turn, not a mistake."""
    track = _track(0, range(60), 300, 0.0, 300)
    centre = track.keypoints_px[:, [23, 24]].mean(1, keepdims=True)
    narrow = np.cos(np.linspace(0, 3 * np.pi, 60))[:, None]
    keypoints = track.keypoints_px.copy()
    keypoints[..., 0] = centre[..., 0] + (keypoints[..., 0] - centre[..., 0]) * narrow
    from dataclasses import replace

    assert np.array_equal(fix_swaps(replace(track, keypoints_px=keypoints)).keypoints_px, keypoints)


def test_gap_in_a_track_is_no_jump() -> None:
    track = _track(0, range(40), 300, 1.0, 300)
    keypoints, presence = track.keypoints_px.copy(), track.presence.copy()
    keypoints[10:20], presence[10:20] = np.nan, 0
    keypoints[20:] += 250
    from dataclasses import replace

    mended = fix_swaps(replace(track, keypoints_px=keypoints, presence=presence))
    np.testing.assert_array_equal(mended.keypoints_px, keypoints)


def _look(*shares: float) -> np.ndarray:
    look = np.zeros(34)
    look[: len(shares)] = np.sqrt(np.array(shares) / sum(shares))
    look[17] = 1.0
    return look


RED, BLUE = _look(1, 0, 0, 0.1), _look(0, 0, 1, 0.1)


def test_people_are_matched_by_place_and_colours() -> None:
    absent = [Absent(Roi(100, 100, 200), RED, 0.4), Absent(Roi(180, 100, 200), BLUE, 0.4)]
    found = [Found(Roi(140, 100, 200), BLUE), Found(Roi(145, 100, 200), RED), Found(Roi(900, 100, 200), RED)]
    assert sorted(match(absent, found, 2.0)) == [(0, 1), (1, 0)]
    assert match(absent, [Found(Roi(900, 100, 200), RED)], 2.0) == []  # too far for 0.4 s
    assert match(absent, [Found(Roi(110, 100, 60), RED)], 2.0) == []  # three times smaller
    long_gone = [Absent(Roi(100, 100, 200), RED, 8.0)]
    assert match(long_gone, [Found(Roi(900, 100, 100), RED)], 2.0) == [(0, 0)]
    assert match(long_gone, [Found(Roi(100, 100, 200), BLUE)], 2.0) == []


def test_swaps_and_doubles() -> None:
    assert are_swapped(PairAppearance(RED, BLUE), PairAppearance(BLUE, RED))
    assert not are_swapped(PairAppearance(RED, BLUE), PairAppearance(RED, BLUE))
    assert not are_swapped(PairAppearance(RED, RED), PairAppearance(RED, RED))
    body = np.random.default_rng(0).uniform(0, 100, (33, 2))
    assert are_doubles(body, body + 2, 100)
    assert not are_doubles(body, body + 20, 100)


def test_motion_filter_predicts_a_steady_walk() -> None:
    motion = MotionFilter(Roi(100, 50, 200, 3.1))
    for step in range(1, 31):
        motion.observe(Roi(100 + 6 * step, 50, 200, 3.1 if step % 2 else -3.1))  # the angle wraps
    ahead = motion.predict(2)
    assert (ahead.x_px, ahead.y_px, ahead.size_px) == pytest.approx((292, 50, 200), abs=1)
    assert abs(np.cos(ahead.rotation_rad) + 1) < 0.02
    again = MotionFilter.restored(motion.state())
    assert again.predict(2) == ahead
    for _ in range(200):
        motion.coast()
    assert 280 < motion.predict(0).x_px < 340  # slows down


def _person(height_px: float, crouch: float, x: float, sway_px: float) -> PersonTrack:
    """Thirty frames of a figure `height_px` tall that crouches by a share of its legs and sways about `x`."""
    rows = np.zeros((33, 2))
    leg = 0.49 * (1.0 - crouch)
    hips, knees_out = -leg, 0.245 * np.sqrt(max(1.0 - (1.0 - crouch) ** 2, 0.0))
    for side, sign in ((0, 1.0), (1, -1.0)):
        rows[11 + side] = sign * 0.105, hips - 0.29
        rows[13 + side] = sign * 0.105, hips - 0.13
        rows[15 + side] = sign * 0.105, hips + 0.015
        rows[23 + side] = sign * 0.06, hips
        rows[25 + side] = sign * (0.06 + knees_out), hips + 0.5 * leg
        rows[27 + side] = sign * 0.06, 0.0
    rows[:11] = 0.0, hips - 0.42
    rows[29:] = rows[[27, 28, 27, 28]]
    times = np.arange(30) / 30
    place = np.stack([x + sway_px * np.sin(2 * np.pi * times), np.full(30, 900.0)], axis=-1)
    keypoints = rows * height_px + place[:, None]
    box = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=-1)
    ones = np.ones((30, 33))
    return PersonTrack(0, np.arange(30), times, keypoints, ones, ones, np.zeros((30, 33, 3)), np.ones(30), box)


def test_a_bystander_who_stands_higher_than_a_crouching_player_is_not_chosen() -> None:
    player = _person(700.0, 0.55, 900.0, 120.0)
    bystander = replace(_person(560.0, 0.0, 1600.0, 2.0), track_id=1)
    tall = [np.ptp(track.box_px[0, 1::2]) for track in (player, bystander)]
    assert tall[1] > tall[0]
    chosen = choose_tracks([bystander, player], Selection().in_frame(1920, 1080))
    assert chosen == [player]


def test_between_people_of_one_size_the_middle_and_motion_decide() -> None:
    middle, edge = _person(500.0, 0.0, 960.0, 1.0), replace(_person(500.0, 0.0, 60.0, 1.0), track_id=1)
    assert choose_tracks([edge, middle], Selection().in_frame(1920, 1080)) == [middle]
    mover = replace(_person(500.0, 0.0, 960.0, 200.0), track_id=2)
    assert choose_tracks([middle, mover], Selection().in_frame(1920, 1080)) == [mover]
