"""Finds palms again where the body's keypoints and the last frame did not lead to a hand. numpy, backend.people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.networks import Network
from backend.people.region import Roi, cut
from backend.types import Array, Image

_SIZE = 192
_LEAST_SCORE = 0.5
_KNUCKLE = 2  # the third of the detector's seven points is the middle finger's knuckle, the first the wrist


@dataclass(frozen=True, slots=True)
class Palm:
    """A palm in frame px: wrist (2,), middle knuckle (2,), side of its box, score 0..1."""

    wrist_px: Array
    knuckle_px: Array
    box_px: float
    score: float


def anchor_centres(side: int) -> Array:
    """Anchor centres (A, 2) in 0..1 of MediaPipe's detectors of hands and faces: strides 8 and three times 16."""
    centres = []
    for stride, count in ((8, 2), (16, 6)):
        cells = (np.arange(side // stride) + 0.5) * stride / side
        grid = np.stack(np.meshgrid(cells, cells), axis=-1).reshape(-1, 2)
        centres.append(np.repeat(grid, count, axis=0))
    return np.concatenate(centres)


def find_palms(image: Image, roi: Roi, network: Network) -> list[Palm]:
    """Palms in a region of an image, the surest first; several anchors may give the same palm."""
    outputs = network.run(cut(image, roi.in_mirror(False), _SIZE)[None])
    score = 0.5 + 0.5 * np.tanh(0.5 * outputs["scores"].reshape(-1))
    rows = np.argsort(-score)[:8]
    boxes = outputs["boxes"].reshape(-1, 9, 2)[rows].astype(np.float64) / _SIZE
    anchors = anchor_centres(_SIZE)[rows]
    matrix = roi.in_mirror(False).frame_from_crop(_SIZE)
    palms = []
    for row, box, anchor in zip(rows, boxes, anchors, strict=True):
        if score[row] < _LEAST_SCORE:
            break
        points = (box[[2, 2 + _KNUCKLE]] + anchor) * _SIZE
        points = points @ matrix[:, :2].T + matrix[:, 2]
        side = float(box[1].max()) * roi.size_px
        palms.append(Palm(points[0], points[1], side, float(score[row])))
    return palms
