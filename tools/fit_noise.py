"""Fit the landmark error model to renders: what the shipped landmark networks get wrong where the truth is known.

    python -m backend synthesize -o videos --count 2400 --film 12 --shard-size 120 --mocap mocap/
    python tools/fit_noise.py --renders videos --renders singles > noise.json
    python -m backend train --mocap mocap/ -o run/ --noise noise.json

Prints JSON: `noise`, which `train --noise` reads, `visibility`, `seen` and `simulated`, the same statistics of the
networks on the renders and of the fitted model on the same truth, so that the fit can be judged.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.people import Quality
from backend.training.landmark_noise import LandmarkNoise
from backend.training.noise_fit import Statistics, fitted_noise, joined, measured_errors, simulated_seen, statistics
from backend.training.render_landmarks import RenderLandmarks, render_landmarks

log = logging.getLogger("fit_noise")


def main() -> int:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", type=Path, action="append", required=True, help="folder; may be repeated")
    parser.add_argument("--network", choices=("full", "heavy"), action="append", help="default: both")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    qualities = [Quality(f"pose_{name}") for name in args.network or ["full", "heavy"]]
    seen = joined([render_landmarks(folder, quality) for folder in args.renders for quality in qualities])
    noise = fitted_noise(seen)
    record = {
        "noise": asdict(noise),
        "images": len(seen),
        "found": float(seen.found.mean()),
        "seen": _rounded(seen),
        "simulated": _rounded(simulated_seen(seen, noise, np.random.default_rng(0))),
        "simulated_by_default": _rounded(simulated_seen(seen, LandmarkNoise(), np.random.default_rng(0))),
    }
    print(json.dumps(record, indent=1))
    return 0


def _rounded(seen: RenderLandmarks) -> dict[str, float]:
    values: Statistics = statistics(measured_errors(seen))
    return {name: round(value, 4) for name, value in asdict(values).items()}


if __name__ == "__main__":
    sys.exit(main())
