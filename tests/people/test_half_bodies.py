"""People whose legs are not in the image are found at once, never lost, and not squeezed into what is seen of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.people import Choice, PeopleNetworks, PeopleOptions, PeopleTracker, Selection
from backend.people.region import Roi
from backend.people.tracked_person import MotionFilter
from backend.types import Frame, PersonTrack
from backend.video import VideoOptions, open_video, parse_range

CLIP = Path(__file__).resolve().parents[2] / "assets" / "demo_clip.mp4"
SHOULDERS, HIPS = [11, 12], [23, 24]


def _follow(frames: Sequence[Frame], networks: PeopleNetworks) -> list[PersonTrack]:
    with PeopleTracker(PeopleOptions(selection=Selection(Choice.LARGEST)), networks) as tracker:
        for frame in frames:
            tracker.update(frame)
        tracker.flush()
        return tracker.tracks()


@pytest.fixture(scope="module")
def whole(networks: PeopleNetworks) -> tuple[list[Frame], PersonTrack]:
    frames = [f for f in open_video(CLIP, VideoOptions(range=parse_range("0:36"))).frames() if f.index % 3 == 0]
    return frames, _follow(frames, networks)[0]


@pytest.mark.parametrize("part", [0.55, 0.92])
def test_somebody_cut_off_at_the_chest_or_the_waist_is_followed(whole, part: float, networks: PeopleNetworks) -> None:
    frames, truth = whole
    shoulders, hips = (truth.keypoints_px[:, pair].mean(axis=1) for pair in (SHOULDERS, HIPS))
    torso = float(np.median(np.linalg.norm(hips - shoulders, axis=1)))
    cut = int(np.median(shoulders[:, 1]) + part * np.median(hips[:, 1] - shoulders[:, 1]))
    cut_frames = [replace(frame, image=np.ascontiguousarray(frame.image[:cut])) for frame in frames]
    tracks = _follow(cut_frames, networks)
    assert len(tracks) == 1
    track = tracks[0]
    assert track.frame_index[0] == frames[0].index
    assert (track.presence > 0).all()
    for pair, far in ((SHOULDERS, 0.15), (HIPS, 0.5)):
        off = track.keypoints_px[:, pair].mean(axis=1) - truth.keypoints_px[: len(track.presence), pair].mean(axis=1)
        assert np.linalg.norm(off, axis=1).mean() < far * torso
    assert (track.visibility[:, HIPS].mean(axis=0) < 0.3).all() or part > 0.9
    assert np.median(track.visibility[:, 25:29]) < 0.2


def test_a_region_without_legs_goes_with_the_shoulders_and_hardly_shrinks() -> None:
    motion = MotionFilter(Roi(100.0, 200.0, 400.0))
    for _ in range(10):
        motion.observe_shoulders(Roi(90.0, 150.0, 200.0), np.array([6.0, 0.0]))
    after = motion.predict(0)
    assert after.size_px > 280.0
    assert after.x_px > 120.0
    for _ in range(10):
        motion.observe_shoulders(Roi(after.x_px, 200.0, 600.0), np.zeros(2))
    assert motion.predict(0).size_px > 480.0
