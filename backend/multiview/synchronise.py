"""Clocks of videos from the motion of the people in them: how far apart they started, and how they drift.

What a joint's height over the pelvis and the distances between joints do over time does not depend on the view, so
the cross-correlation of their velocities peaks where two videos show the same moment. numpy, scipy.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from backend.multiview.types import CameraView, Offset, OffsetSource
from backend.types import Array

_GRID_S = 1.0 / 60.0
_MOST_SAMPLES = 40_000
_SMOOTH_S = 0.06
_CUT_REACH = 4.0  # of these about a cut say nothing
# an overlap of less says nothing; a correlation over a short overlap counts less
_LEAST_OVERLAP_S = 0.8
_SHORT_OVERLAP_S = 0.7
_PEAKS = 4
_FEWEST_SAMPLES = 12
_PEAKS_APART_S = 0.25
_HEIGHTS = (3, 6, 2, 5, 13, 16, 12, 15, 8, 10)
_DISTANCES = (3, 6, 2, 5, 13, 16, 12, 15, 0, 8)
_WINDOW_S = 20.0
_WINDOWS = 12
_LOCAL_S = 0.6


@dataclass(frozen=True, slots=True)
class MotionSignal:
    """Velocities (N, F) of a person's view-independent features on an even grid from `start_s`, `step_s` apart, each
    kind of feature scaled to 1; `speed_m_s` is how fast the heights of the joints change (root mean square).
    """

    start_s: float
    step_s: float
    velocity: Array
    speed_m_s: float = 1.0

    @property
    def end_s(self) -> float:
        """Time of the last sample."""
        return self.start_s + self.step_s * (len(self.velocity) - 1)

    def between(self, begin_s: float, end_s: float) -> MotionSignal:
        """The part between two times."""
        first = max(0, round((begin_s - self.start_s) / self.step_s))
        last = max(first, round((end_s - self.start_s) / self.step_s))
        return MotionSignal(
            self.start_s + first * self.step_s, self.step_s, self.velocity[first : last + 1], self.speed_m_s
        )


@dataclass(frozen=True, slots=True)
class ClockMatch:
    """A shift between two clocks: time of the first = time of the second + `start_s`; the correlation of the motion
    there (-1 to 1) and the seconds that it was compared over.
    """

    start_s: float
    correlation: float
    overlap_s: float

    @property
    def strength(self) -> float:
        """The correlation, less where little overlaps."""
        return self.correlation * self.reliability

    @property
    def reliability(self) -> float:
        """How much a correlation over this overlap says, 0 to 1."""
        return self.overlap_s / (self.overlap_s + _SHORT_OVERLAP_S)


def motion_signal(view: CameraView, place: int, step_s: float = _GRID_S) -> MotionSignal | None:
    """The motion of the person with this place among the view's tracks; None where hardly any is solved."""
    poses, times = view.poses[place], view.tracks[place].times_s
    solved = np.isfinite(poses.joints_camera_m).all(axis=(1, 2))
    if solved.sum() < 5:
        return None
    times_s, joints = np.asarray(times[solved], np.float64), poses.joints_camera_m[solved]
    down = view.down if view.down is not None else np.asarray(poses.gravity_camera)
    heights = (joints[:, _HEIGHTS] - joints[:, :1]) @ down
    some = joints[:, _DISTANCES]
    pairs = list(itertools.combinations(range(len(_DISTANCES)), 2))
    distances = np.stack([np.linalg.norm(some[:, a] - some[:, b], axis=-1) for a, b in pairs], axis=1)
    grid = np.arange(np.ceil(times_s[0] / step_s), np.floor(times_s[-1] / step_s) + 1) * step_s
    if len(grid) < 5:
        return None
    cuts = np.asarray(view.cuts_s, np.float64)
    still = (np.abs(grid[:, None] - cuts) < _CUT_REACH * _SMOOTH_S).any(axis=1)  # a cut is no motion
    rising, parting = (np.where(still[:, None], 0.0, _velocity(part, times_s, grid)) for part in (heights, distances))
    velocity = np.concatenate([_balanced(rising), _balanced(parting)], axis=1)
    speed_m_s = float(np.sqrt(np.square(rising).mean())) / step_s
    return MotionSignal(float(grid[0]), step_s, velocity, speed_m_s)


def grid_step_s(views: tuple[CameraView, ...]) -> float:
    """The step of all signals of a take: coarser for long videos, so that memory stays small."""
    longest = max((track.times_s[-1] - track.times_s[0] for view in views for track in view.tracks), default=0.0)
    return max(_GRID_S, float(longest) / _MOST_SAMPLES)


def _velocity(values: Array, times_s: Array, grid: Array) -> Array:
    even = np.stack([np.interp(grid, times_s, values[:, column]) for column in range(values.shape[1])], axis=1)
    step_s = grid[1] - grid[0]
    return np.asarray(gaussian_filter1d(even, _SMOOTH_S / step_s, axis=0, order=1, mode="nearest"))


def _balanced(values: Array) -> Array:
    """Both kinds of features weigh alike, however many there are."""
    return values / max(float(np.sqrt(np.square(values).sum(axis=1).mean())), 1e-9)


def clock_matches(first: MotionSignal, second: MotionSignal) -> list[ClockMatch]:
    """The likeliest shifts, best first: peaks of the normalised cross-correlation, to a part of a sample."""
    correlation, overlap, lags = _correlated(first.velocity, second.velocity)
    step_s = first.step_s
    enough = overlap * step_s >= min(_LEAST_OVERLAP_S, 0.5 * step_s * min(len(first.velocity), len(second.velocity)))
    weighted = np.where(enough, correlation * overlap / (overlap + _SHORT_OVERLAP_S / step_s), -1.0)
    found: list[ClockMatch] = []
    for _ in range(_PEAKS):
        best = int(weighted.argmax())
        if weighted[best] <= 0:
            break
        part = _parabola(correlation, best)
        start_s = (lags[best] + part) * step_s + first.start_s - second.start_s
        found.append(ClockMatch(float(start_s), float(correlation[best]), float(overlap[best] * step_s)))
        weighted = np.where(np.abs(lags - lags[best]) * step_s < _PEAKS_APART_S, -1.0, weighted)
    return found


def overlap_s(first: MotionSignal, second: MotionSignal, start_s: float) -> float:
    """How long two signals overlap at one shift; 0 where they do not."""
    return max(0.0, min(first.end_s, second.end_s + start_s) - max(first.start_s, second.start_s + start_s))


def correlation_at(first: MotionSignal, second: MotionSignal, start_s: float) -> float:
    """The normalised correlation (-1 to 1) at one shift; 0 where they hardly overlap."""
    lag = round((start_s - first.start_s + second.start_s) / first.step_s)
    begin, end = max(0, lag), min(len(first.velocity), lag + len(second.velocity))
    if end - begin < _FEWEST_SAMPLES:
        return 0.0
    here, there = first.velocity[begin:end], second.velocity[begin - lag : end - lag]
    scale = np.sqrt(np.square(here).sum() * np.square(there).sum())
    return float((here * there).sum() / max(float(scale), 1e-9))


def _parabola(values: Array, best: int) -> float:
    if not 0 < best < len(values) - 1:
        return 0.0
    bend = values[best - 1] - 2 * values[best] + values[best + 1]
    return float(np.clip((values[best - 1] - values[best + 1]) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0


def _correlated(first: Array, second: Array) -> tuple[Array, Array, NDArray[np.intp]]:
    """Normalised cross-correlation at all lags, the samples that overlap, and the lags."""
    n, m = len(first), len(second)
    lags = np.arange(-(m - 1), n)
    size = 1 << int(np.ceil(np.log2(n + m)))

    def product(a: Array, b: Array) -> Array:
        spectrum = np.zeros(size // 2 + 1, np.complex128)
        for column in range(a.shape[1]):
            spectrum += np.fft.rfft(a[:, column], size) * np.conj(np.fft.rfft(b[:, column], size))
        return np.asarray(np.fft.irfft(spectrum, size)[lags])

    energy_first = product(np.square(first).sum(axis=1)[:, None], np.ones((m, 1)))
    energy_second = product(np.ones((n, 1)), np.square(second).sum(axis=1)[:, None])
    overlap = np.minimum(n, lags + m) - np.maximum(0, lags)
    scale = np.sqrt(np.maximum(energy_first, 1e-9) * np.maximum(energy_second, 1e-9))
    return product(first, second) / scale, overlap, lags


def drifting_offset(first: MotionSignal, second: MotionSignal, start_s: float) -> Offset:
    """The second video's offset against the first from windows along the videos, so that clocks may drift.

    Over less than three windows the rate is taken as 1: a drift could not be told from noise.
    """
    begin = max(first.start_s, second.start_s + start_s)
    end = min(first.end_s, second.end_s + start_s)
    count = min(_WINDOWS, int((end - begin) / _WINDOW_S))
    if count < 3:
        return Offset(start_s, 1.0, 0.02, OffsetSource.MOTION)
    middles, starts, trust = [], [], []
    for middle in np.linspace(begin + _WINDOW_S / 2, end - _WINDOW_S / 2, count):
        here = first.between(middle - _WINDOW_S / 2, middle + _WINDOW_S / 2)
        reach = _WINDOW_S / 2 + _LOCAL_S
        there = second.between(middle - start_s - reach, middle - start_s + reach)
        near = [match for match in clock_matches(here, there) if abs(match.start_s - start_s) < _LOCAL_S]
        if near:
            middles.append(middle - near[0].start_s)
            starts.append(near[0].start_s)
            trust.append(max(near[0].correlation, 0.0) ** 2)
    if len(middles) < 3:
        return Offset(start_s, 1.0, 0.02, OffsetSource.MOTION)
    slope, level = _robust_line(np.array(middles), np.array(starts), np.array(trust))
    return Offset(level, 1.0 + slope, 0.02, OffsetSource.MOTION)


def _robust_line(at: Array, value: Array, trust: Array) -> tuple[float, float]:
    weight, slope, level = trust.copy(), 0.0, float(np.median(value))
    for _ in range(8):
        rows = np.stack([at, np.ones_like(at)], axis=1) * np.sqrt(weight)[:, None]
        slope, level = (float(part) for part in np.linalg.lstsq(rows, value * np.sqrt(weight), rcond=None)[0])
        weight = trust / (1.0 + np.square((value - slope * at - level) / 0.02))
    return slope, level
