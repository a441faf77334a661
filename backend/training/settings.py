"""The settings of a training run. stdlib only."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    """Lengths in steps of `batch` windows. `margin_unit_m`: the margin is MPJPE in this unit. `seconds`: the learning
    rate falls so that training ends after this time if `steps` would take longer. `half_precision`: bfloat16 products
    where the device is faster with them (`parallel.half_precision_pays`). `batch` is of one rank. The margin loss,
    weighted by `margin`, is of the first `margin_rows` windows of a batch (None: of all).
    `soft`: weight of soft retrieval (0: none), for the first `soft_rows` windows of a batch, from `soft_bank`
    candidates that are embedded anew every `soft_refresh` steps.
    """

    steps: int = 5000
    """Steps of the whole run."""
    batch: int = 512
    """Windows of a step on one rank."""
    candidates: int = 2048
    """Poses that compete in a step beside the batch's own."""
    bank: int = 300_000
    """Poses that `candidates` are drawn from."""
    violations: int = 8
    """Largest violations of each window that count in the margin loss."""
    margin_unit_m: float = 0.1
    """The margin is MPJPE in this unit."""
    rate: float = 1e-3
    """Learning rate after `warmup`."""
    final_rate: float = 1e-5
    """Learning rate at the end."""
    warmup: int = 200
    """Steps in which the learning rate rises."""
    weight_decay: float = 1e-4
    """Of AdamW."""
    average: float = 0.998
    """Share of the averaged towers that a step keeps."""
    auxiliary: float = 1.0
    """Weight of all auxiliary tasks beside the margin loss; `objective.LossWeights` weighs them to each other."""
    margin: float = 1.0
    """Weight of the margin loss."""
    margin_rows: int | None = None
    """Windows of a batch that take part in the margin loss; None: all."""
    soft: float = 5.0
    """Weight of soft retrieval; 0: none."""
    soft_rows: int = 32
    """Windows of a batch that are retrieved softly."""
    soft_hits: int = 64
    """Best candidates that are averaged in soft retrieval."""
    soft_temperature: float = 0.5
    """The average is weighted by softmax(score / temperature)."""
    soft_bank: int = 65_536
    """Candidates that soft retrieval searches."""
    soft_refresh: int = 100
    """Steps after which they are embedded anew."""
    replay: int = 160
    """Batches that are kept to be used again while no fresh one is ready."""
    seconds: float = math.inf
    """Training ends after this time if `steps` would take longer; the learning rate falls with it."""
    half_precision: bool = True
    """Use bfloat16 products where the device is faster with them (`parallel.half_precision_pays`)."""
    seed: int = 0
    """Of everything that is drawn."""
    device: str = "cpu"
    """`cpu`, `cuda` or `cuda:1`."""
