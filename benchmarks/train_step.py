"""Seconds of a training step in single precision and with bfloat16 products, on this machine.

    python benchmarks/train_step.py
    python benchmarks/train_step.py --device cuda --batch 2048

Says which of the two `train` picks here. Batches are random numbers: the data costs nothing.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from backend.embedding.features import CONTEXT_FEATURES, FRAME_FEATURES, WINDOW
from backend.embedding.towers_torch import TowerSizes
from backend.keypoint_layouts import CANONICAL_BODY, HUMAN36M
from backend.training.batch import TrainingBatch
from backend.training.objective import Objective
from backend.training.parallel import half_precision_pays
from backend.training.soft_retrieval import Candidates
from backend.training.trainer import TrainerSettings, new_state
from benchmarks.outcome import CANNOT_RUN

log = logging.getLogger("train_step")


def main() -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        log.error("NOT RUN: there is no CUDA device here, so nothing was measured")
        return CANNOT_RUN
    torch.set_num_threads(args.threads)
    settings = replace(TrainerSettings(), device=args.device, batch=args.batch)
    times = {half: _step_s(settings, half, args.repeats) for half in (False, True)}
    log.info("| %s, batch %d, %d threads | ms a step | ratio |\n|---|---|---|", args.device, args.batch, args.threads)
    for half, name in ((False, "single precision"), (True, "bfloat16 products")):
        log.info("| %s | %.0f | %.2f |", name, 1000 * times[half], times[half] / times[False])
    log.info("\n`train` picks %s here", "bfloat16" if half_precision_pays(args.device) else "single precision")
    return 0


def _step_s(settings: TrainerSettings, half: bool, repeats: int) -> float:
    state = new_state(TowerSizes(), settings)
    objective = Objective(state.image, state.pose, settings, half)
    rng, rows = np.random.default_rng(0), settings.batch

    def draw(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32)).to(settings.device)

    batch = TrainingBatch(
        frames=draw(rows, WINDOW, FRAME_FEATURES),
        context=draw(rows, CONTEXT_FEATURES),
        joints_m=draw(rows, HUMAN36M.count, 3),
        pose_m=draw(rows, HUMAN36M.count, 3),
        rotations=draw(rows, CANONICAL_BODY.count, 3, 3),
        gravity=draw(rows, 3),
        proportions=draw(rows, 7),
        virtual_from_camera=draw(rows, 3, 3),
    )
    candidates = draw(settings.candidates, HUMAN36M.count, 3)
    donors = Candidates(draw(settings.soft_bank, HUMAN36M.count, 3), draw(settings.soft_bank, TowerSizes().embedding))
    spent = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        loss = objective(batch, candidates, donors).loss
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.optimizer.step()
        loss.item()  # waits for the device
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent[1:])


if __name__ == "__main__":
    sys.exit(main())
