"""Low-pass filters over time in plain numpy, equal to scipy's (held so by the tests): Blender carries no scipy.

May import numpy and its own room only. Every function filters along axis 0 of (T, ...) samples on a regular
grid without NaN; `temporal.py` brings timestamps, gaps and rotations into that form. Constants arrive here in
samples or as a fraction of the Nyquist frequency; users speak in Hz and seconds.
"""

from __future__ import annotations

import numpy as np

from .rotations import Array


def butterworth_sections(order: int, cutoff: float) -> Array:
    """Second-order sections (S, 6) of a digital Butterworth low-pass; `cutoff` is a fraction of Nyquist, 0..1.

    The analog prototype's poles on the unit circle, pre-warped and mapped by the bilinear transform; the same
    transfer function as `scipy.signal.butter(order, cutoff, output="sos")`. Raises ValueError outside (0, 1).
    """
    if not 0.0 < cutoff < 1.0 or order < 1:
        raise ValueError(f"Butterworth needs order >= 1 and a cut-off between 0 and Nyquist, got {order}, {cutoff}")
    warped = 4.0 * np.tan(np.pi * cutoff / 2.0)
    angles = np.pi * (np.arange(-order + 1, order, 2) / (2.0 * order))
    poles = -(np.cos(angles) + 1j * np.sin(angles)) * warped
    digital = (4.0 + poles) / (4.0 - poles)
    sections = []
    if order % 2:
        real = float(digital[order // 2].real)
        sections.append([1.0, 1.0, 0.0, 1.0, -real, 0.0])
    sections += [[1.0, 2.0, 1.0, 1.0, -2.0 * pole.real, abs(pole) ** 2] for pole in digital[: order // 2]]
    sos = np.array(sections)
    # unit gain at 0 Hz in every section
    sos[:, :3] *= (sos[:, 3:].sum(axis=1) / sos[:, :3].sum(axis=1))[:, None]
    return sos


def zero_phase(sections: Array, values: Array) -> Array:
    """Filter (T, ...) forwards and backwards: no lag, the gain squared; equal to `scipy.signal.sosfiltfilt`.

    Both ends are continued point-symmetrically (odd padding) and the filter starts in its steady state, so that
    ends do not sag. A signal shorter than the padding is padded with what it has.
    """
    taps = 2 * len(sections) + 1 - min(int((sections[:, 2] == 0).sum()), int((sections[:, 5] == 0).sum()))
    pad = min(3 * taps, len(values) - 1)
    if pad < 1:
        return np.array(values, dtype=np.float64)
    padded = odd_padding(np.asarray(values, dtype=np.float64), pad)
    forward = _run_sections(sections, padded)
    backward = _run_sections(sections, forward[::-1])[::-1]
    return backward[pad : len(padded) - pad]


def _run_sections(sections: Array, values: Array) -> Array:
    """One causal pass of a cascade over (T, ...), started in the steady state of its first sample."""
    flat = values.reshape(len(values), -1)
    for b0, b1, b2, _, a1, a2 in sections:
        # transposed direct form II; with unit gain the steady state is output = input
        state2 = (b2 - a2) * flat[0]
        state1 = (b1 - a1) * flat[0] + state2
        out = np.empty_like(flat)
        drive = (b0 * flat, b1 * flat, b2 * flat)
        for index in range(len(flat)):
            sample = drive[0][index] + state1
            state1 = drive[1][index] - a1 * sample + state2
            state2 = drive[2][index] - a2 * sample
            out[index] = sample
        flat = out
    return flat.reshape(values.shape)


def savitzky_golay(values: Array, window: int, order: int) -> Array:
    """Fit a polynomial of `order` in a sliding `window` (odd, samples) and take its middle; ends from the end fits.

    Equal to `scipy.signal.savgol_filter(values, window, order, axis=0, mode="interp")`. Raises ValueError when the
    window is even, longer than the signal, or not longer than the order.
    """
    values = np.asarray(values, dtype=np.float64)
    if window % 2 == 0 or window > len(values) or order >= window:
        raise ValueError(f"Savitzky-Golay needs an odd window in ({order}, {len(values)}], got {window}")
    half = window // 2
    powers = np.arange(-half, half + 1)[:, None] ** np.arange(order + 1)
    # row i of the projector gives the fitted value at offset i of the window
    projector = powers @ np.linalg.pinv(powers)
    flat = values.reshape(len(values), -1)
    out = _correlate(flat, projector[half])
    out[:half] = projector[:half] @ flat[:window]
    out[len(flat) - half :] = projector[half + 1 :] @ flat[len(flat) - window :]
    return out.reshape(values.shape)


def gaussian(values: Array, sigma: float, truncate: float = 4.0) -> Array:
    """Blur (T, ...) with a Gaussian of `sigma` samples, cut at `truncate` sigmas.

    Away from the ends equal to `scipy.ndimage.gaussian_filter1d`; the ends are continued point-symmetrically
    (`np.pad(mode="reflect", reflect_type="odd")`), so that a motion that starts at speed is not flattened.
    """
    values = np.asarray(values, dtype=np.float64)
    radius = int(truncate * sigma + 0.5)
    if radius < 1 or len(values) < 2:
        return values.copy()
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    padded = odd_padding(values, radius)
    out = _correlate(padded.reshape(len(padded), -1), kernel / kernel.sum())
    return out[radius : radius + len(values)].reshape(values.shape)


def odd_padding(values: Array, pad: int) -> Array:
    """Continue (T, ...) by `pad` samples at both ends, point-symmetric about the end sample, as often as needed."""
    widths = [(pad, pad)] + [(0, 0)] * (values.ndim - 1)
    return np.pad(values, widths, mode="reflect", reflect_type="odd")


def one_euro_weights(speed: Array, interval_s: Array, minimum_hz: float, beta: float) -> Array:
    """The 1-Euro filter's smoothing weight (T, ...): 1 takes the sample as it is, 0 keeps the last state.

    The cut-off rises with speed: `minimum_hz + beta * speed` (Casiez, Roussel, Vogel 2012, eq. 3 to 5).
    `interval_s` (T,) is each sample's time since the one before.
    """
    cutoff_hz = minimum_hz + beta * np.asarray(speed)
    turns = 2.0 * np.pi * cutoff_hz * np.asarray(interval_s).reshape((-1,) + (1,) * (cutoff_hz.ndim - 1))
    return np.asarray(turns / (turns + 1.0))


def exponential(values: Array, weights: Array) -> Array:
    """Causal exponential smoothing of (T, ...) with a weight per sample, broadcast over the trailing axes."""
    values = np.asarray(values, dtype=np.float64)
    out = np.empty_like(values)
    state = values[0]
    for index in range(len(values)):
        state = state + weights[index] * (values[index] - state)
        out[index] = state
    return out


def _correlate(flat: Array, kernel: Array) -> Array:
    """Sum of `kernel` (odd length) around each sample of (T, C); samples beyond the ends count as zero."""
    half = len(kernel) // 2
    out = kernel[half] * flat
    for offset in range(1, half + 1):
        if offset >= len(flat):
            break
        out[:-offset] += kernel[half + offset] * flat[offset:]
        out[offset:] += kernel[half - offset] * flat[:-offset]
    return np.asarray(out)
