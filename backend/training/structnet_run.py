"""The paper's network from renders to a table: what `train --configuration structnet` does. torch inside."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from backend.embedding.structnet_file import write_structnet
from backend.errors import BadInputError
from backend.evaluation.tables import markdown_table
from backend.training.structnet_renders import (
    ABLATIONS,
    Crops,
    StructNetErrors,
    ablation_settings,
    first_rows,
    learned_convolutions,
    pooled_crops,
    render_crops,
    structnet_errors,
    trained_structnet,
    with_mirrored,
)
from backend.training.structnet_training import StructNetSettings

_AVERAGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_FULL = next(iter(ABLATIONS))


@dataclass(frozen=True, slots=True)
class StructNetRequest:
    """Folders of renders to train and to test on (other subjects), where to write, and how long each stage takes."""

    renders: tuple[Path, ...]
    output: Path
    test_renders: Path | None
    settings: StructNetSettings
    convolution_steps: int
    steps: int
    ablations: bool = False
    most: int | None = None


@dataclass(frozen=True, slots=True)
class StructNetResult:
    """Errors on test images and on the training images themselves, and seconds of the max-margin stage."""

    name: str
    test: StructNetErrors | None
    training: StructNetErrors
    seconds: float


def run_structnet(request: StructNetRequest, report: Callable[[str, int, int, float], None]) -> list[StructNetResult]:
    """Train, measure, write structnet.safetensors, losses, results and plots. Raises BadInputError, WeightsError."""
    if not request.renders:
        raise BadInputError("structnet learns from images", "Give --renders FOLDER that `synthesize` made")
    request.output.mkdir(parents=True, exist_ok=True)
    (request.output / "losses.csv").unlink(missing_ok=True)  # an earlier run's: a run of this network is not resumed
    parts = [render_crops(folder, request.most) for folder in request.renders]
    plain = Crops(np.concatenate([p.images for p in parts]), np.concatenate([p.joints_m for p in parts]))
    stage = "regressing joints"
    learned = learned_convolutions(
        with_mirrored(plain),
        request.convolution_steps,
        request.settings,
        lambda step, loss: report(stage, step + 1, request.convolution_steps, loss),
    )
    test = pooled_crops(learned, render_crops(request.test_renders)) if request.test_renders else None
    own = first_rows(learned.pooled, len(plain))
    results = []
    for name in ABLATIONS if request.ablations else (_FULL,):
        branch, settings = ablation_settings(name, request.settings)
        losses: list[float] = []

        def note(step: int, loss: float, name: str = name, losses: list[float] = losses) -> None:
            losses.append(loss)
            report(name, step + 1, request.steps, loss)

        begun = time.monotonic()
        net = trained_structnet(learned, branch, request.steps, settings, note)
        seconds = time.monotonic() - begun
        _write_losses(request.output / "losses.csv", name, losses)
        if name == _FULL:
            write_structnet(net, request.output / "structnet.safetensors")
        within = structnet_errors(net, own, _AVERAGES)
        results.append(StructNetResult(name, structnet_errors(net, test, _AVERAGES) if test else None, within, seconds))
        (request.output / "results.json").write_text(json.dumps([asdict(r) for r in results], indent=1))
    (request.output / "results.md").write_text(results_table(results), encoding="utf-8")
    _plot(results, request.output)
    return results


def _write_losses(path: Path, name: str, losses: list[float]) -> None:
    with path.open("a", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([name, step + 1, loss] for step, loss in enumerate(losses))


def results_table(results: list[StructNetResult]) -> str:
    """A Markdown table of all configurations, on test images where there are some."""
    counts = [count for count in (20, 100, 500) if count in (results[0].test or results[0].training).average_mm]
    header = ["MPJPE mm", "Max", *(f"Avg({a})" for a in counts), "auxiliary", "nearest in bank", "mean pose"]
    rows: list[list[object]] = []
    for result in results:
        errors = result.test or result.training
        own: list[object] = [result.name, errors.max_mm, *(errors.average_mm[a] for a in counts)]
        auxiliary = float("nan") if ABLATIONS[result.name][1] == 0 else errors.auxiliary_mm
        within = 100 * result.training.within_share
        rows.append([*own, auxiliary, errors.oracle_mm, errors.mean_pose_mm, result.training.max_mm, within])
    return markdown_table([*header, "training images, Max", "within 30 mm, %"], rows)


def _plot(results: list[StructNetResult], output: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 3.8))
    for result in results:
        curve = (result.test or result.training).average_mm
        axes[0].semilogx(list(curve), list(curve.values()), "o-", ms=3, label=result.name)
    axes[0].set_xlabel("A")
    axes[0].set_ylabel("MPJPE of Avg(A), mm")
    axes[0].legend(fontsize=7)
    with (output / "losses.csv").open(encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    for result in results:
        values = [float(loss) for name, _, loss in rows if name == result.name]
        axes[1].plot(values, lw=0.8, label=result.name)
    axes[1].set_xlabel("step")
    axes[1].set_ylabel("loss")
    axes[1].set_yscale("log")
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(output / "results.png", dpi=80)
    pyplot.close(figure)
