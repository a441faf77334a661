"""A target rig of plain bones, from arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blender_addon.retarget.target_rig import TargetRig

Array = NDArray[np.floating]


def simple_rig(
    name: str,
    bone_names: tuple[str, ...],
    parents: NDArray[np.intp],
    rest_matrices: Array,
    lengths: Array,
    object_matrix: Array | None = None,
) -> TargetRig:
    """A rig of plain bones: quaternion rotations, everything inherited, nothing constrained, posed at rest."""
    count = len(bone_names)
    return TargetRig(
        name=name,
        bone_names=bone_names,
        parents=np.asarray(parents, dtype=np.intp),
        rest_matrices=np.asarray(rest_matrices, dtype=np.float64),
        lengths=np.asarray(lengths, dtype=np.float64),
        rotation_modes=("QUATERNION",) * count,
        object_matrix=np.eye(4) if object_matrix is None else np.asarray(object_matrix, dtype=np.float64),
        inherit_rotation=np.ones(count, dtype=bool),
        local_location=np.ones(count, dtype=bool),
        basis=np.broadcast_to(np.eye(4), (count, 4, 4)),
        constrained=np.zeros(count, dtype=bool),
        deform=np.ones(count, dtype=bool),
    )
