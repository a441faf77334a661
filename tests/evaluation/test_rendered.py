"""Rendered films: every method is scored against the film's own truth, through the command too; single images and films
without a person are named.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from backend.cli import main
from backend.embedding.keypoints import H36M_NAMES
from backend.embedding.model import load_model
from backend.errors import BadInputError, DeviceError
from backend.evaluation.real import PEER
from backend.evaluation.rendered import _films, _limbs, film_scores
from backend.evaluation.report import mean_errors
from backend.people import Quality
from backend.training.render_landmarks import RenderLandmarks, render_landmarks
from backend.types import CancelToken

FRAMES = 4


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six films of four frames, bodies in random poses."""
    pytest.importorskip("moderngl", reason="needs the extra 'train'")
    pytest.importorskip("anny", reason="needs the extra 'train'")
    from backend.synthesis.dataset import DatasetRequest, make_dataset
    from backend.synthesis.generate import RenderSettings

    folder = tmp_path_factory.mktemp("films")
    settings = RenderSettings(seed=4, size_px=224, sequence_frames=FRAMES, companion_share=0.0, cut_share=0.0)
    try:
        make_dataset(DatasetRequest(folder, 24, settings, shard_size=12, workers=1), lambda _: None, CancelToken())
    except DeviceError as fault:
        pytest.skip(str(fault))
    return folder


@pytest.mark.slow
def test_every_method_is_scored_film_by_film(films: Path) -> None:
    rows = film_scores(films, load_model(), (Quality.FULL,), most=3)
    methods = {row.method for row in rows}
    assert {f"full: {PEER}", "full: structured inference"} <= methods
    assert len(rows) == 3 * len(methods)
    assert {row.frames for row in rows} == {FRAMES}
    ours = mean_errors([row for row in rows if row.method == "full: structured inference"])
    assert 10 < ours.pa_mpjpe_mm < 160
    assert ours.pa_mpjpe_mm <= ours.n_mpjpe_mm <= ours.mpjpe_mm
    assert ours.found == 1.0


@pytest.mark.slow
def test_the_truth_is_the_body_in_the_picture(films: Path) -> None:
    seen = render_landmarks(films, Quality.FULL)
    for track, truth in _films(seen, films, most=10):
        projected = truth[..., :2] / truth[..., 2:]
        knees = [H36M_NAMES.index(name) for name in ("lknee", "rknee")]
        reach = np.linalg.norm(projected - projected[:, :1], axis=-1).max()
        off = np.linalg.norm(projected[:, knees] - track.keypoints_px[:, [25, 26]], axis=-1) / reach
        assert np.median(off) < 0.25
        assert np.allclose(_limbs(truth)[:, 6:8].sum(axis=1), 0.0, atol=1e-9), "relative to the mid-hip"


@pytest.mark.slow
def test_the_command_writes_the_table(films: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    assert main(["evaluate", "--renders", str(films), "--films", "2", "-o", str(table), "--quiet"]) == 0
    text = table.read_text()
    assert "2 rendered films" in text
    assert "heavy: structured inference" in text
    assert f"full: {PEER}" in text


def _seen(films: np.ndarray, found: np.ndarray) -> RenderLandmarks:
    """Landmarks of nothing: only which film a row is of, and whether somebody was found."""
    values = {field.name: np.zeros((len(films), 1)) for field in fields(RenderLandmarks)}
    return RenderLandmarks(**values | {"film": films, "found": found})


def test_single_images_and_films_of_nobody_are_named() -> None:
    folder = Path("renders")
    with pytest.raises(BadInputError, match="single images"):
        next(_films(_seen(np.arange(6), np.ones(6, bool)), folder, 5))
    with pytest.raises(BadInputError, match="no film shows its person"):
        next(_films(_seen(np.arange(6) // 3, np.arange(6) % 3 > 0), folder, 5))


def test_no_films_at_all_is_refused() -> None:
    assert main(["evaluate", "--renders", "renders", "--films", "0", "--quiet"]) != 0
