"""Panoramas: photographs of everything around, as backdrop and as light; procedural ones where none are given.

May import numpy and cv2. Directions are in the world (Z up); longitude 0 of a panorama's middle looks along +Y.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from backend.errors import BadInputError
from backend.types import Float32Array

WIDTH, HEIGHT = 1024, 512
_SUN_OVER_MEAN = 25.0
_COSINE_LOBE = (np.pi, 2 * np.pi / 3, np.pi / 4)


@dataclass(frozen=True, slots=True)
class Panorama:
    """radiance (H, W, 3) linear RGB, scaled so that the mean light on a surface is 1; without the sun's glare,
    irradiance (9, 3) holds what reaches a white surface as spherical harmonics of its normal; the sun's direction (3,)
    and colour (3,) (its light on a surface that faces it).
    """

    name: str
    radiance: Float32Array
    irradiance: Float32Array
    sun_direction: Float32Array
    sun_color: Float32Array


def panorama_paths(folder: Path | None) -> tuple[Path, ...]:
    """The .hdr and .exr files of a folder, sorted; none for no folder. Raises BadInputError for an empty one."""
    if folder is None:
        return ()
    paths = tuple(sorted(path for path in folder.glob("*") if path.suffix.lower() in (".hdr", ".exr")))
    if not paths:
        raise BadInputError(f"{folder} holds no .hdr panorama", "Give --panoramas a folder of them, or omit it")
    return paths


@lru_cache(maxsize=32)
def read_panorama(path: Path) -> Panorama:
    """Read an equirectangular HDR image. Raises BadInputError."""
    image = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    if image is None or not np.isfinite(image).all():
        raise BadInputError(f"{path} is not a readable HDR panorama")
    image = cv2.resize(image.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return lit_panorama(path.stem, np.ascontiguousarray(image[:, :, ::-1]))


def procedural_panorama(seed: int) -> Panorama:
    """A sky, a ground and blocks at the horizon in random colours."""
    rng = np.random.default_rng([7, seed])
    latitude = np.linspace(np.pi / 2, -np.pi / 2, HEIGHT)[:, None, None]
    sky, zenith, ground = (rng.uniform(0.2, 1.0) * rng.uniform(0.6, 1.0, 3) for _ in range(3))
    image = np.where(latitude > 0, sky + (zenith - sky) * np.sin(np.maximum(latitude, 0)), ground * 0.5)
    image = np.repeat(image, WIDTH, axis=1).astype(np.float32)
    for _ in range(int(rng.integers(5, 60))):
        left, width = rng.integers(0, WIDTH), rng.integers(8, 160)
        top, bottom = HEIGHT // 2 - rng.integers(5, 160), HEIGHT // 2 + rng.integers(5, 90)
        image[top:bottom, left : left + width] = rng.uniform(0.03, 0.9) * rng.uniform(0.5, 1.0, 3)
    noise = rng.normal(1.0, 0.2, (HEIGHT // 8, WIDTH // 8)).astype(np.float32)
    noise = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 0.05, (HEIGHT, WIDTH))
    return lit_panorama(f"procedural-{seed}", np.clip(image * noise[:, :, None], 0.005, None).astype(np.float32))


def lit_panorama(name: str, radiance: Float32Array) -> Panorama:
    """Measure the light of a panorama (512, 1024, 3) and normalise its brightness."""
    direction, solid_angle = _directions()
    luminance = radiance @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    mean = float((luminance * solid_angle).sum() / solid_angle.sum())
    limit = _SUN_OVER_MEAN * mean
    glare = np.maximum(1.0 - limit / np.maximum(luminance, 1e-9), 0.0)[:, :, None] * radiance
    sun = (glare * solid_angle[:, :, None]).sum(axis=(0, 1))
    weight = glare.sum(axis=2) * solid_angle
    brightest = weight if weight.sum() > 1e-6 else luminance**4 * solid_angle
    toward = (direction * brightest[:, :, None]).sum(axis=(0, 1))
    harmonics = _harmonics(direction) * solid_angle[:, :, None]
    light = np.einsum("hwk,hwc->kc", harmonics, radiance - glare)
    lobe = np.repeat(_COSINE_LOBE, (1, 3, 5))
    irradiance = light * lobe[:, None] / np.pi
    mean_light = float(irradiance[0].mean() * 0.282095) + float(sun.mean()) / np.pi * 0.5
    scale = 1.0 / max(mean_light, 1e-6)
    return Panorama(
        name,
        (radiance * scale).astype(np.float32),
        (irradiance * scale).astype(np.float32),
        (toward / max(float(np.linalg.norm(toward)), 1e-9)).astype(np.float32),
        (sun / np.pi * scale).astype(np.float32),
    )


@lru_cache(maxsize=1)
def _directions() -> tuple[Float32Array, Float32Array]:
    """World direction (H, W, 3) and solid angle (H, W) of every pixel."""
    longitude = ((np.arange(WIDTH) + 0.5) / WIDTH * 2 - 1) * np.pi
    latitude = (0.5 - (np.arange(HEIGHT) + 0.5) / HEIGHT) * np.pi
    lat, lon = np.meshgrid(latitude, longitude, indexing="ij")
    direction = np.stack([np.cos(lat) * np.sin(lon), np.cos(lat) * np.cos(lon), np.sin(lat)], axis=-1)
    solid_angle = np.cos(lat) * (2 * np.pi / WIDTH) * (np.pi / HEIGHT)
    return direction.astype(np.float32), solid_angle.astype(np.float32)


def _harmonics(n: Float32Array) -> Float32Array:
    """Real spherical harmonics up to degree 2 (..., 9), in the order that the shader uses."""
    x, y, z = n[..., 0], n[..., 1], n[..., 2]
    return np.stack(
        [
            np.full_like(x, 0.282095),
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        axis=-1,
    )
