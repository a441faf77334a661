"""Measure and draw the paper's claims about the embedding on this project's own data (docs/reproduction/index.md).

    python tools/reproduction_plots.py --mocap mocap/ --output docs/images

Writes embedding_components.png (first two principal components of the pose embedding, coloured by body orientation
and by leg placement) and average_curve.png (MPJPE of Avg(A) over A); prints the correlations as Markdown.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.bank.search import make_searcher
from backend.datasets import read_library
from backend.embedding.pose_model import PoseModel, load_model
from backend.embedding.retrieval import retrieve
from backend.evaluation.simulated import held_out_batch

log = logging.getLogger("reproduction")

_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1500)


def main() -> int:
    """Measure, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mocap", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=1500)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    model = load_model()
    args.output.mkdir(parents=True, exist_ok=True)
    _components(model, args.output / "embedding_components.png")
    _average_curve(model, args, args.output / "average_curve.png")
    return 0


def _components(model: PoseModel, path: Path) -> None:
    rows = np.random.default_rng(0).permutation(len(model.bank))[:6000]
    joints = model.bank.candidates.joints_m(rows)
    embedding = model.bank.embeddings[rows].astype(np.float32)
    centred = embedding - embedding.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    parts = centred @ vectors[:, ::-1][:, :2]
    left = joints[:, 4] - joints[:, 1]
    facing = np.arctan2(left[:, 2], left[:, 0])
    stride = joints[:, 6, 2] - joints[:, 3, 2]
    share = values[::-1][:2].sum() / values.sum()
    log.info(
        "| the first two of %d principal components hold | %.0f %% of the variance |", embedding.shape[1], 100 * share
    )
    log.info("|---|---|")
    for name, target in (
        ("body orientation (sine, cosine)", np.stack([np.sin(facing), np.cos(facing)], 1)),
        ("leg placement", stride[:, None]),
    ):
        log.info("| they explain of %s | %.0f %% |", name, 100 * _explained(parts, target))
    _scatter(
        parts,
        (
            ("orientation of the hips, degrees", np.degrees(facing), "twilight"),
            ("left ankle behind right, m", stride, "coolwarm"),
        ),
        path,
    )


def _explained(parts: np.ndarray, target: np.ndarray) -> float:
    """Share of the target's variance that a smooth (quadratic) function of the two components explains."""
    a, b = (parts / parts.std(0)).T
    design = np.stack([np.ones_like(a), a, b, a * b, a * a, b * b], axis=1)
    fitted = design @ np.linalg.lstsq(design, target, rcond=None)[0]
    return float(1 - np.square(target - fitted).sum() / np.square(target - target.mean(0)).sum())


def _scatter(parts: np.ndarray, panels: tuple[tuple[str, np.ndarray, str], ...], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(panels), figsize=(11, 4.6))
    for axis, (name, value, colours) in zip(axes, panels, strict=True):
        points = axis.scatter(parts[:, 0], parts[:, 1], c=value, cmap=colours, s=4)
        figure.colorbar(points, ax=axis, label=name)
        axis.set_xlabel("first principal component of the pose embedding")
    axes[0].set_ylabel("second")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def _average_curve(model: PoseModel, args: argparse.Namespace, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    batch = held_out_batch(read_library(args.mocap).held_out(), args.windows, 1, model.towers)
    hits = make_searcher(model.bank.embeddings).search(model.towers.embed_images(batch).embedding, max(_COUNTS))
    errors = []
    for count in _COUNTS:
        found = retrieve(model.bank, hits, count)
        joints = found.best_joints_m if count == 1 else found.joints_m
        errors.append(float(np.linalg.norm(joints - batch.pose_m, axis=-1).mean() * 1000))
    log.info("\n| A | %s |\n|%s|", " | ".join(map(str, _COUNTS)), "---|" * (len(_COUNTS) + 1))
    log.info("| Avg(A), MPJPE mm | %s |", " | ".join(f"{error:.1f}" for error in errors))
    figure, axis = pyplot.subplots(figsize=(5.5, 3.4))
    axis.semilogx(_COUNTS, errors, "o-")
    axis.set_xlabel("A")
    axis.set_ylabel("MPJPE, mm (simulated, held-out subjects)")
    axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
