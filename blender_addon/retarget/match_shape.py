"""Find limbs by hierarchy and rest geometry alone: works on bones called bone.001. numpy and its own room only.

Legs are the two branches that reach the ground from a common bone, arms the two branches that reach furthest to the
sides from a bone above it, the head is the highest branch between them. Joints along a branch are chosen so that
the limb's proportions fit the human body's; hands and feet are known by their fingers and toes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .bone_names import read_name
from .limb_candidates import Limbs
from .rest_world import RestWorld, rest_world
from .target_rig import TargetRig

Array = NDArray[np.floating]

# the canonical body's proportions: upper to lower limb, and how far out the limb's root lies in limb lengths
_THIGH_TO_SHIN, _ARM_TO_FOREARM = 1.0, 1.1
_ANKLE_HEIGHT_OF_LEG, _LEG_OF_HEIGHT, _ARM_OF_HEIGHT = 0.09, 0.49, 0.30
_HEAD_OF_HIPS = 1.716
_LONGEST_PATH = 9
# what stands out by less than this part of the height tells nothing about where a body looks
_TOLD = 0.004


@dataclass(frozen=True, slots=True)
class _Shape:
    """A rig's geometry at rest: heads and tails (N, 3) in m, children, height span, the armature's own axes (3, 3)."""

    rig: TargetRig
    heads: Array
    tails: Array
    children: tuple[tuple[int, ...], ...]
    low: float
    height: float
    turn: Array

    def points_below(self, bone: int) -> Array:
        """Heads of a bone and everything below it, with the tails of its ends, (M, 3)."""
        bones, waiting = [], [bone]
        while waiting:
            bones.append(waiting.pop())
            waiting.extend(self.children[bones[-1]])
        ends = [place for place in bones if not self.children[place]]
        return np.concatenate([self.heads[bones], self.tails[ends]])

    def size(self, bone: int) -> int:
        """How many bones hang from a bone, itself included."""
        return 1 + sum(self.size(child) for child in self.children[bone])


def match_shape(rig: TargetRig) -> Limbs:
    """Limb joints and head by shape; `notes` says what speaks against a human shape."""
    shape = _measure(rest_world(rig))
    if shape.height <= 0.0:
        return Limbs({}, notes=("all bones lie in one point",))
    forks = _leg_forks(shape)
    if not forks:
        return Limbs({}, notes=("no two branches reach the ground from one bone: no legs found by shape",))
    if len(forks) > 1:
        return Limbs({}, notes=("more than two branches reach the ground: this looks like an animal on four legs",))
    legs = forks[0][1]
    left_axis = _left_axis(shape, legs)
    joints: dict[str, tuple[int, ...]] = {}
    sided = sorted(legs, key=lambda bone: float(shape.points_below(bone).mean(axis=0) @ left_axis), reverse=True)
    for side, bone in zip(("left", "right"), sided, strict=True):
        joints |= {f"{side}_{kind}": (place,) for kind, place in _leg_joints(shape, bone).items()}
    arms, head = _arms_and_head(shape, left_axis, set(_below(shape, forks[0][1])))
    for side, found in zip(("left", "right"), arms, strict=False):
        joints |= {f"{side}_{kind}": (place,) for kind, place in found.items()}
    if head is not None:
        joints["head"] = (head,)
    return Limbs(joints)


def _measure(rest: RestWorld) -> _Shape:
    height = np.concatenate([rest.heads_m[:, 2], rest.tails_m[:, 2]])
    low = float(rest.heads_m[:, 2].min())
    return _Shape(rest.rig, rest.heads_m, rest.tails_m, rest.rig.children(), low, float(height.max()) - low, rest.turn)


def _below(shape: _Shape, roots: tuple[int, ...]) -> list[int]:
    found, waiting = [], list(roots)
    while waiting:
        found.append(waiting.pop())
        waiting.extend(shape.children[found[-1]])
    return found


def _leg_forks(shape: _Shape) -> list[tuple[int, tuple[int, int]]]:
    """Bones from which exactly the branches to the ground part, lowest forks only, with their two branches."""
    reach = np.full(len(shape.rig), np.inf)
    for bone in range(len(shape.rig) - 1, -1, -1):
        ends = [shape.heads[bone, 2], shape.tails[bone, 2] if not shape.children[bone] else np.inf]
        reach[bone] = min([*ends, *(reach[child] for child in shape.children[bone])])
    forks = []
    for bone in range(len(shape.rig)):
        grounded = [
            child
            for child in shape.children[bone]
            if reach[child] < shape.low + 0.08 * shape.height and _long_enough(shape, child)
        ]
        if len(grounded) >= 2 and shape.heads[bone, 2] > shape.low + 0.2 * shape.height:
            pair = _most_alike(shape, grounded)
            forks.append((bone, pair))
    return forks


def _long_enough(shape: _Shape, bone: int) -> bool:
    points = shape.points_below(bone)
    return bool(points[:, 2].max() - points[:, 2].min() > 0.25 * shape.height and shape.size(bone) >= 3)


def _most_alike(shape: _Shape, bones: list[int]) -> tuple[int, int]:
    """The two branches that mirror each other best (skirts and tails do not)."""

    def difference(pair: tuple[int, int]) -> float:
        a, b = (shape.points_below(bone) for bone in pair)
        return abs(len(a) - len(b)) + float(np.linalg.norm(np.ptp(a, axis=0) - np.ptp(b, axis=0))) / shape.height

    return min(combinations(bones, 2), key=difference)


def _left_axis(shape: _Shape, legs: tuple[int, int]) -> Array:
    """The horizontal unit direction to the body's left: across the legs, on the side that the feet or knees tell.

    Where neither does (legs that end at the ankle, straight as a post) the names' sides decide, and where there are
    none the custom that a rig looks along its own -Y (of a Z-up file; +Z of a Y-up one), its left along +X.
    """
    first, second = (shape.points_below(bone) for bone in legs)
    across = (first.mean(axis=0) - second.mean(axis=0)) * np.array([1.0, 1.0, 0.0])
    across = across / max(float(np.linalg.norm(across)), 1e-9)
    forward = sum((_ahead(shape, points) for points in (first, second)), start=np.zeros(3))
    if np.linalg.norm(forward) > _TOLD * shape.height:
        left = np.cross([0.0, 0.0, 1.0], forward)  # left is up x forward
        return across if across @ left >= 0.0 else -across
    sides = [read_name(shape.rig.bone_names[bone]).side for bone in legs]
    if set(sides) == {"left", "right"}:
        return across if sides[0] == "left" else -across
    return across if across @ shape.turn[:, 0] >= 0.0 else -across


def _ahead(shape: _Shape, points: Array) -> Array:
    """How far a leg's foot, or else its knee, stands out before the rest of it: a horizontal vector (3,) in m."""
    top, flat = points[np.argmax(points[:, 2])], np.array([1.0, 1.0, 0.0])
    foot = points[points[:, 2] < shape.low + 0.12 * shape.height]
    ahead = (foot.mean(axis=0) - top) * flat
    if np.linalg.norm(ahead) > _TOLD * shape.height:
        return np.asarray(ahead)
    ankle = points[np.argmin(points[:, 2])]
    middle = points[(points[:, 2] > shape.low + 0.2 * shape.height) & (points[:, 2] < top[2] - 0.1 * shape.height)]
    if not len(middle):
        return np.asarray(ahead)
    share = (top[2] - middle[:, 2:]) / max(top[2] - ankle[2], 1e-9)
    return np.asarray(((middle - top - share * (ankle - top)) * flat).mean(axis=0))


def _main_path(shape: _Shape, bone: int, downwards: bool) -> list[int]:
    """A branch's spine: each time the child that goes on longest, or lowest for legs."""
    path = [bone]
    while shape.children[path[-1]] and len(path) < _LONGEST_PATH:
        children = shape.children[path[-1]]
        if downwards:
            path.append(min(children, key=lambda child: float(shape.points_below(child)[:, 2].min())))
        else:
            path.append(max(children, key=lambda child: _length_below(shape, child)))
    return path


def _length_below(shape: _Shape, bone: int) -> float:
    own = float(np.linalg.norm(shape.heads[bone] - shape.heads[int(shape.rig.parents[bone])]))
    return own + max((_length_below(shape, child) for child in shape.children[bone]), default=0.0)


def _leg_joints(shape: _Shape, bone: int) -> dict[str, int]:
    path = _main_path(shape, bone, downwards=True)
    best: tuple[float, tuple[int, ...]] = (np.inf, ())
    for picks in combinations(range(len(path)), 3):
        hip, knee, ankle = (shape.heads[path[pick]] for pick in picks)
        thigh, shin = float(np.linalg.norm(knee - hip)), float(np.linalg.norm(ankle - knee))
        if min(thigh, shin) < 0.05 * shape.height:
            continue
        ankle_height = (ankle[2] - shape.low) / (thigh + shin)
        cost = np.log(thigh / shin / _THIGH_TO_SHIN) ** 2 + (3.0 * (ankle_height - _ANKLE_HEIGHT_OF_LEG)) ** 2
        cost += (2.0 * np.log((thigh + shin) / shape.height / _LEG_OF_HEIGHT)) ** 2
        if cost < best[0]:
            best = (cost, picks)
    found = {kind: path[pick] for kind, pick in zip(("hip", "knee", "ankle"), best[1], strict=False)}
    if best[1] and best[1][2] + 1 < len(path):
        toe = path[best[1][2] + 1]
        away = shape.heads[toe] - shape.heads[found["ankle"]]
        if np.linalg.norm(away[:2]) > 0.02 * shape.height:
            found["toe"] = toe
    return found


def _arms_and_head(shape: _Shape, left_axis: Array, legs: set[int]) -> tuple[list[dict[str, int]], int | None]:
    """Joints of the left and right arm, and the head, from the bone where arms part."""
    best: tuple[float, int, int, int] | None = None
    for bone in range(len(shape.rig)):
        if bone in legs:
            continue
        children = [child for child in shape.children[bone] if child not in legs and not _carries(shape, child, legs)]
        for pair in combinations(children, 2):
            out = {child: shape.points_below(child) @ left_axis for child in pair}
            left, right = pair if out[pair[0]].max() >= out[pair[1]].max() else pair[::-1]
            middle = float(shape.heads[bone] @ left_axis)
            reach = min(float(out[left].max()) - middle, middle - float(out[right].min()))
            deep = min(shape.size(left), shape.size(right)) >= 2
            if deep and reach > 0.08 * shape.height and (best is None or reach > best[0] * 1.02):
                best = (reach, bone, left, right)
    if best is None:
        return [], None
    _, chest, left, right = best
    arms = [_arm_joints(shape, bone, left_axis) for bone in (left, right)]
    others = [child for child in shape.children[chest] if child not in (left, right) and child not in legs]
    others = [child for child in others if not _carries(shape, child, legs)]
    top = max(others, key=lambda child: float(shape.points_below(child)[:, 2].max()), default=None)
    if top is None or shape.points_below(top)[:, 2].max() < shape.heads[chest, 2]:
        return arms, None
    return arms, _head(shape, top, legs)


def _carries(shape: _Shape, bone: int, legs: set[int]) -> bool:
    return bone in legs or any(_carries(shape, child, legs) for child in shape.children[bone])


def _arm_joints(shape: _Shape, bone: int, left_axis: Array) -> dict[str, int]:
    path = _main_path(shape, bone, downwards=False)
    hand = next((place for place, name in enumerate(path) if len(shape.children[name]) >= 3 and place >= 2), None)
    best: tuple[float, tuple[int, ...]] = (np.inf, ())
    for picks in combinations(range(len(path)), 3):
        if hand is not None and picks[2] != hand:
            continue
        shoulder, elbow, wrist = (shape.heads[path[pick]] for pick in picks)
        upper, lower = float(np.linalg.norm(elbow - shoulder)), float(np.linalg.norm(wrist - elbow))
        if min(upper, lower) < 0.04 * shape.height:
            continue
        cost = np.log(upper / lower / _ARM_TO_FOREARM) ** 2
        cost += (1.5 * np.log((upper + lower) / shape.height / _ARM_OF_HEIGHT)) ** 2
        if cost < best[0]:
            best = (cost, picks)
    found = {kind: path[pick] for kind, pick in zip(("shoulder", "elbow", "wrist"), best[1], strict=False)}
    if best[1] and best[1][0] > 0:
        found["clavicle"] = path[0]
    return found


def _head(shape: _Shape, bone: int, legs: set[int]) -> int:
    """The head above the neck, from the bones on the way up.

    One or two bones leave no choice. Of more, a rig that marks the ends of its feet marks the top of the skull too;
    else the bone at a head's height over hips wins.
    """
    path = [bone]
    while len(shape.children[path[-1]]) == 1 and len(path) < _LONGEST_PATH:
        path.append(shape.children[path[-1]][0])
    if len(path) <= 2:
        return path[-1]
    if not shape.children[path[-1]] and _marks_ends(shape, legs):
        return path[-2]
    hips = float(shape.heads[list(legs), 2].max()) - shape.low
    return min(path, key=lambda place: abs((shape.heads[place, 2] - shape.low) / hips - _HEAD_OF_HIPS))


def _marks_ends(shape: _Shape, legs: set[int]) -> bool:
    """Whether the feet end in a bone beyond the toes: five bones or more from hip to tip."""
    ends = [bone for bone in legs if not shape.children[bone]]
    depths = []
    for end in ends:
        depth, bone = 1, end
        while int(shape.rig.parents[bone]) in legs:
            bone, depth = int(shape.rig.parents[bone]), depth + 1
        depths.append(depth)
    return bool(depths) and max(depths) >= 5
