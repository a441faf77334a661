"""The mean of image towers that were trained beside the same pose tower: what one is better at than the other, shared.

    python tools/mean_towers.py -o mean.safetensors one.safetensors other.safetensors
    python tools/mean_towers.py -o mean.safetensors one.safetensors other.safetensors --weights 0.7 0.3

The towers must come from one start (`train --start ... --keep-pose-tower`): layers of unrelated runs do not add up.
Banks of the pose tower stay valid.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.embedding.tower_weights import Dense, TowerWeights, read_towers, write_towers
from backend.errors import BadInputError, MarionetError


def mean_towers(towers: list[TowerWeights], weights: list[float]) -> TowerWeights:
    """The image towers' layers averaged with weights that sum to 1, and their common pose tower.

    Raises BadInputError for towers with different pose towers, and for weights that do not fit.
    """
    if len(weights) != len(towers) or min(weights) < 0 or abs(sum(weights) - 1) > 1e-6:
        raise BadInputError(f"weights {weights} for {len(towers)} towers", "One each, none negative, 1 in sum")
    hashes = {one.pose_hash for one in towers}
    if len(hashes) > 1:
        raise BadInputError(f"the towers have different pose towers ({', '.join(sorted(hashes))})", "See train --help")
    layers = {
        name: Dense(
            _mean([one.image[name].weight for one in towers], weights),
            _mean([one.image[name].bias for one in towers], weights),
        )
        for name in towers[0].image
    }
    origin = "; ".join(f"{weight:g}: {one.provenance}" for weight, one in zip(weights, towers, strict=True))
    return TowerWeights(layers, towers[0].pose, {"mean of": origin})


def _mean(arrays: list[np.ndarray], weights: list[float]) -> np.ndarray:
    return np.asarray(np.average(arrays, axis=0, weights=weights), np.float32)


def main() -> int:
    """Read, average, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("towers", type=Path, nargs="+", help="towers.safetensors of two runs or more")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--weights", type=float, nargs="+", help="one for each file, 1 in sum (default: all alike)")
    args = parser.parse_args()
    try:
        towers = [read_towers(path) for path in args.towers]
        mean = mean_towers(towers, args.weights or [1 / len(towers)] * len(towers))
        write_towers(mean, args.output)
    except MarionetError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code
    print(f"{args.output}: mean of {len(towers)} image towers, pose tower {mean.pose_hash}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
