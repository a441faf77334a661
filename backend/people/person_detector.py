"""EfficientDet-Lite0's boxes of persons, for frames with several or small people. numpy, backend.networks, region.

Anchors and box codes as in Google's AutoML EfficientDet: levels 3-7, three scales, aspects 1, 2, 1/2, base size 3.
"""

from __future__ import annotations

import numpy as np

from backend.networks import Network
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
