"""The clip as the retarget reads it: world rotations and positions without holes. numpy, `motion`, its own room.

T frames, J joints of the canonical body.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..motion.body import CanonicalBody, canonical_body, shaped_offsets_m
from ..motion.clip import MotionClip
from ..motion.contacts import ContactSettings, planted_frames
from ..motion.hands import relaxed_hands
from ..motion.posing import clip_body, clip_shape, find_feet, pose_body
from ..motion.rotations import quaternion_continuous, quaternion_multiply, quaternion_normalize, quaternion_rotate

Array = NDArray[np.floating]


class RetargetError(ValueError):
    """A retarget that cannot be done; the message says what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class SourceMotion:
    """A clip in the world.

    `world_wxyz` (T, J, 4) joint rotations, `positions_m` (T, J, 3), `feet_m` (T, 4, 3) heel and ball of both feet in
    the order of `motion.posing.FOOT_POINTS` with `clearance_m` (4,) above a floor on which they stand flat;
    `planted` (T, 4) which of them stand; `present` (T,) which frames the clip really has (others hold the nearest);
    `leg_length_m` from hip joint to sole along the straight leg. `first` is the frame that placement goes by.
    `hands_wxyz` (T, 2, 15, 4) are local rotations of both hands as in `HandMotion` (None: fingers keep their pose).
    """

    body: CanonicalBody
    times_s: Array
    world_wxyz: Array
    positions_m: Array
    feet_m: Array
    clearance_m: Array
    planted: NDArray[np.bool_]
    present: NDArray[np.bool_]
    leg_length_m: float
    hands_wxyz: Array | None = None
    first: int = 0

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.times_s)

    def joint_wxyz(self, joint: str) -> Array:
        """World rotation (T, 4) of a joint."""
        return np.asarray(self.world_wxyz[:, self.body.joint_index(joint)])

    def moved(self, turn_wxyz: Array, anchor_m: Array, scale: float, to_m: Array) -> SourceMotion:
        """The motion turned by (4,) and scaled about `anchor_m` (3,), which comes to lie at `to_m` (3,)."""
        return replace(
            self,
            world_wxyz=quaternion_multiply(turn_wxyz, self.world_wxyz),
            positions_m=quaternion_rotate(turn_wxyz, scale * (self.positions_m - anchor_m)) + to_m,
            feet_m=quaternion_rotate(turn_wxyz, scale * (self.feet_m - anchor_m)) + to_m,
            clearance_m=self.clearance_m * scale,
            leg_length_m=self.leg_length_m * scale,
        )


def source_motion(clip: MotionClip, contact_threshold: float, relax_hands: bool = False) -> SourceMotion:
    """Read a clip; `relax_hands` gives one without hands relaxed ones.

    Raises RetargetError for a clip without a single solved frame, ClipError for another body.
    """
    body = clip_body(clip)
    present = np.isfinite(clip.rotations_wxyz).all(axis=(1, 2)) & np.isfinite(clip.root_world_m).all(axis=1)
    if not present.any():
        raise RetargetError("the clip has no frame with the person in it; choose another range or person")
    nearest = _nearest_present(present)
    rotations = quaternion_normalize(np.asarray(clip.rotations_wxyz, dtype=np.float64)[nearest])
    root = np.asarray(clip.root_world_m, dtype=np.float64)[nearest]
    shape = clip_shape(clip)
    posed = pose_body(body, shape, rotations, root)
    feet = find_feet(body, posed)
    settings = ContactSettings(enter=contact_threshold, leave=0.6 * contact_threshold)
    contacts = np.nan_to_num(np.asarray(clip.contacts, dtype=np.float64), nan=0.0)
    planted = planted_frames(np.asarray(clip.times_s, dtype=np.float64), contacts, settings)
    return SourceMotion(
        body=body,
        times_s=np.asarray(clip.times_s, dtype=np.float64),
        world_wxyz=quaternion_continuous(posed.world_wxyz),
        positions_m=posed.positions_m,
        feet_m=feet.positions_m,
        clearance_m=feet.clearance_m,
        planted=planted & present[:, None],
        present=present,
        leg_length_m=_leg_length_m(clip),
        hands_wxyz=_hands(clip, nearest, relax_hands),
        first=int(np.argmax(present)),
    )


def _hands(clip: MotionClip, nearest: NDArray[np.intp], relax: bool) -> Array | None:
    """The hands' local rotations (T, 2, 15, 4), relaxed where the clip has none."""
    if clip.hands is None:
        return relaxed_hands(len(nearest)) if relax else None
    turns = np.asarray(clip.hands.rotations_wxyz, dtype=np.float64)[nearest]
    known = np.isfinite(turns).all(axis=(-2, -1), keepdims=True)
    return quaternion_normalize(np.where(known, turns, relaxed_hands(len(nearest))))


def _nearest_present(present: NDArray[np.bool_]) -> NDArray[np.intp]:
    """For each frame the nearest one with the person."""
    known = np.flatnonzero(present)
    frames = np.arange(len(present))
    right = np.clip(np.searchsorted(known, frames), 0, len(known) - 1)
    left = np.clip(right - 1, 0, len(known) - 1)
    closer_left = np.abs(frames - known[left]) < np.abs(known[right] - frames)
    return np.asarray(np.where(closer_left, known[left], known[right]))


def _leg_length_m(clip: MotionClip) -> float:
    body, shape = canonical_body(), clip_shape(clip)
    offsets = shaped_offsets_m(body, shape)
    height = body.rest_positions_m()[:, 2] * (shape.height_m / body.height_m)
    lengths = [
        np.linalg.norm(offsets[body.joint_index(f"{side}_knee")])
        + np.linalg.norm(offsets[body.joint_index(f"{side}_ankle")])
        + height[body.joint_index(f"{side}_ankle")]
        for side in ("left", "right")
    ]
    return float(np.mean(lengths))
