"""Clocks of videos from their sound: how far apart they started, and how they drift.

What changes in the loudness of three bands is compared, not the wave: microphones and rooms differ. Sound takes 3 ms a
metre, so an offset is good to some milliseconds and no better. PyAV, numpy, scipy.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, sosfilt
from scipy.stats import theilslopes

from backend.multiview.types import Offset, OffsetSource
from backend.types import Array
from backend.video.opening import choose_stream, open_container

LOGGER = logging.getLogger(__name__)
_RATE_HZ = 8000
_HOP = 32
_STEP_S = _HOP / _RATE_HZ
_BANDS_HZ = ((150.0, 700.0), (700.0, 1800.0), (1800.0, 3700.0))
# Gaps in the stamps of more than this are filled with silence, so that later sound keeps its time.
_GAP_S = 0.02
_LONGEST_GAP_S = 3600.0
_LEAST_SOUND_S = 1.0
_LEAST_OVERLAP_S = 1.0
# Loudness that changes by less than this (in natural logarithms) is silence or a hum.
_LEAST_CHANGE = 0.02
_SMOOTH_HOPS = 2.0
# The correlation in standard deviations of those at all shifts, and how far it stands above the next likely one.
_LEAST_SIGMAS = 7.0
_LEAST_LEAD = 1.25
_PEAK_S = 0.1
_WINDOW_S = 20.0
_WINDOWS = 15
_LOCAL_S = 0.4
_UNCERTAINTY_S = 0.006


@dataclass(frozen=True, slots=True)
class Sound:
    """Changes of loudness (N, 3) in three bands every 4 ms from `start_s` on the clock of the video's frames."""

    start_s: float
    changes: Array

    @property
    def end_s(self) -> float:
        """Time after the last sample."""
        return self.start_s + _STEP_S * len(self.changes)

    def between(self, begin_s: float, end_s: float) -> Sound:
        """The part between two times."""
        first = max(0, round((begin_s - self.start_s) / _STEP_S))
        last = max(first, round((end_s - self.start_s) / _STEP_S))
        return Sound(self.start_s + first * _STEP_S, self.changes[first:last])


def read_sound(path: Path) -> Sound | None:
    """The sound of a video; None without an audio track, with silence, or where it cannot be decoded.

    Memory: 12 bytes for each 4 ms. Raises VideoError as opening a video does.
    """
    with open_container(path) as container:
        if not container.streams.audio:
            return None
        video = container.streams[choose_stream(container, path)[0]]
        zero_s = float((video.start_time or 0) * video.time_base) if video.time_base else 0.0
        blocks: list[Array] = []
        start_s, filled = None, 0
        loudness = _Loudness()
        for stamp_s, samples in _decoded(container, path):
            if start_s is None:
                start_s = stamp_s - zero_s
            gap = round((stamp_s - zero_s - start_s) * _RATE_HZ) - filled
            if _GAP_S * _RATE_HZ < gap < _LONGEST_GAP_S * _RATE_HZ:
                blocks.append(loudness.read(np.zeros(gap, np.float32)))
                filled += gap
            blocks.append(loudness.read(samples))
            filled += len(samples)
    if start_s is None or filled < _LEAST_SOUND_S * _RATE_HZ:
        return None
    changes = gaussian_filter1d(np.concatenate(blocks), _SMOOTH_HOPS, axis=0, order=1)
    spread = changes.std(axis=0)
    if spread.max() < _LEAST_CHANGE:
        return None
    limit = 4.0 * np.maximum(spread, 1e-6)
    return Sound(
        start_s + _STEP_S, (np.clip(changes, -limit, limit) / np.maximum(spread, _LEAST_CHANGE)).astype(np.float32)
    )


def _decoded(container: InputContainer, path: Path) -> Iterator[tuple[float, Array]]:
    """(time of the first sample by its stamp, mono samples at 8 kHz); ends where the track is damaged."""
    stream = container.streams.audio[0]
    resampler = AudioResampler(format="fltp", layout="mono", rate=_RATE_HZ)
    following_s = 0.0
    try:
        for frame in container.decode(stream):
            stamp_s = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else following_s
            following_s = stamp_s + frame.samples / max(1, frame.sample_rate)
            frame.pts = None  # the resampler would wait for what comes between stamps that jump
            for part in resampler.resample(frame):
                yield stamp_s, part.to_ndarray()[0]
    except (av.error.FFmpegError, ValueError) as fault:
        LOGGER.warning("the sound of %s is damaged and is read up to there: %s", path, fault)


class _Loudness:
    """Logarithms of the energy in each band and hop, block by block."""

    def __init__(self) -> None:
        self._filters = [butter(2, band, "bandpass", fs=_RATE_HZ, output="sos") for band in _BANDS_HZ]
        self._states = [np.zeros((len(one), 2)) for one in self._filters]
        self._rest = np.empty(0, np.float32)

    def read(self, samples: Array) -> Array:
        """The loudness (hops, 3) that these samples complete."""
        joined = np.concatenate([self._rest, np.nan_to_num(samples)])
        whole = len(joined) // _HOP * _HOP
        self._rest = joined[whole:]
        hops = np.empty((whole // _HOP, len(_BANDS_HZ)), np.float32)
        for band, (sections, state) in enumerate(zip(self._filters, self._states, strict=True)):
            heard, self._states[band] = sosfilt(sections, joined[:whole], zi=state) if whole else (joined[:0], state)
            energy = np.square(heard).reshape(-1, _HOP).mean(axis=1)
            hops[:, band] = 0.5 * np.log(energy + 1e-8)
        return hops


def offset_by_sound(first: Sound, second: Sound) -> Offset | None:
    """The second video's offset against the first; None where no shift stands out, as between unrelated recordings.

    The clocks' drift is told where they overlap for a minute or more.
    """
    shift_s = _best_shift(first, second)
    if shift_s is None:
        return None
    begin, end = max(first.start_s, second.start_s + shift_s), min(first.end_s, second.end_s + shift_s)
    count = min(_WINDOWS, int((end - begin) / _WINDOW_S))
    if count < 3:
        return Offset(shift_s, 1.0, _UNCERTAINTY_S, OffsetSource.SOUND)
    at, shifts = [], []
    for middle in np.linspace(begin + _WINDOW_S / 2, end - _WINDOW_S / 2, count):
        here = first.between(middle - _WINDOW_S / 2, middle + _WINDOW_S / 2)
        reach = _WINDOW_S / 2 + _LOCAL_S
        local = _best_shift(here, second.between(middle - shift_s - reach, middle - shift_s + reach))
        if local is not None and abs(local - shift_s) < _LOCAL_S:
            at.append(middle - local)
            shifts.append(local)
    if len(at) < 3:
        return Offset(shift_s, 1.0, _UNCERTAINTY_S, OffsetSource.SOUND)
    slope, level, *_ = theilslopes(shifts, at)
    return Offset(float(level), 1.0 + float(slope), _UNCERTAINTY_S, OffsetSource.SOUND)


def _best_shift(first: Sound, second: Sound) -> float | None:
    """First time = second time + shift; None where the best correlation may be chance, or has a rival."""
    n, m = len(first.changes), len(second.changes)
    if min(n, m) < _LEAST_SOUND_S / _STEP_S:
        return None
    lags = np.arange(-(m - 1), n)
    size = 1 << int(np.ceil(np.log2(n + m)))
    product = np.zeros(size)
    for band in range(first.changes.shape[1]):
        spectrum = np.fft.rfft(first.changes[:, band], size)
        spectrum *= np.conj(np.fft.rfft(second.changes[:, band], size))
        product += np.fft.irfft(spectrum, size)
    overlap = np.minimum(n, lags + m) - np.maximum(0, lags)
    enough = overlap >= _LEAST_OVERLAP_S / _STEP_S
    sigmas = np.where(enough, product[lags] / np.sqrt(np.maximum(overlap, 1)), 0.0)
    sigmas /= max(float(sigmas[enough].std()), 1e-9)
    best = int(sigmas.argmax())
    beside = np.abs(lags - lags[best]) * _STEP_S > _PEAK_S
    rival = float(sigmas[beside].max()) if beside.any() else 0.0
    if sigmas[best] < _LEAST_SIGMAS or sigmas[best] < _LEAST_LEAD * rival:
        return None
    part = 0.0
    if 0 < best < len(sigmas) - 1:
        before, here, after = product[lags[best - 1]], product[lags[best]], product[lags[best + 1]]
        bend = before - 2 * here + after
        part = float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0
    return float((lags[best] + part) * _STEP_S + first.start_s - second.start_s)
