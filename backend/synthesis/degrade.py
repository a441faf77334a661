"""What cameras and codecs do to an image: blur, low resolution, colour cast, noise, JPEG. May import numpy and cv2."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def degraded(rng: np.random.Generator, image: Image, grain: np.random.Generator | None = None) -> Image:
    """An image (S, S, 3) as some camera would have taken it.

    `rng` decides on the camera, `grain` on its noise: frames of one video share the former and not the latter.
    """
    if rng.random() < 0.35:
        image = _low_resolution(rng, image)
    kind = rng.random()
    if kind < 0.35:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.7))), dtype=np.uint8)
    elif kind < 0.5:
        image = _motion_blurred(rng, image)
    values = image.astype(np.float32)
    values = _graded(rng, values)
    return _noisy(rng, values, grain or rng)


def jpeg_bytes(rng: np.random.Generator, image: Image) -> bytes:
    """Encode RGB (S, S, 3) as JPEG; the compression a video codec leaves is drawn too."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if rng.random() < 0.5:  # once through a worse codec before the file's own
        _, worse = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))])
        again = cv2.imdecode(worse, cv2.IMREAD_COLOR)
        assert again is not None
        bgr = again
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert done
    return bytes(encoded.tobytes())


def _low_resolution(rng: np.random.Generator, image: Image) -> Image:
    side = image.shape[0]
    small = max(24, round(side * float(np.exp(rng.uniform(np.log(0.22), 0.0)))))
    shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    kernel = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    return np.asarray(cv2.resize(shrunk, (side, side), interpolation=kernel), dtype=np.uint8)


def _motion_blurred(rng: np.random.Generator, image: Image) -> Image:
    length = float(rng.uniform(2.0, 11.0))
    angle = float(rng.uniform(0.0, np.pi))
    side = int(np.ceil(length)) | 1
    kernel = np.zeros((side, side), dtype=np.float32)
    for step in np.linspace(-length / 2, length / 2, 4 * side):
        x, y = side // 2 + step * np.cos(angle) * 0.5, side // 2 + step * np.sin(angle) * 0.5
        kernel[round(y), round(x)] += 1.0
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), dtype=np.uint8)


def _graded(rng: np.random.Generator, values: NDArray[np.float32]) -> NDArray[np.float32]:
    cast = rng.normal(1.0, 0.05, 3).astype(np.float32)
    gain, lift = float(rng.normal(1.0, 0.12)), float(rng.normal(0.0, 8.0))
    grey = values @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    saturation = np.float32(0.0 if rng.random() < 0.03 else rng.normal(1.0, 0.18))
    values = grey[:, :, None] + (values - grey[:, :, None]) * saturation
    return values * cast * np.float32(gain) + np.float32(lift)


def _noisy(rng: np.random.Generator, values: NDArray[np.float32], grain: np.random.Generator) -> Image:
    strength = float(rng.exponential(3.0))
    noise = grain.standard_normal(values.shape, dtype=np.float32)
    if rng.random() < 0.4:  # demosaiced noise has grain, not dots
        noise = cv2.GaussianBlur(noise, (0, 0), 0.7) * 1.8
    shot = np.sqrt(np.clip(values, 4.0, 255.0) / 128.0)
    return np.clip(values + noise * shot * min(strength, 14.0), 0, 255).astype(np.uint8)
