"""Where an object has to be put for it to stand at a place in the world. bpy objects and mathutils in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from mathutils import Matrix, Quaternion
from numpy.typing import NDArray

Array = NDArray[np.floating]


def local_place(thing: Any, location_m: Array, rotation_wxyz: Array) -> tuple[Array, Array]:
    """`location` (T, 3) and rotation (T, 4) of an object that stands at `location_m` (T, 3), turned by `rotation_wxyz`
    (T, 4), in the world: below its parent as that stands now, object or bone, and without its delta location.

    The dependency graph has to be up to date.
    """
    above = thing.matrix_world @ thing.matrix_basis.inverted_safe()
    delta = np.array(thing.delta_location)
    if np.allclose(np.array(above), np.eye(4), atol=1e-6):
        return location_m - delta, rotation_wxyz
    back = above.inverted_safe()
    pairs = zip(location_m, rotation_wxyz, strict=True)
    local = [back @ (Matrix.Translation(place) @ Quaternion(turn).to_matrix().to_4x4()) for place, turn in pairs]
    return (
        np.array([matrix.translation for matrix in local]) - delta,
        np.array([matrix.to_quaternion() for matrix in local]),
    )
