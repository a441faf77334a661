"""An image of a training run: hinge, joints, rotations and gravity over the steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np


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
