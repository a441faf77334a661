"""Training windows from renders: the landmarks that the shipped networks saw, beside the exact truth. numpy only.

A single image is a window whose other frames are absent, as at the ends of a track; a video of a few frames is a track
of that length. Half of the windows are mirrored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.embedding.features import LandmarkWindow, tower_input
from backend.embedding.keypoints import H36M_MIRROR
from backend.embedding.window_offsets import DENSE_OFFSETS
from backend.embedding.windows import mirrored
from backend.errors import BadInputError
from backend.keypoint_layouts import HUMAN36M
from backend.training.batch import TrainingBatch
from backend.training.body_shapes import body_proportions
from backend.training.motion_truth import FEET, MotionTruth
from backend.training.render_landmarks import RenderLandmarks
from backend.training.simulate import SimulationSettings, canonical_joints
from backend.types import Array
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.rotations import quaternion_to_matrix

_FLIP = np.array([-1.0, 1.0, 1.0], np.float32)


@dataclass(frozen=True, slots=True)
class RenderPool:
    """N usable frames: what the network saw and the truth in the camera. first, last (N,) row of each frame's video;
    joints_m (N, 17, 3) relative to the pelvis at canonical size, turns (N, J, 3, 3), down (N, 3), proportions (N, 7).
    """

    points: Array
    visibility: Array
    guess: Array
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    joints_m: Array
    turns: Array
    down: Array
    proportions: Array

    def __len__(self) -> int:
        return len(self.points)


def render_pool(folders: Sequence[RenderLandmarks]) -> RenderPool:
    """Frames of the videos (or single images) in which the person was found throughout. BadInputError for none."""
    parts = [_pool(seen) for seen in folders if len(seen)]
    if not sum(len(part) for part in parts):
        raise BadInputError("no person was found in any render", "Look at them: marionet synthesize --sheet")
    shifts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    names = ("points", "visibility", "guess", "joints_m", "turns", "down", "proportions")
    whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    first, last = (
        np.concatenate([getattr(part, name) + shift for part, shift in zip(parts, shifts, strict=True)])
        for name in ("first", "last")
    )
    return RenderPool(first=first, last=last, **whole)


def _pool(seen: RenderLandmarks) -> RenderPool:
    lost = np.unique(seen.video[~seen.found])
    seen = seen.rows(~np.isin(seen.video, lost))
    body = canonical_body()
    offsets = np.asarray(seen.offsets_m, np.float64)
    length = np.linalg.norm(offsets[:, 1:], axis=-1).sum(axis=1)
    size = length / np.linalg.norm(body.offsets_m[1:], axis=-1).sum()
    joints = (seen.joints_m - seen.joints_m[:, :1]) / size[:, None, None]
    _, turns = forward_kinematics(body, np.asarray(seen.rotations_wxyz, np.float64), np.zeros(3))
    camera = np.asarray(seen.camera_from_world, np.float64)
    _, first, count = np.unique(seen.video, return_index=True, return_counts=True)
    return RenderPool(
        seen.points,
        seen.visibility,
        seen.guess,
        np.repeat(first, count),
        np.repeat(first + count - 1, count),
        joints.astype(np.float32),
        (camera[:, None] @ quaternion_to_matrix(turns)).astype(np.float32),
        (camera @ np.array([0.0, 0.0, -1.0])).astype(np.float32),
        body_proportions(body, offsets).astype(np.float32),
    )


def render_batch(
    pool: RenderPool, count: int, rng: np.random.Generator, settings: SimulationSettings
) -> TrainingBatch[Array]:
    """Draw `count` windows; the depth guess is hidden as often as in simulated ones. Of windows for the temporal tower
    also the joints of all frames; how fast they move is not known (NaN).
    """
    center = rng.integers(0, len(pool), count)
    place = center[:, None] + np.asarray(settings.offsets)
    nearest = np.clip(place, pool.first[center][:, None], pool.last[center][:, None])
    window = LandmarkWindow(
        pool.points[nearest],
        pool.visibility[nearest],
        pool.guess[nearest],
        nearest == place,
        rng.random(count) >= settings.noise.depth_hidden_share,
    )
    joints, turns, down = pool.joints_m[center], pool.turns[center], pool.down[center]
    flip = rng.random(count) < 0.5
    window = _where(flip, mirrored(window), window)
    joints = np.where(flip[:, None, None], joints[:, H36M_MIRROR] * _FLIP, joints)
    other = turns[:, canonical_body().mirror] * _FLIP[:, None] * _FLIP
    turns = np.where(flip[:, None, None, None], other, turns)
    down = np.where(flip[:, None], down * _FLIP, down)
    seen = tower_input(window)
    virtual = seen.virtual_from_camera
    return TrainingBatch(
        seen.frames,
        seen.context,
        np.einsum("bij,bkj->bki", virtual, joints).astype(np.float32),
        np.einsum("bij,bkj->bki", virtual, canonical_joints(turns)).astype(np.float32),
        np.einsum("bij,bkjl->bkil", virtual, turns).astype(np.float32),
        np.einsum("bij,bj->bi", virtual, down).astype(np.float32),
        pool.proportions[center],
        virtual,
        *(_motion(pool.joints_m[nearest], flip, virtual) if len(settings.offsets) > len(DENSE_OFFSETS) else ()),
    )


def _motion(joints_m: Array, flip: NDArray[np.bool_], virtual: Array) -> MotionTruth:
    """Of the windows' joints (B, W, 17, 3) m in the camera."""
    joints = np.where(flip[:, None, None, None], joints_m[:, :, H36M_MIRROR] * _FLIP, joints_m)
    joints = np.einsum("bij,bwkj->bwki", virtual, joints, optimize=True)
    unknown = np.full((len(joints), HUMAN36M.count, 3), np.nan, np.float32)
    return MotionTruth(joints.astype(np.float16), unknown, unknown[:, : len(FEET), 0])


def _where(flip: NDArray[np.bool_], a: LandmarkWindow, b: LandmarkWindow) -> LandmarkWindow:
    def pick(one: Array, other: Array) -> Array:
        return np.where(flip.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return LandmarkWindow(
        pick(a.points, b.points),
        pick(a.visibility, b.visibility),
        pick(a.guess, b.guess),
        b.present,
        b.use_depth,
    )
