"""Where the canonical body's sites lie on the MakeHuman body: on mesh vertices or at bone heads.

May import numpy and `body_model`. What BlazePose marks decides: the pupil and the two corners of an eye, the front of
the ear, the corners of the mouth, the first knuckles, the middle of the heel, the last joint of the big toe. Where the
name leaves a choice (thumb, ear, heel, foot index), the heavy network's landmarks on 400 renders decided: they lie
2 to 5 cm inside of the thumb's tip, the ear's middle, the back of the heel and the toe's tip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.synthesis.body_model import BodyModel
from blender_addon.motion.body import bare_name, canonical_body

# vertices of the MakeHuman base mesh "hm08", left side; eyes and lashes are helper geometry beside the skin
_MIDDLE_VERTICES = {"nose": (5054,), "head_top": (881,)}
_LEFT_VERTICES: dict[str, tuple[int, ...]] = {
    "eye": (14607,),
    "eye_inner": (14861, 14805),
    "eye_outer": (14841, 14810),
    "ear": (12332, 12032),
    "mouth": (10403, 10377),
    "heel": (12933, 12948),
}
_AT_BONES = {"pinky": "finger5-1", "index": "finger2-1", "thumb": "finger1-2", "foot_index": "toe1-2"}


@dataclass(frozen=True, slots=True)
class SitePlaces:
    """For every site of the canonical body: a bone (S,) whose head it is, or -1 and the vertices (S, 2) it averages."""

    names: tuple[str, ...]
    bones: NDArray[np.intp]
    vertices: NDArray[np.intp]


def site_places(model: BodyModel) -> SitePlaces:
    """Bones and vertices of the canonical body's sites, in the canonical body's order."""
    names = tuple(site.name for site in canonical_body().sites)
    bones = np.full(len(names), -1, dtype=np.intp)
    vertices = np.zeros((len(names), 2), dtype=np.intp)
    mirror = vertex_mirror(model)
    for row, name in enumerate(names):
        stem = bare_name(name)
        right = name.startswith("right_")
        if stem in _AT_BONES:
            bones[row] = model.bone(f"{_AT_BONES[stem]}.{'R' if right else 'L'}")
            continue
        places = _MIDDLE_VERTICES.get(stem) or _LEFT_VERTICES[stem]
        pair = np.array([places[0], places[-1]])
        vertices[row] = mirror[pair] if right else pair
    return SitePlaces(names, bones, vertices)


def vertex_mirror(model: BodyModel) -> NDArray[np.intp]:
    """Each vertex's left-right partner (V,): the template mesh is symmetric to the last bit."""
    template = model.template_m

    def order(points: NDArray[np.floating]) -> NDArray[np.intp]:
        keys = np.round(points * 1e6).astype(np.int64)
        return np.lexsort((keys[:, 2], keys[:, 1], keys[:, 0]))

    here, there = order(template), order(template * np.array([-1.0, 1.0, 1.0], dtype=np.float32))
    mirror = np.empty(len(template), dtype=np.intp)
    mirror[there] = here
    return mirror
