"""Test-time augmentations of an image tower: a clip as it is and flipped, with the network's 3D guess and without.

The tower errs differently each time, so the mean of its answers errs less. numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.embedding.features import LandmarkWindow, TowerInput, tower_input
from backend.embedding.keypoints import H36M_MIRROR
from backend.embedding.towers_onnx import ImageEmbedding, Towers, six_to_matrix
from backend.embedding.windows import TrackWindows, mirrored
from backend.types import Array
from blender_addon.motion.body import canonical_body

_FLIP = np.array([-1.0, 1.0, 1.0], np.float32)
_BLOCK = 64  # frames at once, each with a whole window: 512 took 300 MB more and no less time


@dataclass(frozen=True, slots=True)
class View:
    """How to look: in a mirror or not, at the landmark network's own 3D guess or not."""

    mirror: bool = False
    guess: bool = True


ALL_VIEWS = (View(), View(guess=False), View(mirror=True), View(mirror=True, guess=False))
TWO_VIEWS = (View(), View(guess=False))
ONE_VIEW = (View(),)


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for: embedding (T, E) and the cameras that it is seen by, virtual_from_camera (T, 3, 3); a
    `mirror` query finds mirrored poses.
    """

    embedding: Array
    virtual_from_camera: Array
    mirror: bool

    def rows(self, rows: NDArray[np.intp]) -> Query:
        """Some of the frames."""
        return Query(self.embedding[rows], self.virtual_from_camera[rows], self.mirror)

    def joints_in_camera(self, joints_m: Array) -> Array:
        """Joints (T, 17, 3) of the virtual camera in the real one, unmirrored."""
        return _in_camera(joints_m, self.virtual_from_camera, self.mirror)


@dataclass(frozen=True, slots=True)
class ClipEmbedding:
    """What one image tower says of T frames, or two of them blended, in the camera: queries, the plain one first;
    joints_m (T, 17, 3) at canonical size with error_m (T, 17); turns (T, J, 3, 3); half_size (T,); and of the whole
    clip: gravity (3,) unit vector down, proportions (7,), and gravity_spread_deg, how far the frames' own gravity lies
    from it.
    """

    queries: tuple[Query, ...]
    joints_m: Array
    error_m: Array
    turns: Array
    half_size: Array
    gravity: Array
    proportions: Array
    gravity_spread_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class _AugmentedView:
    """One view's answer in the camera, unmirrored."""

    view: View
    seen: TowerInput
    output: ImageEmbedding

    def joints_m(self) -> Array:
        return _in_camera(self.output.joints_m, self.seen.virtual_from_camera, self.view.mirror)

    def down(self) -> Array:
        down = np.matmul(self.output.gravity[:, None], self.seen.virtual_from_camera)[:, 0]
        return down * _FLIP if self.view.mirror else down

    def turns(self) -> Array:
        turns = np.swapaxes(self.seen.virtual_from_camera, -1, -2)[:, None] @ self.output.rotations
        if self.view.mirror:
            turns = turns[:, canonical_body().mirror] * _FLIP[:, None] * _FLIP
        return np.asarray(turns)


def embed_clip(towers: Towers, windows: TrackWindows, views: Sequence[View]) -> ClipEmbedding:
    """Look at a clip's windows in each of the ways; the first has to be an unmirrored one."""
    blocks = [slice(at, at + _BLOCK) for at in range(0, len(windows), _BLOCK)] or [slice(0, 0)]
    parts = [_embed(towers, windows.rows(rows), views) for rows in blocks]
    every = np.concatenate([part.gravity for part in parts])
    down = np.median(every, axis=0)
    queries = zip(*(part.queries for part in parts), strict=True)
    return ClipEmbedding(
        tuple(_joined(query) for query in queries),
        np.concatenate([part.joints_m for part in parts]),
        np.concatenate([part.error_m for part in parts]),
        np.concatenate([part.turns for part in parts]),
        np.concatenate([part.half_size for part in parts]),
        down / np.linalg.norm(down),
        np.median(np.concatenate([part.proportions for part in parts]), axis=0),
        _spread_deg(every, down),
    )


def blended(one: ClipEmbedding, other: ClipEmbedding, share: float) -> ClipEmbedding:
    """What two image towers say of the same frames, as one: `share` (0 to 1) is the weight of the other's joints,
    rotations, gravity and proportions. The queries are those of `one`: its embedding is the one that is searched with.
    """

    def mean(first: Array, second: Array) -> Array:
        return np.asarray((1.0 - share) * first + share * second)

    turns = mean(one.turns, other.turns)
    down = mean(one.gravity, other.gravity)
    return replace(
        one,
        joints_m=mean(one.joints_m, other.joints_m),
        error_m=np.exp(mean(np.log(one.error_m), np.log(other.error_m))),
        turns=six_to_matrix(np.swapaxes(turns[..., :2], -1, -2)),
        gravity=down / max(float(np.linalg.norm(down)), 1e-6),
        proportions=mean(one.proportions, other.proportions),
        gravity_spread_deg=float(mean(np.asarray(one.gravity_spread_deg), np.asarray(other.gravity_spread_deg))),
    )


def _spread_deg(directions: Array, middle: Array) -> float:
    """The usual angle (one sigma of a normal one) of directions (T, 3) to their middle (3,)."""
    if not len(directions):
        return 0.0
    length = np.linalg.norm(directions, axis=-1) * np.linalg.norm(middle)
    cosine = directions @ middle / np.maximum(length, 1e-9)
    # the median of the length of a normal vector in the plane is 1.18 sigmas
    return float(np.rad2deg(np.median(np.arccos(np.clip(cosine, -1.0, 1.0))))) / 1.18


def _joined(queries: Sequence[Query]) -> Query:
    return Query(
        np.concatenate([query.embedding for query in queries]),
        np.concatenate([query.virtual_from_camera for query in queries]),
        queries[0].mirror,
    )


def _embed(towers: Towers, window: LandmarkWindow, views: Sequence[View]) -> ClipEmbedding:
    """As `embed_clip` for some of the frames, with gravity (T, 3) and proportions (T, 7) of each."""
    augmented = [_augmented_view(towers, window, view) for view in views]
    plain = [one_view for one_view in augmented if not one_view.view.mirror]
    others = [one_view for one_view in augmented if one_view.view.mirror]
    turns = _mean([one_view.turns() for one_view in augmented])
    return ClipEmbedding(
        tuple(_query(group) for group in (plain, others) if group),
        _mean([one_view.joints_m() for one_view in augmented]),
        plain[0].output.error_m,
        six_to_matrix(np.swapaxes(turns[..., :2], -1, -2)) if len(augmented) > 1 else turns,
        plain[0].seen.half_size,
        _mean([one_view.down() for one_view in augmented]),
        _mean([one_view.output.proportions for one_view in augmented]),
    )


def _augmented_view(towers: Towers, window: LandmarkWindow, view: View) -> _AugmentedView:
    window = replace(window, use_depth=np.full(len(window.points), view.guess))
    seen = tower_input(mirrored(window) if view.mirror else window)
    return _AugmentedView(view, seen, towers.embed_images(seen))


def _query(augmented: Sequence[_AugmentedView]) -> Query:
    embedding = _mean([one_view.output.embedding for one_view in augmented])
    return Query(embedding, augmented[0].seen.virtual_from_camera, augmented[0].view.mirror)


def _mean(values: Sequence[Array]) -> Array:
    return np.asarray(sum(values[1:], start=values[0]) / len(values))


def _in_camera(joints_m: Array, virtual_from_camera: Array, mirror: bool) -> Array:
    joints = np.matmul(joints_m, virtual_from_camera)
    return joints[:, H36M_MIRROR] * _FLIP if mirror else joints
