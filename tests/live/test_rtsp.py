"""RTSP and SRT as sources: images over a real connection, a drop, the recording; and what FFmpeg here cannot read."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from backend.live.addresses import parse_source
from backend.live.faults import SourceFault
from backend.live.grabber import Grabber, GrabberSettings
from backend.live.recorder import Recorder
from tests.live.feed import feeding, read_number, recorded_numbers


def take(grabber: Grabber, count: int, seconds: float = 30.0) -> list[int]:
    """The numbers in so many images."""
    numbers: list[int] = []
    until = time.monotonic() + seconds
    while len(numbers) < count and time.monotonic() < until:
        taken = grabber.take(0.2)
        if taken is not None:
            numbers.append(read_number(taken[0].image))
    assert len(numbers) >= count, (numbers, grabber.fault)
    return numbers


def test_an_rtsp_camera_is_read_recorded_and_opened_again(tmp_path: Path) -> None:
    recorder = Recorder()
    with feeding("--rtsp", "0") as feed:
        source = parse_source(f"rtsp://127.0.0.1:{feed.said.split()[1]}/live")
        with Grabber(source, GrabberSettings(stall_s=2.0), recorder) as grabber:
            assert np.all(np.diff(take(grabber, 10)) > 0)
            recorder.begin(tmp_path / "take.mkv")
            take(grabber, 25)
            recorded_to = grabber.captured
            feed.tell("drop")
            take(grabber, 10)
            assert grabber.connections == 2
            assert grabber.captured > recorded_to
        recorder.close()
    numbers = recorded_numbers(tmp_path / "take.mkv")
    assert len(numbers) > 20
    # one gap, and what a connection that is cut leaves of its last images
    assert (np.diff(numbers) != 1).sum() <= 4
    assert (np.diff(numbers) > 1).sum() >= 1


def test_what_ffmpeg_here_cannot_read_is_told() -> None:
    with Grabber(parse_source("srt://127.0.0.1:9000"), GrabberSettings(), Recorder()) as grabber:
        deadline = time.monotonic() + 20.0
        while grabber.fault is None and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(SourceFault, match="cannot") as told:
            grabber.take(0.1)
    assert told.value.remedy
