"""The settings of a training run. stdlib only."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    """Lengths in steps of `batch` windows. `margin_unit_m`: the margin is MPJPE in this unit. `seconds`: the learning
    rate falls so that training ends after this time if `steps` would take longer. `half_precision`: bfloat16 products
    where the device is faster with them (`precision.half_precision_pays`). `batch` is of one rank.
    `soft`: weight of soft retrieval (0: none), for the first `soft_rows` windows of a batch, from `soft_bank`
    candidates that are embedded anew every `soft_refresh` steps.
    """

    steps: int = 5000
    batch: int = 512
    candidates: int = 2048
    bank: int = 300_000
    violations: int = 8
    margin_unit_m: float = 0.1
    rate: float = 1e-3
    final_rate: float = 1e-5
    warmup: int = 200
    weight_decay: float = 1e-4
    average: float = 0.998
    auxiliary: float = 1.0
    soft: float = 5.0
    soft_rows: int = 32
    soft_hits: int = 64
    soft_temperature: float = 0.5
    soft_bank: int = 65_536
    soft_refresh: int = 100
    replay: int = 160
    seconds: float = math.inf
    half_precision: bool = True
    seed: int = 0
    device: str = "cpu"
