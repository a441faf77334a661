"""Trains the lifting network of hands on projections of the canonical hand and writes `hand_pose.safetensors`.

    python -m tools.train_hand_pose [--steps 4000] [--output FILE]

Needs torch. No image and no recording is used: random poses of the hinged hand in random proportions are seen from
random sides, with the errors that landmark networks make. The network is three layers on 23 points.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from backend.hands.lift import INPUT_POINTS, OUTPUTS, normalised_input
from backend.hands.model import ANGLES, HIGH, LOW, RELAXED, HandShape, hand_points, seen_shape
from backend.keypoint_layouts import HAND
from backend.networks.graph import Conv, Flatten, NetworkGraph, Operation, Provenance
from backend.networks.weights_file import WEIGHTS_DIRECTORY, write_network

Values = NDArray[np.float64]

_BATCH, _WIDTH = 1024, 384
_OUTLIER = 0.15


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--output", type=Path, default=WEIGHTS_DIRECTORY / "hand_pose.safetensors")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    model = nn.Sequential(
        nn.Linear(2 * INPUT_POINTS, _WIDTH),
        nn.ReLU(),
        nn.Linear(_WIDTH, _WIDTH),
        nn.ReLU(),
        nn.Linear(_WIDTH, _WIDTH),
        nn.ReLU(),
        nn.Linear(_WIDTH, OUTPUTS),
    )
    trained(model, np.random.default_rng(arguments.seed), arguments.steps)
    write_network(arguments.output, as_graph(model))
    return 0


def trained(model: nn.Sequential, random: np.random.Generator, steps: int) -> None:
    """Train in place; the learning rate falls to nothing along half a cosine."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.5e-3, weight_decay=1e-4)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1.5e-3 * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 1e-6
        given, pose = batch(random, _BATCH)
        out = model(torch.from_numpy(given.reshape(len(given), -1)))
        target = torch.from_numpy(pose)
        rotation = (out[:, :6] - target[:, :6]).abs().mean()
        angles = (out[:, 6:] - target[:, 6:]).abs().mean()
        loss = rotation + angles
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 200 == 199:
            degrees = float(torch.rad2deg((out[:, 6:] - target[:, 6:]).detach().abs()).median())
            sys.stdout.write(f"{step + 1} steps, rotation {rotation.item():.3f}, angles median {degrees:.1f} deg\n")
            sys.stdout.flush()


def batch(random: np.random.Generator, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Inputs (N, 23, 2) and poses (N, 22): six numbers of the rotation as it is seen, then angles."""
    angles = random_angles(random, count)
    shape = seen_shape()
    bones = shape.lengths * random.normal(1.0, 0.08, (count, 5, 3)) * random.normal(1.0, 0.05, (count, 1, 1))
    roots = shape.roots + random.normal(0.0, 0.03, (count, 5, 3))
    points = hand_points(angles, HandShape(roots, bones, shape.wrist), 0)
    turns = random_rotations(random, count)
    seen = np.einsum("nij,npj->npi", turns, points)
    # a camera some metres away, a hand of a tenth of a metre
    distance = random.uniform(6.0, 60.0, (count, 1, 1))
    flat = seen[..., :2] * distance / np.maximum(distance + seen[..., 2:], 1.0)
    flat = flat + landmark_errors(random, count)
    forearm = forearms(random, turns)
    given, turn = normalised_input(flat, forearm, 0)
    as_seen = turns.copy()
    as_seen[:, :2] = np.einsum("nij,njk->nik", turn, turns[:, :2])
    six = np.concatenate([as_seen[:, :, 0], as_seen[:, :, 1]], axis=1)
    return given, np.concatenate([six, angles], axis=1).astype(np.float32)


def random_angles(random: np.random.Generator, count: int) -> Values:
    """Poses of the hand: at rest, fingers that bend together, and fingers that bend or stretch each by itself."""
    curl = random.uniform(0.0, 1.0, (count, 1)) + random.normal(0.0, 0.15, (count, 4))
    each = random.uniform(0.0, 1.0, (count, 4))
    either = np.clip((random.random((count, 4)) < 0.5) + random.normal(0.0, 0.12, (count, 4)), 0.0, 1.1)
    kind = random.integers(0, 4, (count, 1))
    bent = np.where(kind == 0, curl, np.where(kind == 1, each, either))
    knuckle = bent * random.uniform(0.2, 1.6, (count, 4)) + random.normal(0.0, 0.15, (count, 4))
    middle = bent * random.uniform(0.6, 1.8, (count, 4)) + np.abs(random.normal(0.0, 0.12, (count, 4)))
    spread = random.normal(0.0, 0.12, (count, 4)) + random.normal(0.0, 0.1, (count, 1)) * np.array([1.0, 0.2, -0.5, -1])
    fingers = np.stack([spread, knuckle, middle], axis=2).reshape(count, 12)
    thumb = random.uniform(LOW[12:], HIGH[12:], (count, 4)) * 0.8 + random.normal(0.0, 0.1, (count, 4))
    angles = np.concatenate([fingers, thumb], axis=1)
    rest = random.random((count, 1)) < 0.12
    angles = np.where(rest, RELAXED + random.normal(0.0, 0.1, (count, ANGLES)), angles)
    return np.clip(angles, LOW, HIGH)


def random_rotations(random: np.random.Generator, count: int) -> Values:
    """Rotations from every side."""
    wxyz = random.normal(size=(count, 4))
    w, x, y, z = (wxyz / np.linalg.norm(wxyz, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)


def landmark_errors(random: np.random.Generator, count: int) -> Values:
    """Errors (N, 21, 2) in palms: of each landmark, of the palm as a whole, and now and then of a hidden finger."""
    level = random.uniform(0.01, 0.06, (count, 1, 1))
    errors = random.normal(size=(count, HAND.count, 2)) * level
    lost = random.random((count, 5)) < _OUTLIER * 0.5
    moved = random.normal(0.0, 0.12, (count, 5, 1, 2)) * lost[..., None, None]
    ramp = np.array([0.2, 0.6, 0.9, 1.0])[:, None]
    errors[:, 1:] += (moved * ramp).reshape(count, 20, 2)
    return errors


def forearms(random: np.random.Generator, turns: Values) -> Values:
    """Directions (N, 3) from elbow to wrist: the wrist bends, and the body's own fit errs; not known in one of ten."""
    bend, aside = random.normal(0.0, 0.45, len(turns)), random.normal(0.0, 0.25, len(turns))
    local = np.stack([np.cos(bend) * np.cos(aside), np.sin(aside), np.sin(bend) * np.cos(aside)], axis=1)
    arm = np.einsum("nij,nj->ni", turns, local) + random.normal(0.0, 0.2, (len(turns), 3)) * [0.5, 0.5, 1.5]
    arm /= np.linalg.norm(arm, axis=1, keepdims=True)
    arm[random.random(len(turns)) < 0.1] = np.nan
    return arm


def as_graph(model: nn.Sequential) -> NetworkGraph:
    """The layers as convolutions of one pixel, which the project's runtimes know; the first takes both rows at once."""
    arrays, operations, last = {}, list[Operation](), "points"
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    for number, layer in enumerate(layers):
        weight = layer.weight.detach().numpy()
        shaped = weight.reshape(len(weight), INPUT_POINTS, 2, 1) if number == 0 else weight[:, :, None, None]
        arrays[f"w{number}"], arrays[f"b{number}"] = shaped.astype(np.float16), layer.bias.detach().numpy()
        activation = "none" if layer is layers[-1] else "relu"
        operations.append(Conv((last,), f"l{number}", f"w{number}", f"b{number}", (1, 1), (0, 0, 0, 0), 1, activation))
        last = f"l{number}"
    operations.append(Flatten((last,), "pose", (OUTPUTS,)))
    provenance = Provenance("Marionet", "tools/train_hand_pose.py", "0" * 64, "GPL-3.0-or-later", "Marionet's authors")
    return NetworkGraph(
        "hand_pose", "points", 0, 1.0, 0.0, tuple(operations), {"pose": "pose"}, arrays, provenance, INPUT_POINTS
    )


if __name__ == "__main__":
    sys.exit(main())
