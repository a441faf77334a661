"""A camera that travels before a far background moves; a still one before traffic, water and screens does not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.camera import CameraMotionMeter
from backend.types import Frame

WIDTH, HEIGHT, FOCAL_PX, ABOVE_M, CM = 320, 180, 300.0, 1.5, 100.0


def noise(seed: int, shape: tuple[int, int], blur: float, contrast: float) -> np.ndarray:
    """Smooth noise (H, W) about 100."""
    rng = np.random.default_rng(seed)
    soft = cv2.GaussianBlur(rng.normal(0.0, 1.0, shape).astype(np.float32), (0, 0), blur)
    return 100.0 + contrast * soft / soft.std()


GRASS = noise(1, (3000, 3000), 7.0, 12.0)  # one px is a centimetre
TREES = noise(2, (HEIGHT // 2, WIDTH), 3.0, 40.0)


def meadow(place_m: tuple[float, float]) -> np.ndarray:
    """Trees that are infinitely far away, and the grass under a camera at a place (across, along)."""
    across, down = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT // 2, HEIGHT))
    ahead = FOCAL_PX * ABOVE_M / (down - HEIGHT / 2 + 8.0)
    column = 1500.0 + CM * (place_m[0] + (across - WIDTH / 2) * ahead / FOCAL_PX)
    row = 200.0 + CM * (place_m[1] + ahead)
    grass = cv2.remap(GRASS, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR)
    return np.concatenate([TREES, grass])


def moves(images: list[np.ndarray]) -> bool:
    meter = CameraMotionMeter()
    for index, image in enumerate(images):
        shown = np.clip(image, 0, 255).astype(np.uint8)
        meter.update(Frame(index, index / 4.0, np.repeat(shown[..., None], 3, axis=2)))
    return meter.moves


@pytest.mark.parametrize("way_m", [(0.15, 0.0), (0.0, 0.2), (0.0, -0.2), (0.1, 0.1)])
def test_a_camera_that_travels_over_a_meadow_moves(way_m: tuple[float, float]) -> None:
    assert moves([meadow((way_m[0] * step, way_m[1] * step)) for step in range(12)])


def test_a_still_camera_before_a_meadow_does_not() -> None:
    rng = np.random.default_rng(4)
    assert not moves([meadow((0.0, 0.0)) + rng.normal(0.0, 2.0, (HEIGHT, WIDTH)) for _ in range(12)])


def passing(rows: slice, columns: slice, step_px: int) -> list[np.ndarray]:
    """A still meadow before which something moves: it fills some rows and columns."""
    thing = noise(5, (HEIGHT, 1000), 5.0, 15.0)
    images = []
    for step in range(12):
        image = meadow((0.0, 0.0))
        seen = image[rows, columns]
        seen[:] = thing[rows, step_px * step : step_px * step + seen.shape[1]]
        images.append(image)
    return images


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(110, 150), slice(0, WIDTH)), (slice(90, HEIGHT), slice(0, WIDTH)), (slice(100, 170), slice(90, 200))],
    ids=["a road", "a train", "a car"],
)
def test_traffic_before_a_still_camera_is_no_motion(rows: slice, columns: slice) -> None:
    assert not moves(passing(rows, columns, 8))


def test_water_before_a_still_camera_is_no_motion() -> None:
    waves = [noise(10 + step, (HEIGHT // 2, WIDTH), 4.0, 25.0) for step in range(12)]
    assert not moves([np.concatenate([TREES, one]) for one in waves])


def test_a_screen_that_shows_a_travelling_camera_is_no_motion() -> None:
    images = []
    for step in range(12):
        image = meadow((0.0, 0.0))
        image[100:170, 100:220] = cv2.resize(meadow((0.15 * step, 0.0)), (120, 70), interpolation=cv2.INTER_AREA)
        images.append(image)
    assert not moves(images)


def test_a_treadmill_on_a_plain_floor_is_no_motion() -> None:
    """Nothing else of the floor has features, so that only its width tells."""
    images = []
    for step in range(12):
        image = np.concatenate([TREES, np.full((HEIGHT // 2, WIDTH), 110.0)])
        image[HEIGHT // 2 :, 60:260] = meadow((0.0, -0.2 * step))[HEIGHT // 2 :, 60:260]
        images.append(image)
    assert not moves(images)


def test_a_stage_that_turns_is_no_motion() -> None:
    across, down = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT // 2, HEIGHT))
    ahead = FOCAL_PX * ABOVE_M / (down - HEIGHT / 2 + 8.0)
    x, z = (across - WIDTH / 2) * ahead / FOCAL_PX, ahead - 4.0
    images = []
    for step in range(12):
        turn = np.where(np.hypot(x, z) < 3.0, 0.05 * step, 0.0)
        column = 1500.0 + CM * (np.cos(turn) * x - np.sin(turn) * z)
        row = 900.0 + CM * (np.sin(turn) * x + np.cos(turn) * z)
        stage = cv2.remap(GRASS, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR)
        images.append(np.concatenate([TREES, stage]))
    assert not moves(images)


def test_a_large_shadow_that_drifts_over_grass_is_no_motion() -> None:
    clouds = noise(77, (HEIGHT // 2, 500), 40.0, 1.0) > 100.0
    images = []
    for step in range(12):
        image = meadow((0.0, 0.0))
        image[HEIGHT // 2 :] *= np.where(clouds[:, 8 * step : 8 * step + WIDTH], 1.0, 0.5)
        images.append(image)
    assert not moves(images)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (33, 20), (64, 4), (90, 160)])
@pytest.mark.parametrize("frames", [1, 2, 10, 20])
def test_short_videos_of_small_noise_are_still(size: tuple[int, int], frames: int) -> None:
    """OpenCV raises an error on some of these: it refines a fit from fewer points than it needs."""
    meter = CameraMotionMeter()
    for index in range(frames):
        image = np.random.default_rng(index).integers(0, 255, (*size, 3), dtype=np.uint8)
        meter.update(Frame(index, index / 4.0, image))
    assert not meter.moves
