"""The rig to retarget to, as plain arrays: bones, rest pose, object transform. numpy and `motion` only, free of bpy.

Frames: armature space is the frame of Blender's `Bone.matrix_local`; world is Z up. N bones, parents before children.
A bone's posed matrix follows Blender's rule (BKE_armature_where_is_pose_bone, 4.2 to 5.x):
`pose[b] = pose[parent] @ inverse(rest[parent]) @ rest[b] @ basis[b]`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class InfluenceDriver:
    """A bone's property that drives a constraint's influence: its value for no and for full influence."""

    bone: str
    prop: str
    off: float
    on: float


@dataclass(frozen=True, slots=True)
class BoneConstraint:
    """A constraint of a pose bone that can overrule its rotation.

    `kind` is Blender's type, `target` and `pole` are bones of the same armature (None: none, or another object).
    For IK, `chain` names the bones that it moves, tip first, and `use_tail` says that the tip is the bone's tail.
    `driven` marks an influence that a driver sets; `driver` is where from, when that is a property of a bone.
    """

    bone: str
    name: str
    kind: str
    influence: float = 1.0
    target: str | None = None
    pole: str | None = None
    pole_angle_rad: float = 0.0
    chain: tuple[str, ...] = ()
    use_tail: bool = True
    driven: bool = False
    driver: InfluenceDriver | None = None


@dataclass(frozen=True, slots=True)
class TargetRig:
    """A target armature's rest pose and what of its set-up matters for a retarget.

    `rest_matrices` (N, 4, 4) in armature space, `lengths` (N,) in armature units, `basis` (N, 4, 4) each bone's
    present `matrix_basis` (unmapped bones keep it), `object_matrix` (4, 4) world_from_armature.
    `inherit_rotation` (N,) and `local_location` (N,) are the bone flags of those names; `constrained` (N,) marks
    bones whose rotation is driven or held in a way that no key can switch off; `constraints` are those that a key can.
    `properties` holds the (bone, property)
    pairs that can be switched. `skin_bounds` (2, 3) is the box, in armature space, of the meshes that it deforms, in
    their rest shape (None: no mesh; the height of the sole is then guessed from the feet's bones). `connected` (N,)
    marks bones that begin at their parent's tail, whose location Blender ignores (None: none are); `mirrored` are the
    signs of the object's own scale.
    """

    name: str
    bone_names: tuple[str, ...]
    parents: NDArray[np.intp]
    rest_matrices: Array
    lengths: Array
    rotation_modes: tuple[str, ...]
    object_matrix: Array
    inherit_rotation: NDArray[np.bool_]
    local_location: NDArray[np.bool_]
    basis: Array
    constrained: NDArray[np.bool_]
    deform: NDArray[np.bool_]
    properties: frozenset[tuple[str, str]] = frozenset()
    skin_bounds: Array | None = None
    connected: NDArray[np.bool_] | None = None
    mirrored: tuple[float, float, float] = (1.0, 1.0, 1.0)
    constraints: tuple[BoneConstraint, ...] = ()

    def __len__(self) -> int:
        return len(self.bone_names)

    def index(self, bone: str) -> int:
        """Index of a bone. Raises KeyError that names bone and rig."""
        if bone not in self.bone_names:
            raise KeyError(f"the armature {self.name!r} has no bone {bone!r}")
        return self.bone_names.index(bone)

    def heads(self) -> Array:
        """Rest positions (N, 3) of the bones' heads in armature space."""
        return np.asarray(self.rest_matrices[:, :3, 3])

    def tails(self) -> Array:
        """Rest positions (N, 3) of the bones' tails in armature space (a bone points along its own Y)."""
        return np.asarray(self.heads() + self.rest_matrices[:, :3, 1] * self.lengths[:, None])

    def children(self) -> tuple[tuple[int, ...], ...]:
        """Indices of each bone's children."""
        found: list[list[int]] = [[] for _ in self.bone_names]
        for bone, parent in enumerate(self.parents):
            if parent >= 0:
                found[int(parent)].append(bone)
        return tuple(tuple(row) for row in found)


def rig_fingerprint(rig: TargetRig) -> str:
    """A key that the same skeleton has in every file: its bones' names and parents, without the rig's own name."""
    rows = sorted(
        f"{name}<{rig.bone_names[parent] if parent >= 0 else ''}"
        for name, parent in zip(rig.bone_names, rig.parents, strict=True)
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]
