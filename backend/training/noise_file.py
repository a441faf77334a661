"""The landmark error model as JSON, so that a fit on one machine trains on another. stdlib."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from pathlib import Path

from backend.errors import BadInputError
from backend.training.landmark_noise import LandmarkNoise


def write_noise(noise: LandmarkNoise, path: Path) -> None:
    """Write a noise model."""
    path.write_text(json.dumps({"noise": asdict(noise)}, indent=1) + "\n", encoding="utf-8")


def read_noise(path: Path) -> LandmarkNoise:
    """Read a noise model; fields that the file lacks keep their defaults. BadInputError names what is wrong."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))["noise"]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise BadInputError(
            f"{path} is no noise model ({fault})", "Write one with: python tools/fit_noise.py --renders FOLDER"
        ) from fault
    known = {field.name for field in fields(LandmarkNoise)}
    wrong = sorted(set(record) - known) if isinstance(record, dict) else [str(record)]
    wrong += sorted(
        name for name in known & set(record) if not isinstance(record[name], int | float) or not _allowed(record[name])
    )
    if wrong:
        remedy = f"Known are {', '.join(sorted(known))}"
        raise BadInputError(f"{path} holds no usable value for {', '.join(wrong)}", remedy)
    return LandmarkNoise(**{name: float(value) for name, value in record.items()})


def _allowed(value: float) -> bool:
    return math.isfinite(value) and value >= 0.0
