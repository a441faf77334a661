"""Quality figures of a clip, in units an animator can read.

May import numpy and its own room only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from .clip import MotionClip
from .contacts import ContactSettings, planted_frames
from .foot_evidence import foot_figures, kept_step_motion, seen_speed_m_s, stands
from .hands import HAND_SIDES
from .posing import clip_body, find_feet, pose_clip
from .rotations import Array
from .temporal import per_frame

# a foot point counts as below the floor from this depth on: skin is soft
_SOFT_M = 0.005
# a hand or a face of less confidence counts as not seen
SEEN = 0.2


@dataclass(frozen=True, slots=True)
class ClipQuality:
    """What a clip is worth.

    solved_share: frames with the person, of all; mean_confidence over those, 0..1; acceleration_m_s2 and
    jerk_m_s3: means over the body's joints in the world (jitter raises both: calm walking has about 3 and 60);
    foot_skate_m_s: mean speed of foot points over the floor while their keypoints stand still in the image (while the
    clip's contacts say so, where keypoints are not known); floating_m: how high the lower foot is meanwhile;
    penetration_m: the depth that the lowest foot point exceeds in 5 % of the frames; below_floor_m: the deepest foot
    point; below_floor_share: frames with a foot more than 5 mm under the floor; contact_share: frames with a standing
    foot; step_motion_kept: how much of the motion of stepping keypoints the feet have, 1 is all. Figures that the clip
    has no frames for are 0.
    """

    solved_share: float
    mean_confidence: float
    acceleration_m_s2: float
    jerk_m_s3: float
    foot_skate_m_s: float
    below_floor_m: float
    below_floor_share: float
    contact_share: float
    floating_m: float
    penetration_m: float
    step_motion_kept: float

    def as_figures(self) -> dict[str, float]:
        """The figures by name, rounded for a header or a report."""
        return {name: round(float(value), 4) for name, value in asdict(self).items()}


def measure_clip(clip: MotionClip, contacts: ContactSettings | None = None) -> ClipQuality:
    """Measure a clip against its keypoints, and against its own contacts where these are not known."""
    posed = pose_clip(clip)
    feet = find_feet(clip_body(clip), posed)
    solved = np.isfinite(posed.positions_m).all(axis=(1, 2))
    planted = planted_frames(clip.times_s, clip.contacts, contacts or ContactSettings())
    planted &= solved[:, None]
    speed = seen_speed_m_s(clip)
    standing = np.where(np.isfinite(speed), stands(speed, feet), planted) & solved[:, None]
    found = foot_figures(clip.times_s, feet, standing)
    depth = np.nan_to_num(feet.clearance_m - feet.positions_m[..., 2], nan=0.0).max(axis=1, initial=0.0)
    return ClipQuality(
        solved_share=_mean(solved),
        mean_confidence=_mean(clip.confidence[solved]),
        acceleration_m_s2=derivative_magnitude(clip.times_s, posed.positions_m, 2),
        jerk_m_s3=derivative_magnitude(clip.times_s, posed.positions_m, 3),
        foot_skate_m_s=found.skate_m_s,
        below_floor_m=float(depth.max(initial=0.0)),
        below_floor_share=_mean(depth[solved] > _SOFT_M),
        contact_share=_mean(planted.any(axis=1)[solved]),
        floating_m=found.floating_m,
        penetration_m=found.below_m,
        step_motion_kept=kept_step_motion(clip, feet),
    )


def clip_figures(clip: MotionClip) -> dict[str, float]:
    """The figures of a clip as it is, with those that were measured before its feet were planted."""
    kept = {name: v for name, v in clip.header.figures.items() if "_before_" in name or name.endswith("_size_px")}
    return {**measure_clip(clip).as_figures(), **group_figures(clip), **kept}


def group_figures(clip: MotionClip) -> dict[str, float]:
    """How much of the fingers and the face was seen, of the frames with the person; none for a clip without them."""
    solved = clip.confidence > 0
    figures: dict[str, float] = {}
    if clip.hands is not None:
        seen = clip.hands.confidence[solved] >= SEEN
        figures |= {f"{side}_hand_seen_share": round(_mean(seen[:, i]), 4) for i, side in enumerate(HAND_SIDES)}
    if clip.face is not None:
        figures["face_seen_share"] = round(_mean(clip.face.confidence[solved] >= SEEN), 4)
    return figures


def foot_skate_m_s(times_s: Array, positions_m: Array, planted: NDArray[np.bool_]) -> float:
    """Mean speed over the floor of points (T, N, 3) between frames in both of which they are `planted` (T, N)."""
    if len(times_s) < 2:
        return 0.0
    both = planted[1:] & planted[:-1]
    speed = np.linalg.norm(np.diff(positions_m[..., :2], axis=0), axis=-1) / np.diff(times_s)[:, None]
    return _mean(speed[both])


def derivative_magnitude(times_s: Array, positions_m: Array, order: int) -> float:
    """Mean length of the `order`-th time derivative of positions (T, ..., 3), over the frames where it exists."""
    values, at_s = np.asarray(positions_m, dtype=np.float64), np.asarray(times_s, dtype=np.float64)
    for _ in range(order):
        if len(values) < 2:
            return 0.0
        values = np.diff(values, axis=0) / per_frame(np.diff(at_s), values.ndim)
        at_s = 0.5 * (at_s[1:] + at_s[:-1])
    return _mean(np.linalg.norm(values, axis=-1))


def _mean(values: Array | NDArray[np.bool_]) -> float:
    """The mean of the finite values, 0 of none."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    return float(finite.mean()) if finite.size else 0.0
