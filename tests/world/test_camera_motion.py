"""A still camera is told from a panned, a zoomed and a shaken one, with a person walking through."""

import cv2
import numpy as np
import pytest

from backend.world.camera_motion import detect_camera_motion


def _backdrop(seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    picture = np.full((400, 640), 120, dtype=np.uint8)
    for _ in range(120):
        x, y = random.integers(0, 600), random.integers(0, 380)
        w, h = random.integers(8, 60, 2)
        cv2.rectangle(picture, (int(x), int(y)), (int(x + w), int(y + h)), int(random.integers(0, 255)), -1)
    return cv2.GaussianBlur(picture, (0, 0), 1.0)


def _clip(shifts: np.ndarray, zoom: np.ndarray | None = None, person: bool = True) -> tuple[list, np.ndarray]:
    picture, frames, boxes = _backdrop(), [], []
    random = np.random.default_rng(1)
    for index, (dx, dy) in enumerate(shifts):
        z = 1.0 if zoom is None else zoom[index]
        view = cv2.warpAffine(picture, np.array([[z, 0, -160 * z + 160 - 160 + dx], [0, z, -100 + dy]]), (320, 180))
        view = np.clip(view + random.normal(size=view.shape) * 3, 0, 255).astype(np.uint8)
        x = 20 + 8 * index
        box = [x, 40, x + 60, 170]
        if person:
            view[40:170, x : x + 60] = random.integers(0, 255, (130, 1), dtype=np.uint8)
        frames.append(view)
        boxes.append(box)
    return frames, np.array(boxes, dtype=float)


def test_a_still_camera_with_a_walking_person_stays_still() -> None:
    frames, boxes = _clip(np.zeros((20, 2)))
    motion = detect_camera_motion(frames, boxes)
    assert not motion.moves
    assert motion.measured == 19
    assert motion.step < 0.001


def test_a_person_without_a_box_does_not_make_the_camera_move() -> None:
    frames, _ = _clip(np.zeros((20, 2)))
    assert not detect_camera_motion(frames).moves


@pytest.mark.parametrize(
    ("shifts", "zoom"),
    [
        (np.stack([np.arange(20) * 2.0, np.zeros(20)], -1), None),
        (np.stack([np.arange(20) * 0.5, np.zeros(20)], -1), None),
        (np.random.default_rng(2).normal(size=(20, 2)) * 3.0, None),
        (np.zeros((20, 2)), np.linspace(1.0, 1.2, 20)),
    ],
    ids=["pan", "slow pan", "shaken by hand", "zoom"],
)
def test_a_moving_camera_is_found(shifts: np.ndarray, zoom: np.ndarray | None) -> None:
    frames, boxes = _clip(shifts, zoom)
    assert detect_camera_motion(frames, boxes).moves


def test_a_blank_wall_gives_no_verdict() -> None:
    motion = detect_camera_motion([np.full((180, 320), 128, dtype=np.uint8)] * 5)
    assert not motion.moves
    assert motion.measured == 0


def test_one_picture_or_none_gives_no_verdict() -> None:
    assert detect_camera_motion([]).measured == 0
    assert detect_camera_motion([_backdrop()]).measured == 0
