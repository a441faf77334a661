"""What a person looks like, as a colour histogram of torso, arms and legs, to know them again. numpy, cv2."""

from __future__ import annotations

import cv2
import numpy as np

from backend.types import Array, Image

_L_SHOULDER, _R_SHOULDER, _L_HIP, _R_HIP = 11, 12, 23, 24
_UPPER_LIMBS = ((11, 13), (12, 14))
_LOWER_LIMBS = ((23, 25), (25, 27), (24, 26), (26, 28))
_HUES, _GREYS = 12, 5
_GREY_SATURATION, _DARK_VALUE = 50, 40
_GRID = np.stack(np.meshgrid(np.linspace(0.1, 0.9, 12), np.linspace(0.1, 0.9, 14)), -1).reshape(-1, 2)
_LINE = np.linspace(0.1, 0.9, 16)[:, None]
_LEAST_POINTS = 60
_PARTS = (slice(0, _HUES + _GREYS), slice(_HUES + _GREYS, None))
APPEARANCE_SIZE = 2 * (_HUES + _GREYS)


def appearance_of(image: Image, keypoints_px: Array) -> Array | None:
    """(APPEARANCE_SIZE,) square roots of colour shares of upper and lower body; None when too little is in the frame.

    `keypoints_px` (>= 29, 2) BlazePose landmarks.
    """
    corners = keypoints_px[[_L_SHOULDER, _R_SHOULDER, _L_HIP, _R_HIP]]
    u, v = _GRID[:, :1], _GRID[:, 1:]
    torso = (corners[0] * (1 - u) + corners[1] * u) * (1 - v) + (corners[2] * (1 - u) + corners[3] * u) * v
    upper = _colours(image, np.concatenate([torso, *_along(keypoints_px, _UPPER_LIMBS)]))
    lower = _colours(image, np.concatenate(_along(keypoints_px, _LOWER_LIMBS)))
    if len(upper) + len(lower) < _LEAST_POINTS:
        return None
    return np.concatenate([_histogram(upper), _histogram(lower)])


def appearance_distance(first: Array, second: Array) -> float:
    """Hellinger distance 0..1, the mean over the body parts that both have."""
    distances = [
        np.sqrt(max(0.0, 1.0 - float(first[part] @ second[part])))
        for part in _PARTS
        if first[part].any() and second[part].any()
    ]
    return float(np.mean(distances)) if distances else 1.0


def blended(model: Array, seen: Array, share: float) -> Array:
    """`model` moved towards `seen` by `share`, as a histogram again; parts not seen stay."""
    mixed = model.copy()
    for part in _PARTS:
        if not model[part].any():
            mixed[part] = seen[part]
        elif seen[part].any():
            mixed[part] = np.sqrt((1 - share) * model[part] ** 2 + share * seen[part] ** 2)
    return mixed


def _along(keypoints_px: Array, bones: tuple[tuple[int, int], ...]) -> list[Array]:
    return [keypoints_px[a] * (1 - _LINE) + keypoints_px[b] * _LINE for a, b in bones]


def _colours(image: Image, points_px: Array) -> Image:
    height, width = image.shape[:2]
    pixels = np.floor(points_px).astype(np.int64)
    inside = (pixels >= 0).all(-1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    colours: Image = image[pixels[inside, 1], pixels[inside, 0]]
    return colours


def _histogram(colours: Image) -> Array:
    if not len(colours):
        return np.zeros(_HUES + _GREYS)
    hue, saturation, value = cv2.cvtColor(colours[:, None], cv2.COLOR_RGB2HSV)[:, 0].astype(np.float64).T
    grey = (saturation < _GREY_SATURATION) | (value < _DARK_VALUE)
    counts = np.zeros(_HUES + _GREYS)
    np.add.at(counts, _HUES + np.minimum(value[grey] / 256 * _GREYS, _GREYS - 1).astype(int), 1.0)
    place = hue[~grey] / 180 * _HUES  # shared between two neighbours, so that a small shift changes little
    low = np.floor(place).astype(int)
    np.add.at(counts, low % _HUES, 1.0 - (place - low))
    np.add.at(counts, (low + 1) % _HUES, place - low)
    return np.sqrt(counts / counts.sum())
