"""How faces and hands move, in values that do not depend on the view: to find the clock of a close-up. numpy, scipy.

Of a face: blinks, the jaw, the mouth's shape, the brows. Of a hand: how its fingers bend, and how fast its palm turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from backend.face import FaceEvidence
from backend.hands import longest_gap_s
from backend.multiview.synchronise import ClockMatch, MotionSignal, clock_matches
from backend.multiview.types import Offset
from backend.solving.detail_pass import DetailEvidence
from backend.types import Array
from blender_addon.motion.face import FACE_WEIGHT_NAMES
from blender_addon.motion.rotations import (
    quaternion_between,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_to_rotvec,
)

_GRID_S = 1.0 / 60.0
_SMOOTH_S = 0.05
_TURNING = 2.0  # what the speed of turning counts against any other value: small faces and hands still show it
_FEWEST = 15  # frames in which a part is seen
_LEAST_CORRELATION, _BY_CHANCE_S = 0.35, 0.5
_LEAST_LEAD = 1.15
_LEAST_OVERLAP_S = 2.0  # or half of the shorter video: over less, chance does as much
_AT_KNOWN_CLOCK = 0.2
_NEAR_S = 0.15
_OTHER_SIDE = {"left": "right", "right": "left"}
_FACE_PARTS = (("eyeBlink",), ("jawOpen",), ("mouthSmile", "mouthStretch"), ("mouthPucker", "mouthFunnel"), ("brow",))


@dataclass(frozen=True, slots=True)
class DetailMotion:
    """Motion of the face, the left and the right hand that are seen, by part.

    `sides`: what of the face goes to the left or the right, which a mirror turns about; None where no face is seen.
    """

    parts: dict[str, MotionSignal]
    sides: MotionSignal | None = None

    def moved(self, offset: Offset) -> DetailMotion:
        """The same on the clock of the take."""
        return DetailMotion(
            {name: _moved(one, offset) for name, one in self.parts.items()},
            None if self.sides is None else _moved(self.sides, offset),
        )

    def in_mirror(self) -> DetailMotion:
        """How the mirror image moves."""
        parts = {_OTHER_SIDE.get(name, name): one for name, one in self.parts.items()}
        sides = self.sides
        return DetailMotion(parts, sides and MotionSignal(sides.start_s, sides.step_s, -sides.velocity))


def _moved(signal: MotionSignal, offset: Offset) -> MotionSignal:
    return MotionSignal(float(offset.take_time_s(np.array(signal.start_s))), signal.step_s, signal.velocity)


def detail_motion(times_s: Array, found: DetailEvidence, raw_weights: Array | None = None) -> DetailMotion:
    """The motion of what is seen at N frames, `times_s` (N,). `raw_weights` (N, 52) of the face serve better than
    calibrated ones, in which small motion is dead.
    """
    parts: dict[str, MotionSignal | None] = {}
    sides: MotionSignal | None = None
    if found.face is not None:
        face = found.face
        weights = face.weights if raw_weights is None else raw_weights
        parts["face"] = _signal(times_s, (_face_values(weights), face.turn_wxyz), face.confidence)
        sides = _sides(times_s, weights, face)
    if found.hands is not None:
        for side, name in enumerate(("left", "right")):
            angles = found.hands.angles[:, side]
            bends = angles[:, [1, 4, 7, 10, 12]] + angles[:, [2, 5, 8, 11, 14]]
            turns = found.hands.wrist_wxyz[:, side]
            parts[name] = _signal(times_s, (bends, turns), found.hands.confidence[:, side])
    return DetailMotion({name: one for name, one in parts.items() if one is not None}, sides)


def _face_values(weights: Array) -> Array:
    columns = [[place for place, name in enumerate(FACE_WEIGHT_NAMES) if name.startswith(part)] for part in _FACE_PARTS]
    return np.stack([weights[:, places].mean(axis=1) for places in columns], axis=1)


def _sides(times_s: Array, weights: Array, face: FaceEvidence) -> MotionSignal | None:
    """What of a face goes to the person's left, and in a mirror to the right, from weights (N, 52): gaze, mouth and
    jaw, smile, and the head's yaw and roll.

    What goes along with nods, blinks and an open mouth is left out: from one side of the person these seem to go to
    the left, and from the other side to the right.
    """

    def of(name: str) -> Array:
        return np.asarray(weights[:, FACE_WEIGHT_NAMES.index(name)])

    gaze = of("eyeLookOutLeft") + of("eyeLookInRight") - of("eyeLookInLeft") - of("eyeLookOutRight")
    mouth = of("mouthLeft") - of("mouthRight") + of("jawLeft") - of("jawRight")
    smile = of("mouthSmileLeft") - of("mouthSmileRight")
    turned = _turned_rad(face.turn_wxyz)
    own = np.column_stack([gaze, mouth, smile, turned[:, 2], turned[:, 1]])
    both_sides = np.column_stack([_face_values(weights)[:, :2], turned[:, 0]])
    whole = _signal(times_s, (np.column_stack([own, both_sides]), None), face.confidence)
    if whole is None:
        return None
    own, common = np.split(whole.velocity, [own.shape[1]], axis=1)
    return MotionSignal(whole.start_s, whole.step_s, own - common @ np.linalg.lstsq(common, own, rcond=1e-6)[0])


def _turned_rad(wxyz: Array) -> Array:
    """How far rotations (N, 4) turned so far about their own axes (N, 3), NaN where they are unknown.

    About its own axes a head turns alike for all cameras; in the axes of an image, a nod that is seen from the side
    also rolls.
    """
    turned, known = np.full((len(wxyz), 3), np.nan), np.isfinite(wxyz).all(axis=1)
    if known.any():
        steps = quaternion_multiply(quaternion_conjugate(wxyz[known][:-1]), wxyz[known][1:])
        turned[known] = np.concatenate([np.zeros((1, 3)), np.cumsum(quaternion_to_rotvec(steps), axis=0)])
    return turned


def _signal(times_s: Array, found: tuple[Array, Array | None], confidence: Array) -> MotionSignal | None:
    """Velocities of values (N, F) and how fast rotations (N, 4) turn, if any, on an even grid, 0 where nothing is seen;
    None where hardly anything is.
    """
    values, turns = found
    seen = np.isfinite(values).all(axis=1) & (confidence > 0)
    seen &= True if turns is None else np.isfinite(turns).all(axis=1)
    if seen.sum() < _FEWEST:
        return None
    own_s = np.asarray(times_s, np.float64)[seen]
    grid = np.arange(np.ceil(own_s[0] / _GRID_S), np.floor(own_s[-1] / _GRID_S) + 1) * _GRID_S
    if len(grid) < _FEWEST:
        return None
    even = np.stack([np.interp(grid, own_s, column) for column in values[seen].T], axis=1)
    velocity = gaussian_filter1d(even, _SMOOTH_S / _GRID_S, axis=0, order=1, mode="nearest")
    if turns is not None:
        velocity = np.concatenate([velocity, _turning(own_s, turns[seen], grid)], axis=1)
    trust = np.interp(grid, own_s, confidence[seen]) * _near_a_frame(own_s, grid, longest_gap_s(times_s))
    spread = np.sqrt((np.square(velocity) * trust[:, None]).sum(axis=0) / max(float(trust.sum()), 1e-9))
    limit = 4.0 * np.maximum(spread, 1e-6)
    velocity = np.clip(velocity, -limit, limit) / np.maximum(spread, 1e-4)
    velocity[:, -1] *= 1.0 if turns is None else _TURNING
    return MotionSignal(float(grid[0]), _GRID_S, velocity * trust[:, None])


def _turning(own_s: Array, wxyz: Array, grid: Array) -> Array:
    """How much faster or slower than usual rotations (N, 4) turn (G, 1)."""
    before, after = np.maximum(np.searchsorted(own_s, grid + 1e-9) - 1, 0), np.searchsorted(own_s, grid)
    after = np.clip(np.maximum(after, before + 1), 0, len(own_s) - 1)
    span_s = np.maximum(own_s[after] - own_s[before], 1e-3)
    speed = gaussian_filter1d(quaternion_between(wxyz[before], wxyz[after]) / span_s, _SMOOTH_S / _GRID_S)
    return np.asarray(np.minimum(speed, 4.0 * np.median(speed) + 1e-6) - speed.mean())[:, None]


def _near_a_frame(own_s: Array, grid: Array, longest_s: float) -> NDArray[np.bool_]:
    after = np.clip(np.searchsorted(own_s, grid), 1, max(1, len(own_s) - 1))
    return np.asarray(own_s[after] - own_s[after - 1] <= longest_s)


def best_match(views: Sequence[DetailMotion], close_up: DetailMotion, known: Offset | None) -> ClockMatch | None:
    """How a person, seen in several views on the take's clock, moves like the close-up: the best shift, or the one near
    the known clock; None where nothing of the person is seen that the close-up shows.
    """
    best: ClockMatch | None = None
    for view in views:
        pair = _common(view, close_up)
        if pair is None:
            continue
        long = min(_LEAST_OVERLAP_S, 0.5 * min(one.end_s - one.start_s for one in pair))
        matches = [match for match in clock_matches(*pair) if match.overlap_s >= long]
        if known is not None:
            matches = [match for match in matches if abs(match.start_s - known.start_s) < _NEAR_S]
        elif len(matches) > 1 and matches[0].strength < _LEAST_LEAD * matches[1].strength:
            continue
        if matches and (best is None or matches[0].strength > best.strength):
            best = matches[0]
    return best


def _common(first: DetailMotion, second: DetailMotion) -> tuple[MotionSignal, MotionSignal] | None:
    """What both show, as one signal each."""
    names = sorted(set(first.parts) & set(second.parts))
    if not names:
        return None
    return _joined([first.parts[name] for name in names]), _joined([second.parts[name] for name in names])


def _joined(parts: Sequence[MotionSignal]) -> MotionSignal:
    start_s = min(part.start_s for part in parts)
    begins = [round((part.start_s - start_s) / _GRID_S) for part in parts]
    length = max(begin + len(part.velocity) for begin, part in zip(begins, parts, strict=True))
    columns = []
    for begin, part in zip(begins, parts, strict=True):
        whole = np.zeros((length, part.velocity.shape[1]))
        whole[begin : begin + len(part.velocity)] = part.velocity
        columns.append(whole)
    return MotionSignal(start_s, _GRID_S, np.concatenate(columns, axis=1))


def is_convincing(match: ClockMatch, clock_is_known: bool) -> bool:
    """Whether motion that matches like this is the same person's."""
    if clock_is_known:
        return match.correlation > _AT_KNOWN_CLOCK
    return match.correlation > _LEAST_CORRELATION + _BY_CHANCE_S / max(match.overlap_s, 1e-6)
