"""Where people cover each other in the image, keypoints count little, also after one of the two is lost."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from backend.multiview.overlap import still_there, told_apart
from backend.types import PersonTrack

FRAMES = 101


def _walker(number: int, middle_px: np.ndarray, size: float = 1.0) -> PersonTrack:
    """Somebody of 60 x 200 px (times `size`) whose middle is at x `middle_px` (T,)."""
    rng = np.random.default_rng(number)
    around = rng.uniform(-1.0, 1.0, (33, 2)) * [30.0, 100.0]
    around[:2] = [[-30.0, -100.0], [30.0, 100.0]]
    around *= size
    points = np.stack([middle_px, np.full(FRAMES, 200.0)], axis=1)[:, None] + around
    return PersonTrack(
        track_id=number,
        frame_index=np.arange(FRAMES),
        times_s=np.arange(FRAMES) / 25.0,
        keypoints_px=points,
        visibility=np.ones((FRAMES, 33)),
        presence=np.ones(FRAMES),
        keypoint_depth=np.zeros((FRAMES, 33)),
        world_m=np.zeros((FRAMES, 33, 3)),
        box_px=np.zeros((FRAMES, 4)),
    )


def _crossing() -> tuple[PersonTrack, PersonTrack]:
    return _walker(0, np.full(FRAMES, 300.0)), _walker(1, np.linspace(0.0, 600.0, FRAMES))


def test_people_who_cross_count_little_while_they_cover_each_other() -> None:
    apart = told_apart(_crossing(), 0)
    assert (apart[:35] == 1.0).all()
    assert (apart[66:] == 1.0).all()
    assert apart[50] < 0.1
    assert np.allclose(apart, told_apart(_crossing(), 1), atol=0.02)


def test_somebody_who_is_lost_where_people_meet_is_still_there() -> None:
    stays, passes = _crossing()
    lost = (np.arange(FRAMES) > 46) & (np.arange(FRAMES) < 56)
    keypoints = np.where(lost[:, None, None], np.nan, passes.keypoints_px)
    gone = replace(passes, keypoints_px=keypoints, presence=np.where(lost, 0.0, 1.0))
    assert told_apart([stays, gone], 0)[50] < 0.1


def test_somebody_who_was_away_for_long_covered_nobody_meanwhile() -> None:
    """Out to the left and back from the right: nobody crossed the image."""
    times_s = np.arange(FRAMES) / 5.0
    stays, passes = (replace(track, times_s=times_s) for track in _crossing())
    away = (np.arange(FRAMES) > 20) & (np.arange(FRAMES) < 80)
    gone = replace(passes, presence=np.where(away, 0.0, 1.0))
    assert (told_apart([stays, gone], 0) == 1.0).all()


def test_somebody_counts_as_there_for_a_while() -> None:
    seen_s = np.array([1.0, 3.0, 10.0])
    times_s = np.array([0.0, 0.6, 1.0, 2.0, 3.4, 5.0, 9.6, 10.0, 10.4, 11.0])
    there = still_there(seen_s, times_s, 0.5)
    assert there.tolist() == [False, True, True, True, True, False, True, True, True, False]


def test_somebody_alone_counts_in_full() -> None:
    stays, passes = _crossing()
    assert (told_apart([stays], 0) == 1.0).all()
    nobody = replace(passes, presence=np.zeros(FRAMES))
    assert (told_apart([stays, nobody], 0) == 1.0).all()


def test_somebody_far_behind_covers_nobody() -> None:
    near, far = _walker(0, np.full(FRAMES, 300.0)), _walker(1, np.linspace(0.0, 600.0, FRAMES), 0.5)
    assert (told_apart([near, far], 0) == 1.0).all()
    assert told_apart([near, far], 1)[50] < 0.1


def test_time_does_not_grow_with_the_square_of_how_long_people_are_together() -> None:
    """Ten minutes of a close dance are two thousand pieces of tracks, of which few are at one time."""
    arrays = [name for name in PersonTrack.__dataclass_fields__ if name != "track_id"]
    walker = _walker(0, np.full(FRAMES, 300.0))
    piece = replace(walker, **{name: getattr(walker, name)[:18] for name in arrays})
    pieces = [replace(piece, times_s=piece.times_s + 0.72 * (number // 2)) for number in range(600)]
    begun_s = time.process_time()
    for place in range(0, 600, 10):
        assert (told_apart(pieces, place) < 0.1).all()
    assert time.process_time() - begun_s < 1.0
