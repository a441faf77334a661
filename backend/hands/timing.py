"""What one video showed, at the times of another: values between neighbouring frames. numpy.

May import `backend.types` and `blender_addon.motion`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.types import Array
from blender_addon.motion.rotations import quaternion_slerp

# frames further apart than this (or than a frame and a half) are not interpolated between; a frame this near is taken
# as it is
_LONGEST_GAP_S, _LONGEST_GAP_FRAMES = 0.12, 1.5
_SAME_S = 0.02


@dataclass(frozen=True, slots=True)
class Between:
    """For T times, the frames before and after them (T,) and how near the latter is (T,), 0 to 1; `known` (T,) where
    both hold something and lie close together.
    """

    before: NDArray[np.intp]
    after: NDArray[np.intp]
    share: Array
    known: NDArray[np.bool_]

    def values(self, given: Array, blank: float = np.nan) -> Array:
        """Values (N, ...) at the T times."""
        share = self.share.reshape(-1, *(1,) * (given.ndim - 1))
        mixed = given[self.before] * (1.0 - share) + given[self.after] * share
        return np.asarray(np.where(self.known.reshape(share.shape), mixed, blank))

    def turns(self, wxyz: Array) -> Array:
        """Rotations (N, 4) at the T times."""
        whole = np.where(np.isfinite(wxyz).all(axis=-1, keepdims=True), wxyz, [1.0, 0.0, 0.0, 0.0])
        mixed = quaternion_slerp(whole[self.before], whole[self.after], self.share)
        return np.where(self.known[:, None], mixed, np.nan)


def between(times_s: Array, found: NDArray[np.bool_], at_s: Array) -> Between:
    """Where T times `at_s` lie among those frames (N,) of a video in which something was `found`."""
    rows = np.flatnonzero(found)
    if not len(rows):
        nowhere = np.zeros(len(at_s), np.intp)
        return Between(nowhere, nowhere, np.zeros(len(at_s)), np.zeros(len(at_s), bool))
    own_s = np.asarray(times_s, np.float64)[rows]
    after = np.clip(np.searchsorted(own_s, at_s), min(1, len(rows) - 1), len(rows) - 1)
    before = np.maximum(after - 1, 0)
    span = own_s[after] - own_s[before]
    share = np.clip((at_s - own_s[before]) / np.maximum(span, 1e-9), 0.0, 1.0)
    nearest_s = np.minimum(np.abs(at_s - own_s[before]), np.abs(at_s - own_s[after]))
    inside = (at_s >= own_s[0] - _SAME_S) & (at_s <= own_s[-1] + _SAME_S)
    known = inside & ((span <= longest_gap_s(times_s)) | (nearest_s < _SAME_S))
    return Between(rows[before], rows[after], share, known)


def longest_gap_s(times_s: Array) -> float:
    """How far apart two of the frames at `times_s` (N,) may lie for what is between them to be known."""
    usual_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    return max(_LONGEST_GAP_S, _LONGEST_GAP_FRAMES * usual_s)
