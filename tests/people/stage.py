"""Made-up videos: cut-out people moved over a plain backdrop, later ones in front of earlier ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from backend.types import Frame, Image, VideoInfo

IMAGES = Path(__file__).parent / "images"
FPS = 25.0
WIDTH, HEIGHT = 720, 400
VEST, STRIPES = "grey_vest", "striped_top"


@dataclass(frozen=True, slots=True)
class Actor:
    """A cut-out whose centre is at `path_px[frame]` (absent frames: out of the image)."""

    name: str
    path_px: Mapping[int, tuple[float, float]]


def line(start: tuple[float, float], end: tuple[float, float], frames: range) -> dict[int, tuple[float, float]]:
    """A straight way over `frames`."""
    share = np.linspace(0, 1, len(frames))
    return {
        frame: (start[0] + s * (end[0] - start[0]), start[1] + s * (end[1] - start[1]))
        for frame, s in zip(frames, share.tolist(), strict=True)
    }


def backdrop() -> Image:
    """A wall that grows lighter upwards, with a floor."""
    rows = np.linspace(205, 150, HEIGHT)[:, None]
    wall = np.stack([rows, rows * 0.96, rows * 0.9], -1) + np.zeros((1, WIDTH, 1))
    wall[int(0.8 * HEIGHT) :] *= 0.7
    return wall.astype(np.uint8)


def draw(actors: list[Actor], frame: int) -> Image:
    """The image of one frame."""
    canvas = backdrop()
    for actor in actors:
        if frame in actor.path_px:
            _paste(canvas, _cut_out(actor.name), actor.path_px[frame])
    return canvas


def video(actors: list[Actor], count: int, first: int = 0) -> Iterator[Frame]:
    """`count` frames from `first` on."""
    for index in range(first, first + count):
        yield Frame(index, index / FPS, draw(actors, index))


def info(count: int) -> VideoInfo:
    """What the container would say."""
    return VideoInfo(Path("made_up.mp4"), WIDTH, HEIGHT, FPS, count / FPS, count, "h264", 0, False)


@cache
def _cut_out(name: str) -> Image:
    image = cv2.imread(str(IMAGES / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    assert image is not None
    assert image.shape[2] == 4
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)


def _paste(canvas: Image, cut_out: Image, centre: tuple[float, float]) -> None:
    height, width = cut_out.shape[:2]
    matrix = np.array([[1, 0, centre[0] - width / 2], [0, 1, centre[1] - height / 2]])
    placed = cv2.warpAffine(cut_out, matrix, (WIDTH, HEIGHT)).astype(np.float32)
    cover = placed[..., 3:] / 255
    canvas[:] = (placed[..., :3] * cover + canvas * (1 - cover)).round()
