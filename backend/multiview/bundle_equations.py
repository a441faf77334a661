"""Normal equations of a bundle adjustment; the landmarks of each frame are eliminated (Schur complement). numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.types import Array


class Equations:
    """Normal equations: `local` (F, 3L, 3L), `mixed` (F, 3L, G), `common` (G, G), with their right sides."""

    def __init__(self, frames: int, landmarks: int, common: int) -> None:
        size = 3 * landmarks
        self.local = np.zeros((frames, size, size))
        self.mixed = np.zeros((frames, size, common))
        self.common = np.zeros((common, common))
        self.local_right = np.zeros((frames, size))
        self.common_right = np.zeros(common)
        self.cost = 0.0

    def add(self, residual: Array, local: Array, common: Array, columns: NDArray[np.intp]) -> None:
        """Weighted residuals (F, R) with derivatives (F, R, 3L) and, at `columns` (C,) or (F, C), (F, R, C)."""
        turned = np.swapaxes(local, 1, 2)
        self.local += turned @ local
        self.local_right += (turned @ residual[..., None])[..., 0]
        mixed = turned @ common
        square = np.swapaxes(common, 1, 2) @ common
        right = (np.swapaxes(common, 1, 2) @ residual[..., None])[..., 0]
        if columns.ndim == 1:
            self.mixed[:, :, columns] += mixed
            self.common[np.ix_(columns, columns)] += square.sum(axis=0)
            self.common_right[columns] += right.sum(axis=0)
            return
        for frame, own in enumerate(columns):
            self.mixed[frame][:, own] += mixed[frame]
            self.common[np.ix_(own, own)] += square[frame]
            self.common_right[own] += right[frame]

    def add_common(self, residual: float, columns: NDArray[np.intp], slope: Array) -> None:
        """One weighted residual of common parameters alone."""
        self.common[np.ix_(columns, columns)] += np.outer(slope, slope)
        self.common_right[columns] += slope * residual
        self.cost += 0.5 * residual**2

    def reduced(self, damping: float) -> tuple[Array, Array, Array, Array]:
        """The system of the common parameters alone, and what leads back to the landmarks."""
        local = self.local.copy()
        diagonal = np.arange(local.shape[1])
        local[:, diagonal, diagonal] += damping * local[:, diagonal, diagonal] + 1e-6
        solved = np.linalg.solve(local, np.concatenate([self.mixed, self.local_right[..., None]], axis=-1))
        mixed, right = solved[..., :-1], solved[..., -1]
        system = self.common - np.einsum("fac,fad->cd", self.mixed, mixed)
        vector = self.common_right - np.einsum("fac,fa->c", self.mixed, right)
        return system, vector, mixed, right

    def solution(self, damping: float) -> tuple[Array, Array]:
        """The damped step of the common parameters (G,) and of the landmarks (F, L, 3)."""
        system, vector, mixed, right = self.reduced(damping)
        diagonal = np.arange(len(system))
        system[diagonal, diagonal] += damping * np.abs(np.diag(self.common)) + 1e-9
        step = np.linalg.solve(system, vector)
        return step, (right - mixed @ step).reshape(len(right), -1, 3)
