"""Trains the lifting network of hands on projections of the canonical hand and writes `hand_pose.safetensors`.

    python -m tools.train_hand_pose [--steps 3000] [--errors FILE] [--output FILE]

Needs torch. No recording is used: random poses of the hinged hand in random proportions are seen from random sides,
with made-up errors. With a file of `tools/collect_hand_errors.py` half of the hands get the errors that the landmark
network made on a rendered hand in a like pose, and some hands are near the rendered poses. The network is three layers
on 23 points.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from backend.hands.lift import INPUT_POINTS, OUTPUTS, normalised_input
from backend.hands.model import ANGLES, HIGH, LOW, RELAXED, HandShape, bends, hand_points, seen_shape
from backend.keypoint_layouts import HAND
from backend.networks.graph import Conv, Flatten, NetworkGraph, Operation, Provenance
from backend.networks.weights_file import WEIGHTS_DIRECTORY, write_network

Values = NDArray[np.float64]

_BATCH, _WIDTH = 1024, 384
_OUTLIER = 0.15
_WITH_SEEN_ERRORS, _NEAR_SEEN_POSES, _LIKE = 0.5, 0.15, 6
_ASKED = 400  # of the errors on renders, drawn anew for each batch


@dataclass(frozen=True, slots=True)
class SeenErrors:
    """Errors (D, 21, 2) in palms that the landmark network made on left hands (right ones in the mirror), turned until
    the middle knuckle stands above the wrist, and the true angles (D, 16).
    """

    errors: Values
    angles: Values

    def near(self, random: np.random.Generator, angles: Values) -> Values:
        """For each of N poses (N, 16) the place of one of the few that are bent most alike (N,)."""
        asked = random.permutation(len(self.angles))[:_ASKED]
        own, given = (bends(poses)[1].reshape(len(poses), -1) for poses in (self.angles[asked], angles))
        apart = ((given[:, None] - own[None]) ** 2).sum(axis=-1)
        like = np.argpartition(apart, _LIKE, axis=1)[:, :_LIKE]
        return np.asarray(asked[like[np.arange(len(given)), random.integers(0, _LIKE, len(given))]])


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--errors", type=Path, help="errors on renders, of tools/collect_hand_errors.py")
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
    errors = None if arguments.errors is None else read_errors(arguments.errors)
    trained(model, np.random.default_rng(arguments.seed), arguments.steps, errors)
    how = f" --steps {arguments.steps} --seed {arguments.seed}"
    how += "" if errors is None else f" --errors (sha256 {_sha256(arguments.errors)})"
    write_network(arguments.output, as_graph(model, how))
    return 0


def read_errors(path: Path) -> SeenErrors:
    """The file that `tools/collect_hand_errors.py` wrote."""
    with np.load(path) as arrays:
        return SeenErrors(arrays["errors"].astype(np.float64), arrays["angles"].astype(np.float64))


def trained(model: nn.Sequential, random: np.random.Generator, steps: int, errors: SeenErrors | None = None) -> None:
    """Train in place; the learning rate falls to nothing along half a cosine."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.5e-3, weight_decay=1e-4)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1.5e-3 * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 1e-6
        given, pose = batch(random, _BATCH, errors)
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


def batch(
    random: np.random.Generator, count: int, errors: SeenErrors | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Inputs (N, 23, 2) and poses (N, 22): six numbers of the rotation as it is seen, then angles."""
    angles = random_angles(random, count)
    if errors is not None:
        near = errors.angles[random.integers(0, len(errors.angles), count)] + random.normal(0.0, 0.12, (count, ANGLES))
        angles = np.where(random.random((count, 1)) < _NEAR_SEEN_POSES, np.clip(near, LOW, HIGH), angles)
    shape = seen_shape()
    bones = shape.lengths * random.normal(1.0, 0.08, (count, 5, 3)) * random.normal(1.0, 0.05, (count, 1, 1))
    roots = shape.roots + random.normal(0.0, 0.03, (count, 5, 3))
    points = hand_points(angles, HandShape(roots, bones, shape.wrist), 0)
    turns = random_rotations(random, count)
    seen = np.einsum("nij,npj->npi", turns, points)
    # a camera some metres away, a hand of a tenth of a metre
    distance = random.uniform(6.0, 60.0, (count, 1, 1))
    flat = seen[..., :2] * distance / np.maximum(distance + seen[..., 2:], 1.0)
    made_up = landmark_errors(random, count)
    flat = flat + (made_up if errors is None else with_seen_errors(random, flat, angles, (made_up, errors)))
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


def with_seen_errors(
    random: np.random.Generator, flat: Values, angles: Values, errors: tuple[Values, SeenErrors]
) -> Values:
    """Made-up errors (N, 21, 2); a part of the hands `flat` (N, 21, 2) get errors on hands in like poses instead."""
    made_up, seen = errors
    rows = np.flatnonzero(random.random(len(flat)) < _WITH_SEEN_ERRORS)
    who = seen.near(random, angles[rows])
    along = (flat[rows, 5] + flat[rows, 13]) / 4.0 + flat[rows, 9] / 2.0 - flat[rows, 0]
    up = along / np.linalg.norm(along, axis=1, keepdims=True)
    turn = np.stack([np.stack([-up[:, 1], up[:, 0]], axis=1), -up], axis=1)
    size = random.uniform(0.6, 1.2, (len(rows), 1, 1))
    out = made_up.copy()
    out[rows] = np.einsum("nij,npi->npj", turn, seen.errors[who]) * size
    out[rows] += random.normal(0.0, 0.01, (len(rows), HAND.count, 2))
    return out


def forearms(random: np.random.Generator, turns: Values) -> Values:
    """Directions (N, 3) from elbow to wrist: the wrist bends, and the body's own fit errs; not known in one of ten."""
    bend, aside = random.normal(0.0, 0.45, len(turns)), random.normal(0.0, 0.25, len(turns))
    local = np.stack([np.cos(bend) * np.cos(aside), np.sin(aside), np.sin(bend) * np.cos(aside)], axis=1)
    arm = np.einsum("nij,nj->ni", turns, local) + random.normal(0.0, 0.2, (len(turns), 3)) * [0.5, 0.5, 1.5]
    arm /= np.linalg.norm(arm, axis=1, keepdims=True)
    arm[random.random(len(turns)) < 0.1] = np.nan
    return arm


def as_graph(model: nn.Sequential, how: str) -> NetworkGraph:
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
    made_by = Path(__file__)
    file = f"tools/{made_by.name}{how}"
    provenance = Provenance("Marionet", file, _sha256(made_by), "GPL-3.0-or-later", "Marionet's authors")
    return NetworkGraph(
        "hand_pose", "points", 0, 1.0, 0.0, tuple(operations), {"pose": "pose"}, arrays, provenance, INPUT_POINTS
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
