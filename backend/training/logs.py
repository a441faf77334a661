"""Logs of a training run: losses.csv, TensorBoard events where the package is there, a plot. torch (events only).

A resumed run drops the lines that its last checkpoint does not know, so that the curve has each step once.
"""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.training.trainer import StepReport

import numpy as np

log = logging.getLogger(__name__)

LOSSES_FILE = "losses.csv"


class TrainingLog:
    """A context manager that writes a run's losses into `folder`, going on after `step`."""

    def __init__(self, folder: Path, step: int) -> None:
        self._path, self._step = folder / LOSSES_FILE, step
        self._events = _event_writer(folder, step)

    def __enter__(self) -> TrainingLog:
        kept = _known_rows(self._path, self._step)
        self._stream = self._path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._stream)
        self._writer.writerows(kept)
        self._stream.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if self._events is not None:
            self._events.close()

    def write(self, now: StepReport) -> None:
        """One line, and one point in each TensorBoard curve."""
        row = (now.step, now.hinge, now.joints_mm, now.rotation, now.gravity_deg, now.rate, now.soft_mm)
        self._writer.writerow(row)
        self._stream.flush()
        if self._events is not None:
            for name in ("hinge", "joints_mm", "rotation", "gravity_deg", "soft_mm"):
                self._events.add_scalar(f"loss/{name}", getattr(now, name), now.step)
            self._events.add_scalar("rate", now.rate, now.step)
            self._events.flush()


def _known_rows(path: Path, step: int) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.reader(stream) if len(row) == 7 and row[0].isdigit() and int(row[0]) <= step]


def _event_writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.warning("TensorBoard is not installed: losses.csv and losses.png only")
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


def plot_losses(table: Path, path: Path) -> None:
    """Draw losses.csv (step, hinge, joints mm, rotation, gravity degrees, rate, soft retrieval mm) into a PNG; nothing
    for a run that ended before its first report.
    """
    if not table.exists() or not table.stat().st_size:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = np.atleast_2d(np.loadtxt(table, delimiter=","))
    figure, axes = pyplot.subplots(1, 5, figsize=(18, 3.2))
    names = (
        "max-margin hinge (0.1 m)",
        "auxiliary joints, mm",
        "auxiliary rotations",
        "gravity, degrees",
        "retrieved, mm",
    )
    for axis, name, column in zip(axes, names, (1, 2, 3, 4, 6), strict=True):
        axis.plot(rows[:, 0], rows[:, column], lw=0.8)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("step")
        axis.set_yscale("log" if rows[:, column].min() > 0 else "linear")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
