"""Real people: of two, one is followed to the end; live poses are about as good as those of the solved file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from backend.evaluation.recording import read_recording, score_recording
from backend.live.follower import Follower
from backend.live.replay import replay
from backend.people.options import PeopleOptions, Selection
from backend.pipeline import SolveRequest, solve
from backend.solving.request import SolveQuality
from backend.video import open_video

pytestmark = [pytest.mark.shared, pytest.mark.slow]
FRAMES = 120


def test_of_two_people_one_is_followed(models, shared: Path):
    reader = open_video(shared / "real" / "jumping_two_people" / "demo.mp4")
    size = (reader.info.width, reader.info.height)
    options = PeopleOptions(mirror=False, threads=1, max_people=3, selection=Selection(frame_px=size))
    followed, most = [], 0
    with Follower(options, models.people) as follower:
        for frame in reader.frames():
            track = follower.update(frame)
            most = max(most, follower.people)
            if track is not None:
                followed.append((track.track_id, track.keypoints_px[-1].mean(axis=0)))
            if frame.index >= FRAMES:
                break
    assert most == 2
    assert follower.changes == 0
    assert len({number for number, _ in followed}) == 1
    steps = np.linalg.norm(np.diff([place for _, place in followed], axis=0), axis=-1)
    assert steps.max() < 0.15 * size[0]  # nobody else's place


def test_live_is_at_most_15_mm_worse_than_the_file(models, shared: Path, tmp_path):
    recording = read_recording(shared / "real" / "balancing")
    camera = recording.cameras[0]
    live = replay(camera.video, models)
    clip = solve(SolveRequest(camera.video, tmp_path / "c.npz", quality=SolveQuality.FAST), models=models).clips[0]
    now, full = (
        score_recording(recording, camera, np.asarray(times_s, np.float64), np.asarray(joints, np.float64))
        for times_s, joints in ((live.times_s, live.joints_camera_m), (clip.times_s, clip.joints_camera_m))
    )
    sys.stdout.write(f"live {now.mpjpe_clip_mm:.1f} mm, file {full.mpjpe_clip_mm:.1f} mm\n")
    assert now.mpjpe_clip_mm - full.mpjpe_clip_mm < 15.0
