"""Three hundred videos as people have them: the right frames at the right times, and a range that equals the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.types import Frame
from backend.video import FrameRange, VideoOptions, open_video, seeking
from tests.video.odd_videos import Made, is_upright, number_in, random_video

BATCHES, EACH = 20, 15


def read(made: Made, span: FrameRange | None = None) -> tuple[list[Frame], tuple[str, ...], float]:
    options = VideoOptions(range=span or FrameRange(), sequence_fps=25.0 if made.path.is_dir() else None)
    reader = open_video(made.path, options)
    return list(reader.frames()), reader.warnings, reader.info.fps


@pytest.mark.parametrize("batch", range(BATCHES))
def test_frames_times_and_ranges_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    for seed in range(batch * EACH, (batch + 1) * EACH):
        folder = tmp_path / str(seed)
        folder.mkdir()
        made = random_video(folder, seed)
        about = f"seed {seed}: {made.about}"
        frames, warnings, fps = read(made)
        assert [number_in(frame.image) for frame in frames] == [number % 50 for number in made.numbers], about
        # Matroska keeps milliseconds
        np.testing.assert_allclose([frame.time_s for frame in frames], made.times_s, atol=1.1e-3, err_msg=about)
        assert all(is_upright(frame.image) for frame in frames), about
        assert {frame.image.shape for frame in frames} == {(made.size[1], made.size[0], 3)}, about
        assert made.fps is None or fps == pytest.approx(made.fps, rel=0.02), about
        for words in made.says:
            assert sum(words in warning for warning in warnings) == 1, f"{about}: {warnings}"
        assert len(warnings) == len(made.says), f"{about}: {warnings}"
        _check_ranges(made, frames, monkeypatch, np.random.default_rng(seed), about)


def _check_ranges(
    made: Made, frames: list[Frame], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, about: str
) -> None:
    # short videos are decoded from their beginning: here the way by key frames is taken for half of them
    monkeypatch.setattr(seeking, "_WORTH_FRAMES", int(rng.choice([1, 250])))
    first, last = sorted(rng.integers(0, len(frames), 2).tolist())
    by_index = FrameRange(frames[first].index, frames[last].index + 1)
    by_time = FrameRange(frames[first].time_s, frames[last].time_s + 1e-3)
    for span in (by_index, by_time):
        part, _, _ = read(made, span)
        whole = [frame for frame in frames if frames[first].index <= frame.index <= frames[last].index]
        assert [(f.index, f.time_s) for f in part] == [(f.index, f.time_s) for f in whole], f"{about}, {span}"
        for one, other in zip(part, whole, strict=True):
            np.testing.assert_array_equal(one.image, other.image, err_msg=f"{about}, {span}, frame {one.index}")
