"""How near a bank's poses come to held-out ones: as they stand, by parts, with any view allowed; what the score says.

    python tools/bank_reach.py --mocap mocap/ --windows 150

If poses are near when they may be turned at will, a bank lacks views; if not, it lacks poses. The second table shows
how much higher the score rates other poses than the truth: the tower's own answer, and the best that parts can make.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.bank.bank_file import PoseBank
from backend.bank.search import make_searcher
from backend.datasets import read_library
from backend.embedding.model_files import ModelFiles
from backend.embedding.part_retrieval import PartSearch
from backend.embedding.pose_model import PoseModel, load_model
from backend.embedding.retrieval import retrieve
from backend.evaluation.simulated import held_out_batch, nearest_in_bank
from backend.evaluation.tables import markdown_table
from backend.evaluation.wide_parts import WIDE_HITS, WIDE_PARTS
from backend.training.batch import TrainingBatch

Array = NDArray[np.floating]

_SHORTLIST = 20
_BLOCK = 4096


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mocap", type=Path, required=True)
    parser.add_argument("--towers", type=Path, help="towers other than the shipped ones")
    parser.add_argument("--bank", type=Path, help="a bank other than the shipped one")
    parser.add_argument("--windows", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model, library = load_model(files=ModelFiles(args.towers, args.bank)), read_library(args.mocap)
    unturned = unturned_poses_m(model.bank)
    reach, scores = [], []
    for name, takes in (("held-out subjects", library.held_out()), ("training subjects", library.training())):
        batch = held_out_batch(takes, args.windows, args.seed, model.towers)
        near = nearest_in_bank(batch.pose_m, model.bank)
        reach.append([name, near.whole_mm, near.by_parts_mm, nearest_turned_mm(batch.pose_m, unturned)])
        scores.append([name, *score_gaps(batch, model)])
    header = ["nearest in the bank, MPJPE mm", "whole poses", "by parts of the nearest 200", "whole, any view"]
    sys.stdout.write(markdown_table(header, reach) + "\n")
    header = ["median score over the truth's (1 is a margin of 100 mm)", "auxiliary head", "best made of parts"]
    sys.stdout.write(markdown_table(header, scores))
    return 0


def unturned_poses_m(bank: PoseBank) -> Array:
    """One candidate (N, 17, 3) m of each pose of a bank, whatever its view."""
    _, first = np.unique(bank.candidates.pose, return_index=True)
    return bank.candidates.joints_m(np.asarray(first, np.intp)).astype(np.float64)


def nearest_turned_mm(joints_m: Array, poses_m: Array) -> float:
    """Mean over joints (N, 17, 3) of the MPJPE in mm to the nearest pose (M, 17, 3) when it may be turned about the
    pelvis at will (least squares).
    """
    return float(np.mean([_nearest_turned(one.astype(np.float64), poses_m) for one in joints_m]) * 1000)


def _nearest_turned(joints_m: Array, poses_m: Array) -> float:
    squares = np.square(poses_m).sum(axis=(1, 2))
    overlap = np.concatenate(
        [
            np.linalg.svd(np.einsum("nji,jk->nik", poses_m[at : at + _BLOCK], joints_m), compute_uv=False).sum(axis=-1)
            for at in range(0, len(poses_m), _BLOCK)
        ]
    )
    # without a look at the handedness: a bound below, good enough to choose whom to look at closely
    short = np.argsort(squares - 2 * overlap)[:_SHORTLIST]
    u, _, vt = np.linalg.svd(np.einsum("nji,jk->nik", poses_m[short], joints_m))
    u[..., -1] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return float(np.linalg.norm(poses_m[short] @ (u @ vt) - joints_m, axis=-1).mean(axis=-1).min())


def score_gaps(batch: TrainingBatch[Array], model: PoseModel) -> tuple[float, float]:
    """Medians of how much higher than the truth the auxiliary head's answer and the best made of parts are scored."""
    output = model.towers.embed_images(batch)

    def score(joints_m: Array) -> Array:
        return np.asarray((model.towers.embed_poses(joints_m.astype(np.float32)) * output.embedding).sum(axis=-1))

    hits = make_searcher(model.bank.embeddings).search(output.embedding, min(WIDE_HITS, len(model.bank)))
    start = retrieve(model.bank, hits, 100).joints_m
    best = replace(WIDE_PARTS, temperature=0.01)  # the best donor alone, no mean
    made = PartSearch(model.towers.weights, best).from_hits(model.bank, output.embedding, hits, start)
    truth = score(batch.pose_m)
    regressed = score(output.joints_m + batch.pose_m - batch.joints_m)
    return float(np.median(regressed - truth)), float(np.median(score(made) - truth))


if __name__ == "__main__":
    sys.exit(main())
