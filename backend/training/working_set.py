"""The working set of most violated poses (paper, section 5.2): random candidates plus those violated most often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class WorkingSet:
    """Counts violations of the bank's candidates; counts fade so that old violations are forgotten."""

    def __init__(
        self, bank_size: int, hard: int = 256, fade: float = 0.999, counts: NDArray[np.float32] | None = None
    ) -> None:
        self._counts = np.zeros(bank_size, np.float32) if counts is None else counts
        self._hard, self._fade = hard, fade

    @property
    def counts(self) -> NDArray[np.float32]:
        """How often each candidate was violated (M,), faded; goes on counting in place."""
        return self._counts

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Indices (count,) of candidates: `hard` most violated so far, the rest at random."""
        hard = min(self._hard, count // 2, int((self._counts > 0).sum()))
        worst = np.argpartition(-self._counts, hard)[:hard] if hard else np.zeros(0, np.intp)
        return np.concatenate([worst, rng.integers(0, len(self._counts), count - hard)])

    def count(self, drawn: NDArray[np.intp], violated: NDArray[np.integer]) -> None:
        """Note which of the drawn candidates each row of the batch violated most (others are the batch's own)."""
        self._counts *= self._fade
        hits = drawn[violated[violated < len(drawn)]]
        np.add.at(self._counts, hits, 1.0)
