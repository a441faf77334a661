"""Triangle meshes ready to draw: corners split at texture seams, smooth normals, skin weights. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.types import Float32Array

Indices = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SplitMesh:
    """A mesh whose corners differ in texture coordinates: N corners, F triangles.

    vertex (N,) of each corner, uv (N, 2) with v up, triangles (F, 3) of corners.
    """

    vertex: Indices
    uv: Float32Array
    triangles: Indices


@dataclass(frozen=True, slots=True)
class SkinnedMesh:
    """What the renderer draws: N corners in the rest pose.

    position_m (N, 3), normal (N, 3), uv (N, 2), bones (N, 4), weights (N, 4), triangles (F, 3).
    """

    position_m: Float32Array
    normal: Float32Array
    uv: Float32Array
    bones: Indices
    weights: Float32Array
    triangles: Indices


def split_corners(faces: Indices, uv: Float32Array, face_uv: Indices) -> SplitMesh:
    """Give every (vertex, texture coordinate) pair of the faces (F, 3) a corner of its own."""
    pairs = np.stack([faces.ravel(), face_uv.ravel()], axis=1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    return SplitMesh(
        unique[:, 0].astype(np.int32), uv[unique[:, 1]].astype(np.float32), inverse.reshape(-1, 3).astype(np.int32)
    )


def vertex_normals(position_m: Float32Array, faces: Indices) -> Float32Array:
    """Unit normals (V, 3), each the area-weighted mean of its faces' normals."""
    a, b, c = (position_m[faces[:, corner]] for corner in range(3))
    face_normal = np.cross(b - a, c - a)
    normal = np.stack(
        [
            sum(np.bincount(faces[:, corner], face_normal[:, axis], len(position_m)) for corner in range(3))
            for axis in range(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return (normal / np.maximum(length, 1e-12)).astype(np.float32)


def skinned(
    split: SplitMesh, position_m: Float32Array, normal: Float32Array, bones: Indices, weights: Float32Array
) -> SkinnedMesh:
    """Spread per-vertex arrays over the corners of a split mesh."""
    vertex = split.vertex
    return SkinnedMesh(position_m[vertex], normal[vertex], split.uv, bones[vertex], weights[vertex], split.triangles)


def without_faces(split: SplitMesh, hidden: NDArray[np.bool_]) -> SplitMesh:
    """Drop the triangles of which every vertex is hidden (V,)."""
    kept = ~hidden[split.vertex[split.triangles]].all(axis=1)
    return SplitMesh(split.vertex, split.uv, split.triangles[kept])
