"""Retrieval by parts: trunk and limbs of the best candidates recombined, as the score likes them together. numpy only.

A bank of whole poses is sparse: a pose nobody recorded lies some 80 mm from its nearest candidate. Its parts do not:
with trunk, arms and legs from different candidates out of the 200 nearest it is 39 mm away. So the best candidates of
the whole-pose search are donors of parts, and the score <f_I, f_J(y)> weighs them, one part at a time while the others
are held (paper, equation 4 over a product of candidate sets, and Avg(A) with weights by score).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.bank.bank_file import PoseBank
from backend.bank.search import Hits
from backend.embedding.features import pose_features
from backend.embedding.keypoints import LIMBS, PARTS, TRUNK, Part
from backend.embedding.tower_weights import TowerWeights
from backend.keypoint_layouts import HUMAN36M
from backend.types import Array


@dataclass(frozen=True, slots=True)
class PartSettings:
    """How parts are searched for.

    candidates: how many poses are donors, spread over the top K of the whole-pose search; temperature: a part is
    the mean of the donors, weighted by softmax(score / temperature), as the towers are trained (0: the best alone);
    sweeps: rounds over all parts; apart_s: frames closer together than this share one search, with the joints in
    between interpolated.
    """

    candidates: int = 64
    temperature: float = 0.5
    sweeps: int = 1
    apart_s: float = 0.04

    def donors(self, hits: int) -> NDArray[np.intp]:
        """Places among `hits` search hits of the donor poses: the nearest alone are too alike."""
        return np.unique(np.linspace(0, hits - 1, self.candidates).astype(np.intp))


@dataclass(frozen=True, slots=True)
class _ImageScores:
    """What of the score depends on the image alone: by_layers (T, hidden) and direct (T, features) weights; `turn`
    (T, 3, 3) takes poses into the image's virtual camera (None: they are in it).
    """

    by_layers: Array
    direct: Array
    turn: Array | None = None


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """One view of the frames: its embedding (T, E), zero where it does not show the person, and the rotations (T, 3, 3)
    that take poses into its virtual cameras (None: they are there).
    """

    embedding: Array
    turn: Array | None = None

    def rows(self, rows: slice) -> ScoredImage:
        """Some of the frames."""
        return ScoredImage(self.embedding[rows], None if self.turn is None else self.turn[rows])


_CHUNK = 32
_BLOCK = 512  # frames whose donors are held at once
_THREADS = min(4, os.cpu_count() or 1)


class PartSearch:
    """The score of poses for given image embeddings, and the search over parts."""

    def __init__(self, weights: TowerWeights, settings: PartSettings) -> None:
        self._layers, self._settings = weights.pose, settings

    def from_hits(self, bank: PoseBank, embedding: Array, hits: Hits, start_m: Array) -> Array:
        """`find`, from the bank's answer to the whole-pose search."""
        donors = hits.indices[:, self._settings.donors(hits.indices.shape[1])]
        found = []
        for rows in (slice(at, at + _BLOCK) for at in range(0, len(donors), _BLOCK)):
            donated = bank.candidates.joints_m(donors[rows].reshape(-1)).reshape(*donors[rows].shape, HUMAN36M.count, 3)
            found.append(self.find(embedding[rows], start_m[rows], donated))
        return np.concatenate(found)

    def find(self, embedding: Array, start_m: Array, candidates_m: Array) -> Array:
        """Joints (T, 17, 3) m in the virtual camera, relative to the pelvis, on the canonical body.

        `embedding` (T, E) of the images; `start_m` (T, 17, 3) where to begin; `candidates_m` (T, K, 17, 3) poses
        that are donors of parts.
        """
        return self.find_in_views((ScoredImage(embedding),), start_m, candidates_m)

    def find_in_views(self, images: Sequence[ScoredImage], start_m: Array, candidates_m: Array) -> Array:
        """As `find` for several views of the same frames: a pose's score is the sum of its scores."""
        rows = [slice(at, at + _CHUNK) for at in range(0, len(start_m), _CHUNK)]

        def climb(part: slice) -> Array:
            return self._climb([self._scoring(image.rows(part)) for image in images], start_m[part], candidates_m[part])

        with ThreadPoolExecutor(_THREADS, "parts") as pool:  # numpy lets go of the interpreter in the products
            return np.concatenate(list(pool.map(climb, rows)))

    def _climb(self, scoring: Sequence[_ImageScores], start_m: Array, candidates_m: Array) -> Array:
        pose, donated = start_m.astype(np.float32), candidates_m.astype(np.float32)
        for _ in range(self._settings.sweeps):
            for part in PARTS:
                pose = self._best(scoring, _with_part(pose, donated, part))
        return pose

    def _best(self, scoring: Sequence[_ImageScores], poses: Array) -> Array:
        """The best of poses (T, n, 17, 3), or their mean, weighted by score."""
        scores = self._scores(scoring[0], poses)
        for other in scoring[1:]:
            scores = scores + self._scores(other, poses)
        if self._settings.temperature <= 0:
            return np.asarray(poses[np.arange(len(poses)), scores.argmax(axis=1)])
        weight = np.exp((scores - scores.max(axis=1, keepdims=True)) / self._settings.temperature)
        return np.einsum("tn,tnjd->tjd", weight / weight.sum(axis=1, keepdims=True), poses)

    def _scoring(self, image: ScoredImage) -> _ImageScores:
        layers, embedding = self._layers, image.embedding.astype(np.float32)
        turn = None if image.turn is None else image.turn.astype(np.float32)
        return _ImageScores(embedding @ layers["embed"].weight.T, embedding @ layers["direct"].weight.T, turn)

    def _scores(self, scoring: _ImageScores, poses: Array) -> Array:
        """Scores (T, n) up to a constant of each frame."""
        first, second = self._layers["first"], self._layers["second"]
        if scoring.turn is not None:
            poses = np.matmul(poses, np.swapaxes(scoring.turn, -1, -2)[:, None])
        features = pose_features(poses)
        hidden = np.maximum(features @ first.weight + first.bias, 0.0)
        hidden = np.maximum(hidden @ second.weight + second.bias, 0.0)
        frames, count = poses.shape[:2]
        by_layers = np.matmul(hidden.reshape(frames, count, -1), scoring.by_layers[..., None])
        direct = np.matmul(features.reshape(frames, count, -1), scoring.direct[..., None])
        return np.asarray((by_layers + direct)[..., 0])


def _with_part(pose: Array, donated: Array, part: Part) -> Array:
    """Poses (T, K + 1, 17, 3): the pose with each candidate's part, and as it is. Limbs go along with the trunk."""
    count = donated.shape[1]
    poses = np.repeat(pose[:, None], count + 1, axis=1)
    joints, root = list(part.joints), part.hangs_on
    poses[:, :count, joints] = pose[:, None, root, None] + donated[:, :, joints] - donated[:, :, root, None]
    if part is TRUNK:
        for limb in LIMBS:
            own = pose[:, list(limb.joints)] - pose[:, limb.hangs_on, None]
            poses[:, :, list(limb.joints)] = poses[:, :, limb.hangs_on, None] + own[:, None]
    return poses


def key_frames(times_s: Array, apart_s: float) -> NDArray[np.intp]:
    """Places of frames (n,), the first and the last among them, with no two neighbours more than `apart_s` apart
    unless they follow each other in `times_s` (T,).
    """
    kept, last = [0], len(times_s) - 1
    for place in range(1, last):
        if times_s[place + 1] - times_s[kept[-1]] > apart_s:
            kept.append(place)
    return np.array([*kept, last][: len(times_s)] if last > 0 else kept, np.intp)


def between(values: Array, keys: NDArray[np.intp], times_s: Array) -> Array:
    """Values (n, ...) at the key frames, interpolated over all times (T,)."""
    if len(keys) == len(times_s):
        return values
    after = np.clip(np.searchsorted(keys, np.arange(len(times_s))), 1, len(keys) - 1)
    begin, end = times_s[keys[after - 1]], times_s[keys[after]]
    share = np.clip((times_s - begin) / np.maximum(end - begin, 1e-9), 0.0, 1.0)
    share = share.reshape(-1, *[1] * (values.ndim - 1)).astype(values.dtype)
    return np.asarray((1 - share) * values[after - 1] + share * values[after])
