"""A contact sheet of renders with their truth drawn in, to look at before training on them. numpy and cv2."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.images import grid, write_image
from backend.synthesis.dataset import read_dataset
from blender_addon.motion.body import canonical_body

_SEEN, _HIDDEN, _BONE = (60, 255, 60), (255, 70, 40), (90, 200, 255)


def contact_sheet(folder: Path, path: Path, count: int = 48, columns: int = 8, cell_px: int = 220) -> None:
    """Draw every n-th image of a dataset into one image; the second half of each row shows joints and landmarks.

    Landmarks are green where they are visible and red where they are not. Raises OutputError, BadInputError.
    """
    shards = list(read_dataset(folder))
    total = sum(len(shard) for shard in shards)
    chosen = set(np.linspace(0, total - 1, min(count, total)).astype(int).tolist())
    cells: list[NDArray[np.uint8]] = []
    first = 0
    for shard in shards:
        for row in range(len(shard)):
            if first + row in chosen:
                plain = len(cells) % columns < columns // 2
                image = shard.image(row) if plain else drawn_truth(shard.image(row), shard.truth, row)
                cells.append(cv2.resize(image, (cell_px, cell_px), interpolation=cv2.INTER_AREA).astype(np.uint8))
        first += len(shard)
    write_image(grid(cells, columns), path)


def drawn_truth(image: NDArray[np.uint8], truth: dict[str, NDArray[np.generic]], row: int) -> NDArray[np.uint8]:
    """The image with its skeleton and landmarks."""
    canvas = np.ascontiguousarray(image)
    joints = _pixels(truth["intrinsics"][row], truth["joints_camera_m"][row])
    for joint, parent in enumerate(canonical_body().parents):
        if parent >= 0:
            cv2.line(canvas, _point(joints[parent]), _point(joints[joint]), _BONE, 1, cv2.LINE_AA)
    for point, seen in zip(
        _pixels(truth["intrinsics"][row], truth["blazepose33_camera_m"][row]), truth["visible33"][row], strict=True
    ):
        cv2.circle(canvas, _point(point), 2, _SEEN if seen else _HIDDEN, -1, cv2.LINE_AA)
    return canvas


def _pixels(intrinsics: NDArray[np.generic], points: NDArray[np.generic]) -> NDArray[np.float64]:
    image = np.asarray(points, dtype=np.float64) @ np.asarray(intrinsics, dtype=np.float64).T
    return image[:, :2] / image[:, 2:]


def _point(pixel: NDArray[np.float64]) -> tuple[int, int]:
    x, y = np.clip(pixel, -2000, 2000)
    return round(float(x)), round(float(y))
