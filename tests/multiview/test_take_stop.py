"""A stop in the middle of a take: what was solved by then is written, and the rest goes on from the checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backend.multiview.clip_setup import setup_of_clip
from backend.multiview.solve_take import solve_take
from backend.multiview.take_request import TakeRequest
from backend.multiview.types import Offset, OffsetSource
from backend.people.options import Choice, Selection
from backend.pipeline import SolveRequest
from backend.types import CancelToken, Progress
from tests.multiview.test_real_take import FIRST_FRAME, _trimmed


@pytest.mark.shared
@pytest.mark.slow
def test_a_stop_between_two_people_keeps_the_first_and_resumes(shared: Path, tmp_path: Path) -> None:
    folder, output = shared / "real" / "balancing", tmp_path / "take.npz"
    videos = [
        _trimmed(folder / f"{name}.mp4", tmp_path / f"{name}.mp4", start, start + 75)
        for name, start in FIRST_FRAME.items()
    ]
    everyone = Selection(Choice.ALL)
    # a second of motion tells two people's clocks hardly apart: the offset is given
    offsets = Offset(), Offset(17 / 60, 1.0, 0.002, OffsetSource.GIVEN)
    request = TakeRequest(tuple(SolveRequest(video, output, person=everyone) for video in videos), output, offsets)
    cancel, watched = CancelToken(), set()

    def stop_at_the_first_person(now: Progress) -> None:
        watched.add((now.video, now.stage))
        if now.stage == "poses" and now.video == 0:
            cancel.cancel()

    stopped = solve_take(request, stop_at_the_first_person, cancel)
    assert {(1, "people"), (2, "people"), (1, "poses"), (2, "poses"), (0, "poses")} <= watched
    assert stopped.cancelled
    assert stopped.take.used == (0, 1)
    assert len(stopped.clips) == 1, "two people are in the first video"
    assert "stopped_early" in [warning.code for warning in stopped.warnings]
    kept = sorted(path.name for path in tmp_path.glob("*.partial*"))
    assert len(kept) == 2, kept

    again: set[tuple[int, str]] = set()
    resumed = replace(request, videos=tuple(replace(video, resume=True) for video in request.videos))
    whole = solve_take(resumed, lambda now: again.add((now.video, now.stage)))
    assert not {(1, "people"), (2, "people")} & again, "no video is watched again"
    assert not whole.cancelled
    assert len(whole.clips) == 2
    assert not list(tmp_path.glob("*.partial*"))

    made, true = setup_of_clip(whole.clips[0]), whole.setup
    assert made.names == true.names
    for mine, theirs in zip(made.cameras, true.cameras, strict=True):
        assert mine is not None
        assert theirs is not None
        assert abs(mine.camera_from_take - theirs.camera_from_take).max() < 1e-6
    assert made.down == pytest.approx(true.down, abs=1e-6)
    assert made.floor_m == pytest.approx(true.floor_m, abs=1e-6)
