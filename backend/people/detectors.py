"""The two detectors: EfficientDet-Lite0 finds boxes of persons, BlazePose's detector the pose inside a box.

numpy, backend.networks, region.

Anchors and box codes as in Google's AutoML EfficientDet: levels 3-7, three scales, aspects 1, 2, 1/2, base size 3.
"""

from __future__ import annotations

import numpy as np

from backend.networks import Network
from backend.people.landmarks import logistic
from backend.people.region import Roi, cut, overlap
from backend.types import Array, Detection, Image

_LEVELS = range(3, 8)
_BASE_CELLS = 3.0
_ASPECTS = (1.0, 2.0, 0.5)
_SAME_OBJECT = 0.5


def anchor_boxes(side: int) -> Array:
    """(A, 4) anchors as centre x, centre y, width, height in 0..1 of the input, in the order of the network's rows."""
    anchors = []
    for level in _LEVELS:
        cells = -(-side // 2**level)
        centres = (np.arange(cells) + 0.5) / cells
        y, x = (grid.reshape(-1, 1) for grid in np.meshgrid(centres, centres, indexing="ij"))
        sizes = [
            (
                _BASE_CELLS / cells * 2 ** (octave / 3) * aspect**0.5,
                _BASE_CELLS / cells * 2 ** (octave / 3) / aspect**0.5,
            )
            for octave in range(3)
            for aspect in _ASPECTS
        ]
        width, height = np.array(sizes).T[:, None, :]
        level_anchors = np.stack(np.broadcast_arrays(x, y, width, height), -1)
        anchors.append(level_anchors.reshape(-1, 4))
    return np.concatenate(anchors)


class PersonDetector:
    """Finds upright boxes of all persons in a frame; the landmarks are to prove boxes of a low score."""

    def __init__(self, network: Network, least_score: float = 0.15) -> None:
        self._network = network
        self._anchors = anchor_boxes(network.input_size)
        self._least_score = least_score

    def detect_frame(self, image: Image) -> list[Detection]:
        """Persons in the whole frame, the surest first; boxes in px, cut off at the frame."""
        height, width = image.shape[:2]
        side = max(height, width)
        region = Roi(side / 2, side / 2, side)  # the frame lies at the top left, black fills the rest
        outputs = self._network.run(cut(image, region, self._network.input_size, border=0)[None])
        scores = outputs["scores"][0, :, 0]
        likely = np.flatnonzero(scores >= self._least_score)
        likely = likely[np.argsort(-scores[likely], kind="stable")]
        boxes = decode_boxes(outputs["boxes"][0, likely], self._anchors[likely]) * side
        boxes = boxes.clip(0, (width, height, width, height))
        found: list[Detection] = []
        for box, score in zip(boxes.tolist(), scores[likely].tolist(), strict=True):
            if all(overlap(box, other.box_px) < _SAME_OBJECT for other in found):
                found.append(Detection((box[0], box[1], box[2], box[3]), score))
        return found


def decode_boxes(codes: Array, anchors: Array) -> Array:
    """Codes (N, 4) as dy, dx, log height, log width over anchors (N, 4) -> boxes (N, 4) x0, y0, x1, y1."""
    x = codes[:, 1] * anchors[:, 2] + anchors[:, 0]
    y = codes[:, 0] * anchors[:, 3] + anchors[:, 1]
    half_width = np.exp(codes[:, 3]) * anchors[:, 2] / 2
    half_height = np.exp(codes[:, 2]) * anchors[:, 3] / 2
    return np.stack([x - half_width, y - half_height, x + half_width, y + half_height], -1)


DETECTOR_OUTPUTS = ("boxes", "scores")
_STRIDES_ANCHORS = ((8, 2), (16, 2), (32, 6))
_CLUSTER_OVERLAP = 0.3


def anchor_centres(side: int) -> Array:
    """(A, 2) anchor centres in 0..1, in the order of the network's rows (anchors have no size of their own)."""
    grids = []
    for stride, count in _STRIDES_ANCHORS:
        cells = (np.arange(side // stride) + 0.5) * stride / side
        grid = np.stack(np.meshgrid(cells, cells), -1).reshape(-1, 2)
        grids.append(np.repeat(grid, count, axis=0))
    return np.concatenate(grids)


class PoseDetector:
    """Finds people in a square region of a frame."""

    def __init__(self, network: Network, least_score: float = 0.5) -> None:
        self._network = network
        self._anchors = anchor_centres(network.input_size)
        self._least_score = least_score

    def detect_frame(self, image: Image) -> list[Detection]:
        """People in the whole frame, the surest first."""
        height, width = image.shape[:2]
        return self.detect(image, Roi(width / 2, height / 2, max(height, width)))

    def detect(self, image: Image, region: Roi) -> list[Detection]:
        """People in an upright square region (black outside the frame), the surest first; pixels of the frame."""
        side = self._network.input_size
        outputs = self._network.run(cut(image, region, side, border=0)[None])
        scores = logistic(outputs["scores"][0, :, 0])
        likely = np.flatnonzero(scores >= self._least_score)
        if not len(likely):
            return []
        points = outputs["boxes"][0, likely].reshape(-1, 6, 2) / side  # centre, extent, 4 alignment points
        points[:, 0] += self._anchors[likely]
        points[:, 2:] += self._anchors[likely, None]
        corner = np.array([region.x_px, region.y_px]) - region.size_px / 2
        found = []
        for cluster, score in weighted_clusters(points, scores[likely]):
            placed = cluster * region.size_px
            placed[np.arange(6) != 1] += corner
            found.append(_detection(placed, score))
        return found


def weighted_clusters(points: Array, scores: Array) -> list[tuple[Array, float]]:
    """Non-maximum suppression that averages each cluster by score: (6, 2) points and the best score, best first."""
    order = np.argsort(-scores, kind="stable")
    points, scores = points[order], scores[order]
    low, high = points[:, 0] - points[:, 1] / 2, points[:, 0] + points[:, 1] / 2
    area = points[:, 1].prod(-1)
    left = np.ones(len(points), bool)
    clusters = []
    for best in range(len(points)):
        if not left[best]:
            continue
        common = (np.minimum(high[best], high) - np.maximum(low[best], low)).clip(0).prod(-1)
        near = left & (common / (area[best] + area - common) > _CLUSTER_OVERLAP)
        near[best] = True
        weight = scores[near]
        clusters.append(((points[near] * weight[:, None, None]).sum(0) / weight.sum(), float(scores[best])))
        left &= ~near
    return clusters


def _detection(points: Array, score: float) -> Detection:
    (x, y), (width, height), hip, top = points[:4]
    return Detection(
        (float(x - width / 2), float(y - height / 2), float(x + width / 2), float(y + height / 2)),
        score,
        (float(hip[0]), float(hip[1])),
        (float(top[0]), float(top[1])),
    )
