from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.errors import BadInputError
from backend.synthesis.panoramas import (
    HEIGHT,
    WIDTH,
    lit_panorama,
    panorama_paths,
    procedural_panorama,
    read_panorama,
)
from backend.synthesis.scene import _turned_irradiance, look_at


def light_on(irradiance, n):
    x, y, z = n
    basis = [0.282095, 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y, 1.092548 * y * z,
             0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y)]  # fmt: skip
    return np.array(basis) @ irradiance


def test_an_even_sky_lights_every_side_alike():
    panorama = lit_panorama("even", np.full((HEIGHT, WIDTH, 3), 3.0, dtype=np.float32))
    for n in np.random.default_rng(0).normal(size=(20, 3)):
        np.testing.assert_allclose(light_on(panorama.irradiance, n / np.linalg.norm(n)), 1.0, atol=0.01)
    assert panorama.sun_color.max() == 0.0


def test_the_sun_is_found_and_taken_out_of_the_ambient_light():
    image = np.full((HEIGHT, WIDTH, 3), 1.0, dtype=np.float32)
    # longitude +90 degrees is +X, latitude 45 degrees
    image[HEIGHT // 4 - 3 : HEIGHT // 4 + 3, WIDTH * 3 // 4 - 3 : WIDTH * 3 // 4 + 3] = 20000.0
    panorama = lit_panorama("sun", image)
    np.testing.assert_allclose(panorama.sun_direction, [np.sqrt(0.5), 0, np.sqrt(0.5)], atol=0.02)
    assert panorama.sun_color.min() > 0.5
    assert light_on(panorama.irradiance, (1, 0, 0)).max() < 2.0 * light_on(panorama.irradiance, (-1, 0, 0)).max()


def test_turning_the_light_turns_its_effect():
    irradiance = procedural_panorama(3).irradiance.astype(np.float64)
    yaw = 0.7
    turned = _turned_irradiance(irradiance, yaw)
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    normals = np.random.default_rng(1).normal(size=(10, 3))
    for n in normals / np.linalg.norm(normals, axis=1, keepdims=True):
        np.testing.assert_allclose(light_on(turned, turn @ n), light_on(irradiance, n), atol=1e-9)


def test_panorama_files(tmp_path):
    assert panorama_paths(None) == ()
    with pytest.raises(BadInputError, match=r"no \.hdr"):
        panorama_paths(tmp_path)
    good, bad = tmp_path / "a.hdr", tmp_path / "b.hdr"
    cv2.imwrite(str(good), np.full((64, 128, 3), 0.5, dtype=np.float32))
    bad.write_bytes(b"no image")
    assert read_panorama(good).radiance.shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(BadInputError, match=r"b\.hdr"):
        read_panorama(bad)


@pytest.mark.parametrize("eye", [(0, 0, 5), (0, 0, -5), (3, 1, 2), (0, 2, 0)])
def test_looking_at_the_origin_from_anywhere(eye):
    axes = look_at(np.array(eye, dtype=float), np.zeros(3))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    np.testing.assert_allclose(axes @ -np.array(eye), [0, 0, np.linalg.norm(eye)], atol=1e-12)
