"""Rows of a track: gaps, taking back, exchange between two people, the colours of made-up clothes."""

from __future__ import annotations

import numpy as np
import pytest

from backend.people.appearance import appearance_distance, appearance_of, blended
from backend.people.contact_sheet import draw_contact_sheet, frames_for_sheet
from backend.people.region import Roi
from backend.people.track_log import ROW_SIZE, TrackLog
from backend.people.tracked_person import MotionFilter, TrackedPerson
from backend.solving.checkpoint import CHECKPOINT_VERSION
from backend.types import Frame
from tests.people.stage import STRIPES, VEST, Actor, draw


def _row(value: float) -> np.ndarray:
    return np.full(ROW_SIZE, value, np.float32)


def test_gaps_are_nan_with_presence_zero() -> None:
    log = TrackLog(10)
    log.write(10, _row(1))
    log.write(150, _row(2))  # beyond the first block
    track = log.track(3, np.arange(200), np.arange(200) / 30)
    assert track.track_id == 3
    assert track.frame_index[0] == 10
    assert track.frame_index[-1] == 150
    assert track.presence[[0, -1]].tolist() == [1, 2]
    assert (track.presence[1:-1] == 0).all()
    assert np.isnan(track.keypoints_px[1:-1]).all()
    assert (track.visibility[1:-1] == 0).all()
    assert log.sightings == 2


def test_rows_taken_back_at_the_end_shorten_the_track() -> None:
    log = TrackLog(0)
    for position in range(5):
        log.write(position, _row(1))
    log.erase(4)
    log.erase(2)
    assert len(log.rows) == 4
    assert log.sightings == 3
    log.write(6, _row(1))
    assert len(log.rows) == 7


def test_exchange_swaps_a_span() -> None:
    one, other = TrackLog(0), TrackLog(3)
    for position in range(10):
        one.write(position, _row(1))
        if position >= 3:
            other.write(position, _row(2))
    one.exchange(other, 6, 10)
    assert one.rows[:, 0].tolist() == [1] * 6 + [2] * 4
    assert other.rows[:, 0].tolist() == [2] * 3 + [1] * 4


BODY = np.zeros((33, 2))
BODY[[11, 12, 23, 24, 25, 26, 27, 28]] = [
    (40, 20),
    (20, 20),
    (38, 60),
    (22, 60),
    (38, 85),
    (22, 85),
    (38, 110),
    (22, 110),
]
BODY[[13, 14]] = [(45, 35), (15, 35)]


def _dressed(top: tuple[int, int, int], trousers: tuple[int, int, int]) -> np.ndarray:
    image = np.full((120, 60, 3), 128, np.uint8)
    image[:60], image[60:] = top, trousers
    return image


def test_same_clothes_in_other_light_are_nearer_than_other_clothes() -> None:
    red = appearance_of(_dressed((200, 40, 40), (30, 30, 90)), BODY)
    dim_red = appearance_of(_dressed((150, 32, 30), (24, 24, 70)), BODY)
    green = appearance_of(_dressed((40, 180, 60), (30, 30, 90)), BODY)
    assert red is not None
    assert dim_red is not None
    assert green is not None
    assert appearance_distance(red, red) == pytest.approx(0, abs=1e-6)
    assert appearance_distance(red, dim_red) < 0.25 < appearance_distance(red, green)
    assert appearance_distance(blended(red, green, 0.5), green) < appearance_distance(red, green)


def test_a_body_outside_the_frame_has_no_colours() -> None:
    assert appearance_of(_dressed((200, 40, 40), (30, 30, 90)), BODY + 500) is None


def test_sheet_has_a_row_a_track_and_people_in_its_tiles() -> None:
    index, times = np.arange(30), np.arange(30) / 25
    tracks = []
    for number, x in enumerate((180.0, 520.0)):
        log = TrackLog(0)
        for position in range(30):
            row = _row(0.9)
            row[:66] = np.random.default_rng(number).uniform(-60, 60, 66) + np.tile([x, 220], 33)
            row[-4:] = (x - 80, 100, x + 80, 350)
            log.write(position, row)
        tracks.append(log.track(number, index, times))
    wanted = frames_for_sheet(tracks, 3)
    assert wanted in ([0, 14, 29], [0, 15, 29])
    image = draw([Actor(VEST, {0: (180.0, 220.0)}), Actor(STRIPES, {0: (520.0, 220.0)})], 0)
    sheet = draw_contact_sheet(tracks, [Frame(i, i / 25, image) for i in wanted], 3)
    empty = draw_contact_sheet(tracks, [], 3)
    assert sheet.shape == empty.shape
    assert sheet.shape[0] > 2 * 200
    half = sheet.shape[0] // 2
    for rows in (slice(0, half), slice(half, None)):
        assert (sheet[rows] != empty[rows]).any(-1).mean() > 0.4


def test_the_layout_of_a_kept_person_belongs_to_the_version_of_checkpoints() -> None:
    """A checkpoint of another layout must not be restored: raise CHECKPOINT_VERSION together with these sizes."""
    state = TrackedPerson(MotionFilter(Roi(50.0, 60.0, 100.0)), TrackLog(0), None, 0, 0.0).state()
    sizes = {name: state[name].shape for name in ("motion", "whole", "real")}
    assert (CHECKPOINT_VERSION, sizes) == (6, {"motion": (8,), "whole": (4,), "real": (6,)})
