"""A person who leaves the image is gone, not invented, and nothing outside the image is said to be visible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.people import Choice, PeopleNetworks, PeopleOptions, PeopleTracker, Selection
from backend.types import Frame, PersonTrack
from backend.video import VideoOptions, open_video, parse_range

CLIP = Path(__file__).resolve().parents[2] / "assets" / "demo_clip.mp4"
STAYS, WALKS, GONE = 8, 12, 14
PERSON_TO_PX = 420  # the person stands left of this column in these frames


def _offset_px(index: int, width: int) -> int:
    """How far the camera has panned away: out of sight at a whole width."""
    way = index - STAYS if index < STAYS + WALKS + GONE else 2 * STAYS + 2 * WALKS + GONE - 1 - index - STAYS
    return round(width * min(max(way / WALKS, 0.0), 1.0))


def _video() -> Iterator[tuple[Frame, int]]:
    frames = [f for f in open_video(CLIP, VideoOptions(range=parse_range("0:48"))).frames() if f.index % 2 == 0]
    width = frames[0].image.shape[1]
    wall = cv2.GaussianBlur(np.median(np.stack([f.image for f in frames]), axis=0).astype(np.uint8), (0, 0), 12)
    count = 2 * STAYS + 2 * WALKS + GONE
    for index in range(count):
        offset = _offset_px(index, width)
        shown = frames[min(index, count - 1 - index) % len(frames)].image
        wide = np.concatenate([shown, wall[:, ::-1]], axis=1)
        image = np.ascontiguousarray(wide[:, offset : offset + width])
        yield replace(frames[0], index=index, time_s=index / 12.0, image=image), offset


@pytest.fixture(scope="module")
def followed(networks: PeopleNetworks) -> tuple[list[PersonTrack], list[int]]:
    offsets = []
    with PeopleTracker(PeopleOptions(selection=Selection(Choice.LARGEST)), networks) as tracker:
        for frame, offset in _video():
            offsets.append(offset)
            tracker.update(frame)
        tracker.flush()
        return tracker.tracks(), offsets


def _presence(track: PersonTrack, count: int) -> np.ndarray:
    presence = np.zeros(count)
    presence[track.frame_index] = track.presence
    return presence


def test_nobody_is_invented_where_the_person_has_left(followed) -> None:
    tracks, offsets = followed
    gone = np.array(offsets) > PERSON_TO_PX + 20
    for track in tracks:
        presence = _presence(track, len(offsets))
        assert not presence[gone].any(), np.flatnonzero(presence * gone)
        assert np.isnan(track.keypoints_px[track.presence == 0]).all()


def test_what_lies_outside_the_image_is_not_said_to_be_visible(followed) -> None:
    tracks, _ = followed
    for track in tracks:
        x = track.keypoints_px[..., 0]
        assert not (track.visibility[(x < 0) | (x > 640)] > 0.26).any()
