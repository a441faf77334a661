"""A contact sheet of canonical takes as stick figures, to look at before anything is trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backend.datasets.motion import Motion
from blender_addon.motion.body import canonical_body, forward_kinematics


def motion_sheet(takes: Sequence[Motion], path: Path, columns: int = 8, seed: int = 0) -> None:
    """Draw one random frame of each take, front and side by side, into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rng = np.random.default_rng(seed)
    rows = -(-len(takes) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(2.2 * columns, 2.4 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, take in zip(axes.flat, takes, strict=False):
        frame = int(rng.integers(len(take)))
        positions, _ = forward_kinematics(canonical_body(), take.rotations_wxyz[frame], take.root_m[frame])
        _draw(axis, positions, take, frame)
    figure.tight_layout()
    figure.savefig(path, dpi=70)
    pyplot.close(figure)


def _draw(axis, positions, take: Motion, frame: int) -> None:  # type: ignore[no-untyped-def]
    body = canonical_body()
    center = positions[0]
    for shift, across in ((-0.6, 0), (0.6, 1)):
        for joint, parent in enumerate(body.parents):
            if parent < 0:
                continue
            pair = positions[[parent, joint]]
            name = body.joint_names[joint]
            color = "tab:red" if name.startswith("left") else "tab:blue" if name.startswith("right") else "k"
            axis.plot(pair[:, across] - center[across] + shift, pair[:, 2], color=color, lw=1.5)
    axis.axhline(0, color="0.8", lw=0.8)
    axis.set_xlim(-1.5, 1.5)
    axis.set_ylim(-0.2, 2.2)
    axis.set_aspect("equal")
    axis.set_title(f"{take.subject[-18:]} {frame}", fontsize=7)
