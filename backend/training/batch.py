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
    window_joints_m: Values | None = None
    """(B, W, 17, 3) relative to each frame's pelvis. This and the fields below: of windows simulated for the temporal
    tower; None for others.
    """
    velocity_m_s: Values | None = None
    """(B, 17, 3) of the centre frame's joints, the pelvis moving too."""
    standing: Values | None = None
    """(B, 2) 0 or 1, whether the right and left foot stand."""

    def packed(self: TrainingBatch[Array]) -> TrainingBatch[Array]:
        """The batch for the way between processes: the two large arrays in half precision."""
        half = np.float16
        return replace(self, frames=self.frames.astype(half), rotations=self.rotations.astype(half))

    def to(self: TrainingBatch[Array], device: str) -> TrainingBatch[Tensor]:
        """The batch as single-precision tensors on a device."""
        import torch

        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return TrainingBatch(
            **{
                name: torch.from_numpy(values.astype(np.float32)).to(device)
                for name, values in arrays.items()
                if values is not None
            }
        )


def joined(parts: Sequence[TrainingBatch[Array]]) -> TrainingBatch[Array]:
    """Batches one after the other; optional fields only where every part has them."""
    columns = {field.name: [getattr(part, field.name) for part in parts] for field in fields(TrainingBatch)}
    return TrainingBatch(
        **{name: np.concatenate(each) for name, each in columns.items() if all(part is not None for part in each)}
    )
