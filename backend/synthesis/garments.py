"""Garments cut from the skin itself: shirts, shorts, trousers, leggings, caps of hair, for bodies without assets.

May import numpy, scipy, `body_model` and `meshes`. A garment is a region of the skin, pushed out along its normals,
smoothed, and kept outside the skin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from backend.synthesis.body_model import BODY_VERTICES, BodyModel, Phenotype, RestBody, body_model, rest_body
from backend.synthesis.meshes import SkinnedMesh, SplitMesh, skinned, split_corners, vertex_normals
from backend.types import Array

_SMOOTHINGS = 5
_CLEARANCE_M = 0.004


@dataclass(frozen=True, slots=True)
class Cut:
    """How far a garment reaches: sleeve and leg in limb segments (0 joint of the trunk, 1 elbow or knee, 2 end).

    `top` and `bottom` bound the trunk by height: 0 crotch, 1 hip joints, 2 neck. A negative sleeve or leg has none.
    """

    sleeve: float
    leg: float
    bottom: float
    top: float
    thickness_m: float
    flare_m: float = 0.0


@dataclass(frozen=True, slots=True)
class BodyRegions:
    """For every skin vertex: arm and leg coordinate (NaN elsewhere), trunk height (NaN elsewhere), scalp mask."""

    arm: Array
    leg: Array
    trunk: Array
    scalp: NDArray[np.bool_]
    smoothing: sparse.csr_matrix
    split: SplitMesh
    faces: NDArray[np.int32]


@lru_cache(maxsize=1)
def body_regions() -> BodyRegions:
    """Regions of the base mesh; they hold for every body since its vertices keep their meaning."""
    model = body_model()
    rest = rest_body(model, Phenotype())
    skin = rest.vertices_m[:BODY_VERTICES].astype(np.float64)
    owner = np.array(model.bone_names)[model.weight_bones[:BODY_VERTICES, 0]]
    in_skin = (model.faces < BODY_VERTICES).all(axis=1)
    faces = model.faces[in_skin]
    arm, leg = np.full(BODY_VERTICES, np.nan), np.full(BODY_VERTICES, np.nan)
    for side in "LR":
        owns_arm = np.array([name.startswith(("upperarm", "lowerarm")) and name.endswith(side) for name in owner])
        owns_leg = np.array([name.startswith(("upperleg", "lowerleg")) and name.endswith(side) for name in owner])
        arm[owns_arm] = _along(skin[owns_arm], _heads(model, rest, ("upperarm01", "lowerarm01", "wrist"), side))
        leg[owns_leg] = _along(skin[owns_leg], _heads(model, rest, ("upperleg01", "lowerleg01", "foot"), side))
    trunk_bones = ("root", "pelvis", "spine", "clavicle", "shoulder", "neck01")
    on_trunk = np.array([name.startswith(trunk_bones) for name in owner])
    hip, neck = rest.bone_heads_m[model.bone("upperleg01.L"), 2], rest.bone_heads_m[model.bone("neck01"), 2]
    crotch = skin[(np.abs(skin[:, 0]) < 0.01) & np.isnan(arm) & (skin[:, 2] < hip), 2].min()
    trunk = np.where(on_trunk, np.interp(skin[:, 2], [crotch, hip, neck], [0.0, 1.0, 2.0]), np.nan)
    head = rest.bone_heads_m[model.bone("head")]
    on_head = np.array([name == "head" for name in owner])
    height, depth = skin[:, 2] - head[2], skin[:, 1] - head[1]
    scalp = on_head & ((height > 0.105 - 0.5 * depth) | ((depth > 0.03) & (height > -0.01)))
    return BodyRegions(
        arm, leg, trunk, scalp, _smoothing(faces), split_corners(faces, model.uv, model.face_uv[in_skin]), faces
    )


def cut_garment(model: BodyModel, rest: RestBody, cut: Cut) -> SkinnedMesh:
    """Cut a garment for a body in the rest pose."""
    regions = body_regions()
    with np.errstate(invalid="ignore"):
        inside = (regions.trunk >= cut.bottom) & (regions.trunk <= cut.top)
        inside |= regions.arm <= cut.sleeve
        inside |= regions.leg <= cut.leg
        limb = np.nan_to_num(np.where(regions.arm <= cut.sleeve, regions.arm / max(cut.sleeve, 0.1), 0.0))
        limb = np.maximum(limb, np.nan_to_num(np.where(regions.leg <= cut.leg, regions.leg / max(cut.leg, 0.1), 0.0)))
    return _shell(model, rest, inside, cut.thickness_m + cut.flare_m * limb**2)


def cut_hair(model: BodyModel, rest: RestBody, thickness_m: float) -> SkinnedMesh:
    """A close cap of hair on the scalp."""
    scalp = body_regions().scalp
    return _shell(model, rest, scalp, np.full(len(scalp), thickness_m))


def _shell(model: BodyModel, rest: RestBody, inside: NDArray[np.bool_], thickness_m: Array) -> SkinnedMesh:
    regions = body_regions()
    skin = rest.vertices_m[:BODY_VERTICES].astype(np.float64)
    normal = vertex_normals(rest.vertices_m[:BODY_VERTICES], regions.faces)
    shell = skin + normal * thickness_m[:, None]
    for _ in range(_SMOOTHINGS):
        shell = regions.smoothing @ shell
        # smoothing shrinks convex parts: push back out to the clearance
        lift = np.maximum(_CLEARANCE_M - np.einsum("ij,ij->i", shell - skin, normal), 0.0)
        shell = shell + normal * lift[:, None]
    shell = shell.astype(np.float32)
    kept = inside[regions.split.vertex[regions.split.triangles]].all(axis=1)
    split = SplitMesh(regions.split.vertex, regions.split.uv, regions.split.triangles[kept])
    bones, weights = model.weight_bones[:BODY_VERTICES], model.weights[:BODY_VERTICES]
    return skinned(split, shell, vertex_normals(shell, regions.faces), bones, weights)


def _heads(model: BodyModel, rest: RestBody, names: tuple[str, ...], side: str) -> Array:
    return np.stack([rest.bone_heads_m[model.bone(f"{name}.{side}")] for name in names]).astype(np.float64)


def _along(points: Array, chain: Array) -> Array:
    """Coordinate (N,) along a two-segment chain (3, 3): 0 at its start, 1 at the middle joint, 2 at its end."""
    first, second = chain[1] - chain[0], chain[2] - chain[1]
    a = (points - chain[0]) @ first / (first @ first)
    b = (points - chain[1]) @ second / (second @ second)
    return np.where(a < 1.0, a, 1.0 + np.maximum(b, 0.0))


def _smoothing(faces: NDArray[np.int32]) -> sparse.csr_matrix:
    row = np.concatenate([faces[:, a] for a in (0, 1, 2, 1, 2, 0)])
    column = np.concatenate([faces[:, b] for b in (1, 2, 0, 0, 1, 2)])
    neighbours = sparse.coo_matrix((np.ones(len(row)), (row, column)), shape=(BODY_VERTICES, BODY_VERTICES)).tocsr()
    neighbours.data[:] = 1.0
    degree = np.maximum(np.asarray(neighbours.sum(axis=1)).ravel(), 1.0)
    return sparse.csr_matrix(0.5 * sparse.identity(BODY_VERTICES) + 0.5 * sparse.diags(1.0 / degree) @ neighbours)
