"""Smoothing a clip: settings per body part, the presets, and the order of the steps.

May import numpy and its own room only. Blender's panel and the backend's `--smooth` call the same `smooth_clip`.

A low-pass filter rounds a two-frame punch off, so smoothing lets go of a limb that really moves fast. Jitter is fast
too, but it turns back from frame to frame; a hit keeps its direction, or stays where it went, and is much faster than
the channel's usual jitter.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from .body import bare_name
from .clip import MotionClip
from .contacts import ContactSettings, planted_frames
from .gaps import Gap, GapSettings, fill_positions, fill_rotations, fillable_gaps
from .outliers import SpikeSettings, remove_position_spikes, remove_rotation_spikes
from .planting import Motion, PlantSettings, plant_feet
from .posing import clip_body, clip_shape, with_motion
from .rotations import Array, quaternion_slerp
from .temporal import (
    Butterworth,
    TemporalFilter,
    angular_velocity_rad_s,
    filter_positions,
    filter_rotations,
    finite_runs,
    median_interval_s,
)

# a neighbouring step goes on with, or takes back, at least this part of a step's speed to count
_LEAST_SUPPORT = 0.3


@dataclass(frozen=True, slots=True)
class FastMoveSettings:
    """When a joint counts as moving fast.

    From `speed_deg_s` on the raw motion comes back, wholly at twice that speed. A speed must also be `sigmas` times
    the channel's own jitter. `release_s` is how long before and after the fast frames the raw motion is let in.
    """

    speed_deg_s: float = 400.0
    sigmas: float = 3.0
    release_s: float = 0.05


def fast_move_weights(times_s: Array, wxyz: Array, settings: FastMoveSettings) -> Array:
    """How much of the raw motion to keep (T, J), 0..1, from rotations (T, J, 4) of one run without NaN."""
    weights = np.zeros(wxyz.shape[:-1])
    if len(wxyz) < 4:
        return weights
    velocity = angular_velocity_rad_s(times_s, wxyz)
    speed = np.linalg.norm(velocity, axis=-1)
    threshold = np.maximum(np.deg2rad(settings.speed_deg_s), settings.sigmas * _jitter_speed(velocity))
    excess = np.clip(speed / threshold - 1.0, 0.0, 1.0)
    eased = excess * excess * (3.0 - 2.0 * excess)
    step = np.where(_supported(velocity, speed), eased, 0.0)
    # a frame belongs to the fast move when either of its steps does
    weights[:-1] = step
    weights[1:] = np.maximum(weights[1:], step)
    return _released(weights, settings.release_s / median_interval_s(times_s))


def _jitter_speed(velocity: Array) -> Array:
    """The usual speed (J,) that comes from jitter alone: from the change of velocity, which real motion has little of.

    For independent noise a step varies by sqrt(2) sigma and the difference of two steps by sqrt(6) sigma.
    """
    change = np.linalg.norm(np.diff(velocity, axis=0), axis=-1)
    return np.asarray(np.median(change, axis=0) / np.sqrt(3.0))


def _supported(velocity: Array, speed: Array) -> Array:
    """Whether each step (T - 1, J) is a move: a neighbour goes on in its direction, or neither takes it back."""
    along = np.sum(velocity[1:] * velocity[:-1], axis=-1)
    after, before = np.zeros_like(speed), np.zeros_like(speed)
    after[:-1], before[1:] = along, along
    least = _LEAST_SUPPORT * speed**2
    goes_on = (after > least) | (before > least)
    taken_back = (after < -least) | (before < -least)
    return np.asarray(goes_on | ~taken_back)


def _released(weights: Array, frames: float) -> Array:
    """Weights that rise before and fall after each fast frame, linearly over `frames`."""
    out = weights.copy()
    for offset in range(1, int(np.ceil(frames)) + 1):
        tail = max(0.0, 1.0 - (offset - 1) / max(frames, 1.0))
        out[offset:] = np.maximum(out[offset:], tail * weights[:-offset])
        out[:-offset] = np.maximum(out[:-offset], tail * weights[offset:])
    return out


# which joints each part's filter works on, by the canonical body's names without the side
# contacts of other parts than the feet that are surer than this hold the body
_RESTS = 0.5
_PART_JOINTS: dict[str, tuple[str, ...]] = {
    "torso": ("pelvis", "spine", "chest", "upper_chest"),
    "head": ("neck", "head"),
    "arms": ("clavicle", "shoulder", "elbow"),
    "hands": ("wrist", "hand"),
    "legs": ("hip", "knee"),
    "feet": ("ankle", "toe"),
}
# a fast move is kept by whole limbs: a punch lives in shoulder, elbow and wrist together
_LIMBS: tuple[tuple[str, ...], ...] = (
    ("pelvis", "spine", "chest", "upper_chest"),
    ("neck", "head"),
    *(
        (f"{side}_clavicle", f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist", f"{side}_hand")
        for side in ("left", "right")
    ),
    *((f"{side}_hip", f"{side}_knee", f"{side}_ankle", f"{side}_toe") for side in ("left", "right")),
)


@dataclass(frozen=True, slots=True)
class PartFilters:
    """One filter per body part; None leaves the part as it is.

    `root_horizontal` and `root_height` act on the pelvis' position in the world, the others on local rotations
    (`torso` includes the body's orientation), `fingers` and `face` on the clip's optional groups.
    """

    root_horizontal: TemporalFilter | None = None
    root_height: TemporalFilter | None = None
    torso: TemporalFilter | None = None
    head: TemporalFilter | None = None
    arms: TemporalFilter | None = None
    hands: TemporalFilter | None = None
    legs: TemporalFilter | None = None
    feet: TemporalFilter | None = None
    fingers: TemporalFilter | None = None
    face: TemporalFilter | None = None


@dataclass(frozen=True, slots=True)
class SmoothSettings:
    """Everything `smooth_clip` does; what is None is not done.

    In order: `gaps` are filled, `spikes` removed, `filters` run per body part, `fast` gives fast moves their raw
    motion back, `plant` holds the feet where the clip's contacts say that they stand.
    """

    filters: PartFilters = field(default_factory=PartFilters)
    spikes: SpikeSettings | None = None
    gaps: GapSettings | None = None
    fast: FastMoveSettings | None = None
    plant: PlantSettings | None = None
    contacts: ContactSettings = field(default_factory=ContactSettings)


def same_filter(spec: TemporalFilter | None) -> PartFilters:
    """The same filter for every part."""
    return PartFilters(**{part.name: spec for part in fields(PartFilters)})


OFF = SmoothSettings()
LIGHT = SmoothSettings(
    filters=PartFilters(*(Butterworth(hz) for hz in (5.0, 8.0, 7.0, 7.0, 9.0, 8.0, 9.0, 9.0, 9.0, 10.0))),
    spikes=SpikeSettings(longest_s=0.04),
    gaps=GapSettings(longest_s=0.25),
    fast=FastMoveSettings(speed_deg_s=350.0),
    plant=PlantSettings(),
)
MEDIUM = SmoothSettings(
    filters=PartFilters(*(Butterworth(hz) for hz in (3.0, 5.0, 4.0, 4.0, 5.5, 4.5, 5.5, 5.5, 5.0, 7.0))),
    spikes=SpikeSettings(),
    gaps=GapSettings(longest_s=0.5),
    fast=FastMoveSettings(speed_deg_s=500.0),
    plant=PlantSettings(),
)
HEAVY = SmoothSettings(
    filters=PartFilters(*(Butterworth(hz) for hz in (2.0, 3.5, 2.5, 2.5, 3.5, 3.0, 4.0, 4.0, 3.0, 5.0))),
    spikes=SpikeSettings(),
    gaps=GapSettings(longest_s=1.0),
    fast=FastMoveSettings(speed_deg_s=800.0),
    plant=PlantSettings(),
)
PRESETS: dict[str, SmoothSettings] = {"off": OFF, "light": LIGHT, "medium": MEDIUM, "heavy": HEAVY}


def smooth_clip(clip: MotionClip, settings: SmoothSettings) -> MotionClip:
    """The clip, smoothed. With everything off the very same clip comes back, bit for bit.

    Nothing is smoothed across gaps that stay open or across cuts (`header.cuts_s`). Filled frames keep confidence 0.
    """
    if settings == replace(OFF, contacts=settings.contacts):
        return clip
    rotations = clip.rotations_wxyz.astype(np.float64)
    root = clip.root_world_m.astype(np.float64)
    rotations, root = _repaired(clip, rotations, root, settings)
    smooth_root = _filtered_root(clip, root, settings.filters)
    smooth_rotations = _filtered_rotations(clip, rotations, settings.filters)
    if settings.fast is not None:
        keep = _limb_weights(clip, rotations, settings.fast)
        smooth_rotations = np.where(
            keep[..., None] > 0.0, quaternion_slerp(smooth_rotations, rotations, keep), smooth_rotations
        )
    motion, contacts = Motion(clip.times_s, smooth_rotations, smooth_root), clip.contacts
    if settings.plant is not None:
        planted = planted_frames(clip.times_s, contacts, settings.contacts)
        rests = None if clip.body_contacts is None else (clip.body_contacts > _RESTS).any(axis=1)
        done = plant_feet(clip_body(clip), clip_shape(clip), motion, planted, settings.plant, rests)
        motion, released = done.motion, planted & ~done.held
        contacts = np.where(released, np.minimum(contacts, 0.5 * settings.contacts.leave), contacts)
    return with_motion(_smoothed_groups(clip, settings), motion.rotations_wxyz, motion.root_m, contacts)


def part_joints(joint_names: tuple[str, ...]) -> dict[str, NDArray[np.intp]]:
    """Indices of the joints that each part's filter works on."""
    bare = [bare_name(name) for name in joint_names]
    return {
        part: np.array([index for index, name in enumerate(bare) if name in names], dtype=np.intp)
        for part, names in _PART_JOINTS.items()
    }


def _repaired(clip: MotionClip, rotations: Array, root: Array, settings: SmoothSettings) -> tuple[Array, Array]:
    """Rotations and root with short gaps filled and spikes removed."""
    times_s = clip.times_s
    if settings.gaps is not None:
        gaps = _gaps(clip, settings.gaps)
        rotations = fill_rotations(times_s, rotations, gaps)
        root = fill_positions(times_s, root, gaps)
    if settings.spikes is not None:
        rotations = remove_rotation_spikes(times_s, rotations, settings.spikes)
        root = remove_position_spikes(times_s, root, settings.spikes)
    return rotations, root


def _gaps(clip: MotionClip, settings: GapSettings) -> list[Gap]:
    unsure = clip.confidence < settings.least_confidence
    missing = unsure | ~np.isfinite(clip.root_world_m).all(axis=1) | ~np.isfinite(clip.rotations_wxyz).all(axis=(1, 2))
    return fillable_gaps(clip.times_s, missing, settings.longest_s)


def _filtered_root(clip: MotionClip, root: Array, filters: PartFilters) -> Array:
    out = root.copy()
    for spec, axes in ((filters.root_horizontal, slice(0, 2)), (filters.root_height, slice(2, 3))):
        if spec is not None:
            out[:, axes] = filter_positions(spec, clip.times_s, root[:, axes], clip.header.cuts_s)
    return out


def _filtered_rotations(clip: MotionClip, rotations: Array, filters: PartFilters) -> Array:
    out = rotations.copy()
    for part, joints in part_joints(clip.body_joint_names).items():
        spec: TemporalFilter | None = getattr(filters, part)
        if spec is not None and len(joints):
            out[:, joints] = filter_rotations(spec, clip.times_s, rotations[:, joints], clip.header.cuts_s)
    return out


def _smoothed_groups(clip: MotionClip, settings: SmoothSettings) -> MotionClip:
    """The clip with gaps filled and filters run on its fingers and its face, where it has them."""
    hands, face, filters, times_s = clip.hands, clip.face, settings.filters, clip.times_s
    gaps = [] if settings.gaps is None else _gaps(clip, settings.gaps)
    if hands is not None:
        turns = hands.rotations_wxyz.reshape(len(clip), -1, 4)
        turns = fill_rotations(times_s, turns, gaps)
        if filters.fingers is not None:
            turns = filter_rotations(filters.fingers, times_s, turns, clip.header.cuts_s)
        turns = turns.reshape(hands.rotations_wxyz.shape).astype(hands.rotations_wxyz.dtype)
        hands = replace(hands, rotations_wxyz=turns)
    if face is not None:
        weights = fill_positions(times_s, face.weights, gaps)
        if filters.face is not None:
            weights = filter_positions(filters.face, times_s, weights, clip.header.cuts_s)
        face = replace(face, weights=np.clip(weights, 0.0, 1.0).astype(face.weights.dtype))
    return replace(clip, hands=hands, face=face)


def _limb_weights(clip: MotionClip, rotations: Array, settings: FastMoveSettings) -> Array:
    """How much of the raw motion each joint keeps (T, J): the most that any joint of its limb asks for."""
    weights = np.zeros(rotations.shape[:-1])
    for run in finite_runs(clip.times_s, rotations, clip.header.cuts_s):
        weights[run] = fast_move_weights(clip.times_s[run], rotations[run], settings)
    for limb in _LIMBS:
        joints = [clip.body_joint_names.index(name) for name in limb if name in clip.body_joint_names]
        if joints:
            weights[:, joints] = weights[:, joints].max(axis=1, keepdims=True)
    return weights
