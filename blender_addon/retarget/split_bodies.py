"""Tell several people in one armature apart, so that no map mixes their limbs. numpy and its own room only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .limb_candidates import ARM_KINDS, LEG_KINDS
from .match_shape import match_shape
from .match_words import match_words
from .target_rig import TargetRig

_FEWEST_BONES = 12
# bodies whose hips are nearer than this part of their size are one body twice: deform bones beside controls
_APART = 0.1


def split_bodies(rig: TargetRig) -> tuple[tuple[int, ...], ...]:
    """The bones (indices, parents first) of each whole body where an armature holds more than one; else empty."""
    children = rig.children()
    nodes = [bone for bone in range(len(rig)) if rig.parents[bone] < 0]
    while nodes:
        large = [bones for node in nodes if len(bones := subtree(children, node)) >= _FEWEST_BONES]
        if len(large) >= 2:
            return _bodies_apart(rig, [bones for bones in large if _is_whole(rig, bones)])
        nodes = list(children[large[0][0]]) if large else []
    return ()


def subtree(children: tuple[tuple[int, ...], ...], bone: int) -> tuple[int, ...]:
    """A bone and everything below it, in the rig's order."""
    found, waiting = [], [bone]
    while waiting:
        found.append(waiting.pop())
        waiting.extend(children[found[-1]])
    return tuple(sorted(found))


def only_bones(rig: TargetRig, bones: tuple[int, ...]) -> TargetRig:
    """The rig with these bones alone; a bone whose parent is left out becomes a root."""
    kept = np.array(bones, dtype=np.intp)
    place = {int(bone): row for row, bone in enumerate(kept)}
    names = tuple(rig.bone_names[bone] for bone in bones)
    return replace(
        rig,
        bone_names=names,
        parents=np.array([place.get(int(rig.parents[bone]), -1) for bone in bones], dtype=np.intp),
        rest_matrices=rig.rest_matrices[kept],
        lengths=rig.lengths[kept],
        rotation_modes=tuple(rig.rotation_modes[bone] for bone in bones),
        inherit_rotation=rig.inherit_rotation[kept],
        local_location=rig.local_location[kept],
        basis=rig.basis[kept],
        constrained=rig.constrained[kept],
        deform=rig.deform[kept],
    )


def _is_whole(rig: TargetRig, bones: tuple[int, ...]) -> bool:
    return len(_limbs(rig, bones)) == 8


def _limbs(rig: TargetRig, bones: tuple[int, ...]) -> Mapping[str, int]:
    """Hips, knees, shoulders and elbows found among some bones alone, by name or shape, as indices of the whole rig."""
    part = only_bones(rig, bones)
    found = {**match_shape(part).joints, **match_words(part).joints}
    wanted = [f"{side}_{kind}" for side in ("left", "right") for kind in (*LEG_KINDS[:2], *ARM_KINDS[1:3])]
    return {joint: bones[found[joint][0]] for joint in wanted if found.get(joint)}


def _bodies_apart(rig: TargetRig, bodies: list[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    heads = rig.heads()
    kept: list[tuple[int, ...]] = []
    for bones in bodies:
        size = float(np.ptp(heads[list(bones)], axis=0).max())
        others = [np.linalg.norm(_hips(rig, bones) - _hips(rig, other)) for other in kept]
        if all(distance > _APART * size for distance in others):
            kept.append(bones)
    return tuple(kept) if len(kept) > 1 else ()


def _hips(rig: TargetRig, bones: tuple[int, ...]) -> np.ndarray:
    limbs = _limbs(rig, bones)
    return np.asarray(rig.heads()[[limbs["left_hip"], limbs["right_hip"]]].mean(axis=0))
