"""One batch of training windows, simulated or from renders, on its way from the generator to the towers. numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from backend.types import Array

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values")


@dataclass(frozen=True, slots=True)
class TrainingBatch(Generic[Values]):
    """B windows and their truth in the virtual camera, as numpy arrays or, after `to`, as torch tensors."""

    frames: Values
    """(B, W, F) windows of landmarks, as the image tower reads them."""
    context: Values
    """(B, C) what holds of the whole window."""
    joints_m: Values
    """(B, 17, 3) relative to the pelvis, on the person's body scaled to the canonical size."""
    pose_m: Values
    """(B, 17, 3) the same pose on the canonical body."""
    rotations: Values
    """(B, J, 3, 3) of the joints."""
    gravity: Values
    """(B, 3) unit vector down."""
    proportions: Values
    """(B, 7) as in `embedding.features`."""
    virtual_from_camera: Values
    """(B, 3, 3)."""

    def packed(self: TrainingBatch[Array]) -> TrainingBatch[Array]:
        """The batch for the way between processes: the two large arrays in half precision."""
        half = np.float16
        return replace(self, frames=self.frames.astype(half), rotations=self.rotations.astype(half))

    def to(self: TrainingBatch[Array], device: str) -> TrainingBatch[Tensor]:
        """The batch as single-precision tensors on a device."""
        import torch

        arrays = (getattr(self, field.name).astype(np.float32) for field in fields(self))
        return TrainingBatch(*(torch.from_numpy(values).to(device) for values in arrays))


def joined(parts: Sequence[TrainingBatch[Array]]) -> TrainingBatch[Array]:
    """Batches one after the other."""
    names = [field.name for field in fields(TrainingBatch)]
    return TrainingBatch(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
