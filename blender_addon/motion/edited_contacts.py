"""A body that follows contacts which were added by hand: hands stay where they rest, the trunk on its support.

May import numpy and its own room only. Feet are not led here: planting does that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .body_contacts import CONTACT_PARTS, body_parts
from .clip import MotionClip
from .contacts import ContactSettings, planted_frames, true_runs
from .limb_ik import Limb, two_bone_ik
from .posing import PosedBody, clip_body, pose_clip, with_motion
from .rotations import Array, quaternion_conjugate, quaternion_multiply
from .temporal import Gaussian, filter_positions

# a part this near to the floor comes to it; a higher one rests on a chair, a table or a step, and stays at its height
_FLOOR_M = 0.2
# a contact that is made longer stays where it was in this time next to what is added
_NEXT_S = 0.3
# how long a part takes to come to its support and to leave it
_RAMP_S = 0.1
_ON = 0.5
# ends of contacts that moved less than this only lie on the timeline's whole frames now
_SLACK_S = 0.05


def follow_added_contacts(clip: MotionClip, edited: MotionClip, own: ContactSettings | None = None) -> MotionClip:
    """`edited`, which has other contacts than `clip`, with the added ones of body parts held.

    `own` says where parts of `clip` rest already, as `contact_spans` has it: what was not edited moves nothing.

    Trunk, head, knees and elbows come to the floor, or stay at one height where they are far above it: the root moves
    up and down. Hands stay on one spot: the arms move. A contact that was made longer stays where it was. One that was
    removed holds nothing any more, but nothing is known of where the part was without it.
    """
    if edited.body_contacts is None:
        return edited
    added = (edited.body_contacts >= _ON) & np.isfinite(edited.root_world_m).all(axis=1)[:, None]
    if clip.body_contacts is not None:
        added &= ~_resting(clip.times_s, clip.body_contacts, own or ContactSettings())
    if not added.any():
        return edited
    out = _rest_trunk(edited, added)
    for side in ("left", "right"):
        out = _hold_hand(out, side, added[:, CONTACT_PARTS.index(f"{side}_hand")])
    return out


def _resting(times_s: Array, probability: Array, settings: ContactSettings) -> NDArray[np.bool_]:
    """Where the parts (T, P) rest by themselves, with a moment before and after."""
    resting = planted_frames(times_s, np.nan_to_num(probability, nan=0.0), settings)
    for part in range(resting.shape[1]):
        for first, last in true_runs(resting[:, part]):
            begin = np.searchsorted(times_s, times_s[first] - _SLACK_S)
            end = np.searchsorted(times_s, times_s[last] + _SLACK_S, side="right")
            resting[begin:end, part] = True
    return resting


def _rest_trunk(clip: MotionClip, added: NDArray[np.bool_]) -> MotionClip:
    height = _heights_m(clip)
    moves: list[Array] = []
    for part, name in enumerate(CONTACT_PARTS):
        if not name.endswith("_hand"):
            for first, last in true_runs(added[:, part]):
                moves.append(_to_support(height[:, part], _support(clip, part, first, last), first, last))
    if not moves:
        return clip
    # where several parts rest at once they share what is left
    with np.errstate(invalid="ignore"):
        count = np.isfinite(moves).sum(axis=0)
    wanted = np.where(count > 0, np.nansum(moves, axis=0) / np.maximum(count, 1), np.nan)
    root = clip.root_world_m.astype(np.float64)
    root[:, 2] += _eased(clip.times_s, wanted[:, None])[:, 0]
    return with_motion(clip, clip.rotations_wxyz, root)


def _heights_m(clip: MotionClip) -> Array:
    """Heights (T, P) of the lowest surface of each part over the floor."""
    parts = body_parts(clip_body(clip), pose_clip(clip))
    return np.asarray(parts.positions_m[..., 2] - parts.radius_m)


def _to_support(height_m: Array, support: slice | None, first: int, last: int) -> Array:
    """How far (T,) a part moves up from frame `first` to `last`; NaN in the others."""
    inside = slice(first, last + 1)
    level = float(np.nanmedian(height_m[support or inside]))
    if support is None and abs(level) < _FLOOR_M:
        level = 0.0
    move = np.full(len(height_m), np.nan)
    move[inside] = level - height_m[inside]
    return move


def _support(clip: MotionClip, part: int, first: int, last: int) -> slice | None:
    """The frames of the contact that the added frames `first` to `last` make longer; None where they stand alone."""
    contacts, times_s = clip.body_contacts, clip.times_s
    if contacts is None:
        return None
    rests = (contacts[:, part] >= _ON) & np.isfinite(clip.root_world_m).all(axis=1)
    begin, end = next((a, b) for a, b in true_runs(rests) if a <= first <= b)
    if begin < first:
        return slice(max(begin, int(np.searchsorted(times_s, times_s[first] - _NEXT_S))), first)
    if last < end:
        return slice(last + 1, min(end + 1, int(np.searchsorted(times_s, times_s[last] + _NEXT_S, side="right"))))
    return None


def _hold_hand(clip: MotionClip, side: str, added: NDArray[np.bool_]) -> MotionClip:
    if not added.any():
        return clip
    body, posed, hand = clip_body(clip), pose_clip(clip), CONTACT_PARTS.index(f"{side}_hand")
    parts = body_parts(body, posed)
    place, wanted = parts.positions_m[:, hand], np.full((len(clip), 3), np.nan)
    for first, last in true_runs(added):
        inside = slice(first, last + 1)
        support = _support(clip, hand, first, last)
        spot = np.nanmedian(place[support or inside], axis=0)
        if support is None and abs(spot[2] - parts.radius_m[hand]) < _FLOOR_M:
            spot[2] = parts.radius_m[hand]
        wanted[inside] = spot - place[inside]
    rotations = clip.rotations_wxyz.astype(np.float64)
    known = np.isfinite(rotations).all(axis=(1, 2)) & np.isfinite(clip.root_world_m).all(axis=1)
    move = _eased(clip.times_s, wanted)[known]
    whole = PosedBody(posed.positions_m[known], posed.world_wxyz[known], posed.shape)
    arm = tuple(body.joint_index(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist"))
    rotations[np.ix_(known, arm)] = _led_arm(whole, arm, int(body.parents[arm[0]]), move)
    return with_motion(clip, rotations, clip.root_world_m)


def _led_arm(posed: PosedBody, arm: tuple[int, ...], above: int, move_m: Array) -> Array:
    """Local rotations (N, 3, 4) of shoulder, elbow and wrist that move the wrist by `move_m` (N, 3); the hand keeps
    its direction in the world.
    """
    shoulder, elbow, wrist = arm
    limb = Limb(*(posed.positions_m[:, joint] for joint in arm))
    led = two_bone_ik(limb, limb.end_m + move_m)
    upper = quaternion_multiply(led.upper_turn_wxyz, posed.world_wxyz[:, shoulder])
    lower = quaternion_multiply(led.lower_turn_wxyz, posed.world_wxyz[:, elbow])
    locals_wxyz = (
        quaternion_multiply(quaternion_conjugate(posed.world_wxyz[:, above]), upper),
        quaternion_multiply(quaternion_conjugate(upper), lower),
        quaternion_multiply(quaternion_conjugate(lower), posed.world_wxyz[:, wrist]),
    )
    return np.stack(locals_wxyz, axis=1)


def _eased(times_s: Array, wanted: Array) -> Array:
    """Moves (T, C), NaN where nothing is wanted, that are met where they are wanted and fade outside."""
    held = np.isfinite(wanted).all(axis=1)
    if not held.any():
        return np.zeros(wanted.shape)
    near = _nearest_held(held)
    fade = np.exp(-0.5 * ((times_s - times_s[near]) / _RAMP_S) ** 2)
    faded = wanted[near] * fade[:, None]
    soft = filter_positions(Gaussian(0.5 * _RAMP_S), times_s, faded)
    return np.asarray(np.where(held[:, None], wanted, soft))


def _nearest_held(held: NDArray[np.bool_]) -> NDArray[np.intp]:
    """For each frame (T,) the nearest one that is held; the earlier one of two."""
    frames, places = np.arange(len(held)), np.flatnonzero(held)
    after = np.searchsorted(places, frames)
    before = places[np.maximum(after - 1, 0)]
    after = places[np.minimum(after, len(places) - 1)]
    return np.asarray(np.where(np.abs(frames - before) <= np.abs(after - frames), before, after))
