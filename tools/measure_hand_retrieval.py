"""Compares retrieval with a max-margin embedding (Li, Zhang, Chan, ICCV 2015) with the lifting network, for hands.

    python -m tools.measure_hand_retrieval [--steps 1500] [--bank 100000] [--hands 4000]

Needs torch. Both towers are trained as the lifting network is: on projections of random poses with the errors that
landmark networks make (`tools/train_hand_pose.py`). The score of a hand and a pose is the dot product of their
embeddings, the margin the mean distance of their joints in palms. The bank holds random poses seen from random sides.
Printed are errors on new projections: of the best pose, of the mean of the best ten, and of the lifting network.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from backend.hands.lift import INPUT_POINTS, rotation_from_six
from backend.hands.model import bends, hand_points, seen_shape
from backend.networks import load_network
from tools.train_hand_pose import batch

_BATCH, _WIDTH, _SIZE, _BEST = 512, 256, 48, 10
Values = NDArray[Any]


def tower(inputs: int) -> nn.Sequential:
    """Two layers and an embedding."""
    return nn.Sequential(
        nn.Linear(inputs, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, _SIZE)
    )


def joints_of(pose: Values) -> Values:
    """Landmarks (N, 63) in palms, as the hand is seen, of poses (N, 22)."""
    points = hand_points(pose[:, 6:].astype(np.float64), seen_shape(), 0)
    seen = np.einsum("nij,npj->npi", rotation_from_six(pose[:, :6].astype(np.float64)), points)
    return np.asarray((seen - seen.mean(axis=1, keepdims=True)).reshape(len(pose), -1), dtype=np.float32)


def trained(steps: int, random: np.random.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    """The tower of what is seen and that of poses."""
    seen_tower, pose_tower = tower(2 * INPUT_POINTS), tower(63)
    optimiser = torch.optim.AdamW([*seen_tower.parameters(), *pose_tower.parameters()], lr=1e-3)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 1e-6
        given, pose = batch(random, _BATCH)
        joints = torch.from_numpy(joints_of(pose))
        score = seen_tower(torch.from_numpy(given.reshape(len(given), -1))) @ pose_tower(joints).T
        apart = torch.cdist(joints, joints) / np.sqrt(21.0)
        # of all poses of the batch, the one that violates its margin most
        loss = (apart + score - score.diagonal()[:, None]).max(dim=1).values.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 250 == 249:
            sys.stdout.write(f"{step + 1} steps, loss {loss.item():.3f}\n")
            sys.stdout.flush()
    return seen_tower, pose_tower


def errors(found: Values, true: Values) -> str:
    """A row: the bend of the joints and the palm's rotation, median and 90 %, in degrees."""
    bend = np.degrees(np.abs(bends(found[:, 6:])[1] - bends(true[:, 6:])[1]))
    turns, wanted = rotation_from_six(found[:, :6]), rotation_from_six(true[:, :6].astype(np.float64))
    cosine = (np.einsum("nij,nij->n", turns, wanted) - 1.0) / 2.0
    palm = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    cells = [np.median(bend), np.percentile(bend, 90), np.median(palm), np.percentile(palm, 90)]
    return " | ".join(f"{cell:.1f}" for cell in cells)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--bank", type=int, default=100_000)
    parser.add_argument("--hands", type=int, default=4000)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    seen_tower, pose_tower = trained(arguments.steps, random)
    bank = np.concatenate([batch(random, 2000)[1] for _ in range(arguments.bank // 2000)])
    given, true = batch(random, arguments.hands)
    with torch.no_grad():
        keys = torch.cat([pose_tower(torch.from_numpy(joints_of(part))) for part in np.array_split(bank, 50)])
        asked = seen_tower(torch.from_numpy(given.reshape(len(given), -1)))
        best = torch.cat([(part @ keys.T).topk(_BEST, dim=1).indices for part in asked.split(200)]).numpy()
    print("| | joints median deg | 90 % | palm median deg | 90 % |\n|---|---|---|---|---|")
    print(f"| best pose of {len(bank)} | {errors(bank[best[:, 0]], true)} |")
    print(f"| mean of the best {_BEST} | {errors(bank[best].mean(axis=1), true)} |")
    lifted = load_network("hand_pose").run(given)["pose"].astype(np.float64)
    print(f"| lifting network | {errors(lifted, true)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
