"""The landmark stage: crop, network, heatmap refinement, back to the frame. numpy, backend.networks, people.region.

39 landmarks: the 33 of BlazePose, then hip centre and alignment point for the next frame's region, then four more.
A region may be seen in a mirror: its landmarks come back with left and right as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInputError
from backend.keypoint_layouts import BLAZEPOSE
from backend.networks import Network
from backend.people.left_right import PAIRS
from backend.people.region import Roi, cut, roi_from_alignment
from backend.types import Array, Image

LANDMARKS = BLAZEPOSE.count
HIP_CENTRE, ALIGNMENT = LANDMARKS, LANDMARKS + 1
ALL_LANDMARKS = 39
LANDMARK_OUTPUTS = ("landmarks", "presence", "heatmaps", "world")
_WINDOW = 7  # heatmap cells, and the least peak that refines: MediaPipe's values
_LEAST_PEAK = 0.5
_CELL_PX = 4
_BODY = [0, *range(11, LANDMARKS)]
_HEAD_AND_SHOULDERS = [*range(13)]
# what a head with shoulders, all of it surely seen, counts of a whole body
_HEAD_COUNTS = 0.4
_LEGS = [25, 26, 27, 28]
_MOST_VISIBLE_OUTSIDE = 0.1
# Where a heatmap cell lies in the crop: found by mirroring images (a landmark and its mirror image sum to 256 px
# in the regressed values, to 255 px in 4 x heatmap cells).
_CELL_OFFSET_PX = 0.5
_MIRROR = np.arange(ALL_LANDMARKS)
for _left, _right in PAIRS:
    _MIRROR[[_left, _right]] = _right, _left


@dataclass(frozen=True, slots=True)
class LandmarkBatch:
    """What the landmark network sees in N regions; M = 39 landmarks.

    keypoints_px (N, M, 2) and depth_px (N, M), the network's z, in frame pixels; crop_px (N, M, 2) refined, in crop
    pixels; raw_crop (N, M, 5) the network's own x, y, z (crop px), visibility and presence logits; peak (N, M)
    highest heatmap value 0..1 near the landmark, 0 outside the image; visibility (N, M) 0..1, low outside it;
    world_m (N, M, 3) hip-centred, axes along the camera; presence (N,) 0..1; mirrored (N,) whether the crop was
    mirrored: crop_px and raw_crop are of the crop as the network saw it, everything else is put right again;
    features (N, F) the last convolutional map, when the network has that output.
    """

    keypoints_px: Array
    depth_px: Array
    crop_px: Array
    raw_crop: Array
    peak: Array
    visibility: Array
    world_m: Array
    presence: Array
    mirrored: NDArray[np.bool_]
    features: Array | None

    def row(self, index: int) -> LandmarkBatch:
        """One region by itself, as a batch of one."""
        one = slice(index, index + 1)
        return LandmarkBatch(
            keypoints_px=self.keypoints_px[one],
            depth_px=self.depth_px[one],
            crop_px=self.crop_px[one],
            raw_crop=self.raw_crop[one],
            peak=self.peak[one],
            visibility=self.visibility[one],
            world_m=self.world_m[one],
            presence=self.presence[one],
            mirrored=self.mirrored[one],
            features=None if self.features is None else self.features[one],
        )

    def sureness(self, index: int) -> float:
        """Mean heatmap peak 0..1 of the landmarks said to be visible: above 0.55 on people, below it on chairs."""
        visible = self.visibility[index, :LANDMARKS] > 0.5
        return float(self.peak[index, :LANDMARKS][visible].mean()) if visible.any() else 0.0

    def evidence(self, index: int) -> float:
        """Mean heatmap peak 0..1 of the body's landmarks, 0 for each outside the image: below 0.25 nobody is there.

        A person who walks out leaves the network with a border to make a body of; half a person keeps 0.35 and more,
        and a head with shoulders counts by itself.
        """
        head = _HEAD_COUNTS * self.peak[index, _HEAD_AND_SHOULDERS].mean()
        return float(max(self.peak[index, _BODY].mean(), head))

    def legs(self, index: int) -> float:
        """Mean heatmap peak 0..1 of knees and ankles: near 0 where the legs are hidden or not in the image."""
        return float(self.peak[index, _LEGS].mean())

    def next_roi(self, index: int) -> Roi:
        """Region of the same person for the next frame."""
        return roi_from_alignment(self.keypoints_px[index, HIP_CENTRE], self.keypoints_px[index, ALIGNMENT])


def landmarks_on_crops(images: Sequence[Image], rois: Sequence[Roi], network: Network) -> LandmarkBatch:
    """Run the landmark network on one region of each image (RGB uint8); an image may be given several times.

    For images that already are the crop, give `Roi(side / 2, side / 2, side)`. BadInputError for empty input, a
    different number of images and regions, or a region that is not finite.
    """
    if not rois or len(images) != len(rois):
        raise BadInputError(f"{len(images)} images and {len(rois)} regions: one region an image is needed")
    if not all(roi.is_finite for roi in rois):
        raise BadInputError("A region of interest is not finite")
    side = network.input_size
    crops = np.empty((len(rois), side, side, 3), np.uint8)
    for index, (image, roi) in enumerate(zip(images, rois, strict=True)):
        crops[index] = cut(image, roi, side)
    batch = landmarks_from_outputs(network.run(crops), rois, side)
    return _outside_unseen(batch, np.array([image.shape[1::-1] for image in images], np.float64))


def _outside_unseen(batch: LandmarkBatch, sizes_px: Array) -> LandmarkBatch:
    """The batch in which nothing is seen outside the images of `sizes_px` (N, 2).

    The crop repeats the image's border there, and the network believes what it sees.
    """
    outside = ((batch.keypoints_px < 0) | (batch.keypoints_px > sizes_px[:, None])).any(axis=-1)
    visibility = np.where(outside, np.minimum(batch.visibility, _MOST_VISIBLE_OUTSIDE), batch.visibility)
    return replace(batch, visibility=visibility, peak=np.where(outside, 0.0, batch.peak))


def landmarks_from_outputs(outputs: dict[str, NDArray[np.float32]], rois: Sequence[Roi], side: int) -> LandmarkBatch:
    """Decode the network's arrays for crops of `side` px cut from `rois`."""
    raw = outputs["landmarks"].reshape(-1, ALL_LANDMARKS, 5)
    crop_px, peak = refine(raw[..., :2], outputs["heatmaps"])
    matrices = np.stack([roi.frame_from_crop(side) for roi in rois])
    keypoints = np.einsum("nij,nmj->nmi", matrices[:, :, :2], crop_px) + matrices[:, None, :, 2]
    sizes = np.array([roi.size_px for roi in rois])
    angles = np.array([roi.rotation_rad for roi in rois])
    features = outputs.get("features")
    mirrored = np.array([roi.mirrored for roi in rois])
    world = outputs["world"].reshape(-1, ALL_LANDMARKS, 3).copy()
    world[mirrored, :, 0] *= -1
    return LandmarkBatch(
        keypoints_px=_sides_right(keypoints, mirrored),
        depth_px=_sides_right(raw[..., 2] * (sizes / side)[:, None], mirrored),
        crop_px=crop_px,
        raw_crop=raw,
        peak=_sides_right(peak, mirrored),
        visibility=_sides_right(logistic(raw[..., 3]), mirrored),
        world_m=turned(_sides_right(world, mirrored), angles),
        presence=outputs["presence"].reshape(-1),
        mirrored=mirrored,
        features=None if features is None else features.reshape(len(features), -1),
    )


def _sides_right(values: Array, mirrored: NDArray[np.bool_]) -> Array:
    """Landmarks (N, M, ...) with left and right exchanged where the crop was mirrored."""
    if not mirrored.any():
        return values
    shape = (-1, *[1] * (values.ndim - 1))
    return np.where(mirrored.reshape(shape), values[:, _MIRROR], values)


def refine(crop_px: NDArray[np.float32], heatmaps: NDArray[np.float32]) -> tuple[Array, Array]:
    """Move landmarks (N, M, 2) to the centre of mass of their heatmap (logits (N, M, h, w)) where it is sure.

    Returns positions (N, M, 2) in crop px and the highest heatmap value near each landmark (N, M). Windows are cut
    off at the border of the map, as MediaPipe does.
    """
    height, width = heatmaps.shape[2:]
    cells = np.floor(crop_px / _CELL_PX).astype(np.int64)
    inside = (cells >= 0).all(-1) & (cells[..., 0] < width) & (cells[..., 1] < height)
    reach = np.arange(_WINDOW) - _WINDOW // 2
    columns, rows = cells[..., 0, None] + reach, cells[..., 1, None] + reach  # (N, M, 7)
    valid = (((columns >= 0) & (columns < width))[..., None, :]) & (((rows >= 0) & (rows < height))[..., None])
    n, m = np.ogrid[: crop_px.shape[0], : crop_px.shape[1]]
    window = heatmaps[
        n[..., None, None],
        m[..., None, None],
        rows.clip(0, height - 1)[..., :, None],
        columns.clip(0, width - 1)[..., None, :],
    ]
    weight = np.where(valid & inside[..., None, None], logistic(window), 0.0)
    peak, total = weight.max((-2, -1)), weight.sum((-2, -1))
    safe = np.maximum(total, 1e-12)
    column = (weight.sum(-2) * columns).sum(-1) / safe
    row = (weight.sum(-1) * rows).sum(-1) / safe
    refined = np.stack([column, row], -1) * _CELL_PX + _CELL_OFFSET_PX
    return np.where((peak >= _LEAST_PEAK)[..., None], refined, crop_px), peak


def turned(world_m: Array, angles_rad: Array) -> Array:
    """Turn (N, M, 3) points about the viewing axis by (N,) angles, clockwise on screen."""
    cosine, sine = np.cos(angles_rad)[:, None], np.sin(angles_rad)[:, None]
    x, y, z = world_m[..., 0], world_m[..., 1], world_m[..., 2]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y, z], -1)


def logistic(logits: Array) -> Array:
    """1 / (1 + exp(-x)) that does not overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * logits)
