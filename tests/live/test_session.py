"""Live captures of a camera in another process: what is lost, what comes back, and what is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from backend.errors import MarionetError
from backend.live.addresses import parse_source
from backend.live.control import LiveControl
from backend.live.request import LivePose, LiveRequest, LiveResult, LiveState
from backend.live.session import run_live
from blender_addon.motion.clip import read_clip
from tests.live.feed import REPOSITORY, feeding, recorded_numbers

PATIENCE_S = 90.0


class Capture:
    """A live capture in a thread."""

    def __init__(self, models, folder: Path, url: str, **options) -> None:
        self.control, self.poses, self.result, self.error = LiveControl(), [], None, None
        self.request = LiveRequest(parse_source(url), folder, stall_s=1.0, **options)
        self._thread = threading.Thread(target=self._run, args=(models,))
        self._thread.start()

    def _run(self, models) -> None:
        try:
            self.result = run_live(self.request, models, self.poses.append, self.control)
        except MarionetError as error:
            self.error = error

    def wait_for(self, condition, what: str) -> LivePose:
        until, seen = time.monotonic() + PATIENCE_S, 0
        while time.monotonic() < until and self._thread.is_alive():
            fresh = self.poses[seen:]
            seen += len(fresh)
            for pose in fresh:
                if condition(pose):
                    return pose
            time.sleep(0.02)
        raise AssertionError(f"no {what} in {PATIENCE_S} s; last: {self.poses[-1:]}; {self.error}")

    def state(self, state: LiveState) -> LivePose:
        return self.wait_for(lambda pose: pose.state is state, state.value)

    def after(self, number: int, state: LiveState) -> LivePose:
        return self.wait_for(lambda pose: pose.state is state and pose.number > number, state.value)

    def stop(self) -> LiveResult:
        """Stop, and how long it took is at most a second."""
        begun = time.monotonic()
        self.control.stop()
        self._thread.join(30.0)
        self.stop_s = time.monotonic() - begun
        assert not self._thread.is_alive()
        assert self.result is not None, self.error
        return self.result


@pytest.mark.slow
@pytest.mark.parametrize("way", ["http", "udp"])
def test_calibrates_solves_and_records_every_captured_image(models, tmp_path, way):
    udp = ("--udp", "127.0.0.1:23455") if way == "udp" else ()
    with feeding("--hold", "5", *udp) as feed:
        capture = Capture(models, tmp_path, feed.url(), record=True)
        live = capture.state(LiveState.LIVE)
        begun = time.monotonic()
        while time.monotonic() - begun < 3.0:
            time.sleep(0.1)
        result = capture.stop()
    assert capture.stop_s < 1.0 * max(1.0, os.getloadavg()[0])
    poses = [pose for pose in capture.poses if pose.has_pose]
    assert any(pose.state is LiveState.CALIBRATING and "Stand still" in pose.words for pose in poses)
    assert live.root_m[2] == pytest.approx(0.95, abs=0.25)  # the pelvis of a standing person of 1.70 m
    assert np.allclose(np.linalg.norm(live.rotations_wxyz, axis=-1), 1.0, atol=1e-5)
    assert result.recorded == result.captured or way == "udp"
    numbers = recorded_numbers(result.recordings[0])
    assert len(numbers) == result.recorded
    if way == "http":
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    else:  # H.264 begins at a key frame, and the number survives its compression
        assert np.all(np.diff(numbers) == 1)
    clip = read_clip(result.clip)
    assert len(clip) > 3
    assert clip.header.source == str(result.recordings[0])
    assert clip.header.model == models.poses.without_temporal().name
    assert np.isfinite(clip.root_world_m).all()


@pytest.mark.slow
def test_person_gone_and_back_stream_stalled_and_cable_pulled(models, tmp_path):
    with feeding("--hold", "600") as feed:
        capture = Capture(models, tmp_path, feed.url())
        live = capture.state(LiveState.LIVE)
        feed.tell("blank")
        gone = capture.after(live.number, LiveState.NO_PERSON)
        assert "out of sight" in gone.words
        assert not gone.has_pose
        feed.tell("go")
        back = capture.after(gone.number, LiveState.LIVE)
        feed.tell("stall")
        stalled = capture.after(back.number, LiveState.STALLED)
        assert stalled.words
        feed.tell("go")
        again = capture.after(stalled.number, LiveState.LIVE)
        feed.tell("drop")
        capture.wait_for(lambda pose: pose.rates.captured > again.rates.captured + 30, "images after the drop")
        capture.after(again.number + 5, LiveState.LIVE)
        assert np.linalg.norm(again.root_m - live.root_m) < 0.15  # the calibration holds
        feed.tell("stall")
        capture.after(again.number + 6, LiveState.STALLED)
        capture.stop()
    assert capture.stop_s < 1.0 * max(1.0, os.getloadavg()[0])


def test_a_source_that_is_not_there_is_told_and_hangs_nobody(models, tmp_path):
    with feeding() as feed:
        for url, words in (
            (feed.url("secret"), "refuses access"),
            (feed.url("nothing"), "no such stream"),
            ("camera:none of that name", "There is no camera"),
        ):
            capture = Capture(models, tmp_path, url)
            capture._thread.join(20.0)
            assert capture.error is not None, url
            assert words in capture.error.message
            assert capture.error.remedy
    capture = Capture(models, tmp_path, feed.url())
    told = capture.wait_for(lambda pose: "cannot be reached" in pose.words, "a word")
    assert told.state is LiveState.OPENING
    capture.stop()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
def test_a_kill_keeps_what_was_recorded(tmp_path):
    with feeding("--hold", "5") as feed:
        take = tmp_path / "take.mkv"
        command = (sys.executable, "-m", "backend", "live", "--source", feed.url(), "--record", str(take), "--json")
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        recorded = 0
        for line in process.stdout:
            if '"recorded": ' in line:
                recorded = int(line.split('"recorded": ')[1].split("}")[0])
            if recorded > 60:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    numbers = recorded_numbers(take)
    assert len(numbers) >= recorded - 5
    assert np.all(np.diff(numbers) == 1)
    from backend.live.pose_log import clip_from_log

    clip = clip_from_log(take.with_name("take.mkv.live"), tmp_path / "kept.npz")
    assert len(clip) > 2
