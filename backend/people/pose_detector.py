"""BlazePose's detector: people with their hip centre and alignment point. numpy, backend.networks, people.region."""

from __future__ import annotations

import numpy as np

from backend.networks import Network
from backend.people.landmarks import logistic
from backend.people.region import Roi, cut
from backend.types import Array, Detection, Image

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
