"""Reads MakeHuman assets (clothes, shoes, hair, eyebrows, skins) and fits them to a body.

May import numpy, cv2, `body_model` and `meshes`. A fit file (.mhclo) ties every vertex of an asset to three vertices of
the base mesh by barycentric weights plus an offset scaled by the size of the body there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInputError
from backend.synthesis.body_model import WEIGHTS_PER_VERTEX, BodyModel, RestBody
from backend.synthesis.meshes import SkinnedMesh, SplitMesh, skinned, split_corners, vertex_normals
from backend.types import Float32Array

log = logging.getLogger(__name__)

Indices = NDArray[np.int32]

_TEXTURE_SIZE = 512


@dataclass(frozen=True, slots=True)
class FittedAsset:
    """An asset before it meets a body: M vertices.

    references (M, 3) base-mesh vertices, barycentric (M, 3), offsets (M, 3) in the asset's scale; size_references:
    for X, Y, Z of our frame the two base vertices and the reference distance (3 of (a, b, distance));
    hides (V,) base vertices under the asset; faces (F, 3); bones, weights (M, 4).
    """

    name: str
    tags: frozenset[str]
    references: Indices
    barycentric: Float32Array
    offsets: Float32Array
    size_references: tuple[tuple[int, int, float], ...]
    hides: NDArray[np.bool_]
    faces: Indices
    split: SplitMesh
    bones: Indices
    weights: Float32Array
    texture: Path | None


@dataclass(frozen=True, slots=True)
class AssetLibrary:
    """What a folder of MakeHuman assets offers; every list may be empty."""

    clothes: tuple[FittedAsset, ...] = ()
    shoes: tuple[FittedAsset, ...] = ()
    hats: tuple[FittedAsset, ...] = ()
    hair: tuple[FittedAsset, ...] = ()
    eyebrows: tuple[FittedAsset, ...] = ()
    skins: tuple[Path, ...] = ()


def read_assets(root: Path | None, model: BodyModel) -> AssetLibrary:
    """Read a folder with `clothes`, `hair`, `eyebrows` and `skins`; None gives an empty library.

    Raises BadInputError when the folder is missing or holds no asset.
    """
    if root is None:
        return AssetLibrary()
    if not root.is_dir():
        raise BadInputError(f"There is no asset folder {root}", "Give --assets a folder of MakeHuman assets")
    clothes = [asset for asset in _assets_below(root / "clothes", model) if "fedora_cocked" not in asset.name]
    library = AssetLibrary(
        clothes=tuple(a for a in clothes if not a.tags & {"shoes", "hats"}),
        shoes=tuple(a for a in clothes if "shoes" in a.tags),
        hats=tuple(a for a in clothes if "hats" in a.tags),
        hair=tuple(_assets_below(root / "hair", model)),
        eyebrows=tuple(_assets_below(root / "eyebrows", model)),
        skins=tuple(sorted(path for path in (root / "skins").glob("*/*diffuse*") if path.suffix in (".jpg", ".png"))),
    )
    if not (clothes or library.hair or library.skins):
        raise BadInputError(f"{root} holds no MakeHuman asset", "It should hold clothes/, hair/, eyebrows/ and skins/")
    return library


def fit_asset(asset: FittedAsset, rest: RestBody) -> SkinnedMesh:
    """The asset on a body in the rest pose."""
    base = rest.vertices_m
    scale = np.array(
        [abs(float(base[a, axis] - base[b, axis])) / ref for axis, (a, b, ref) in enumerate(asset.size_references)],
        dtype=np.float32,
    )
    position = np.einsum("mk,mkc->mc", asset.barycentric, base[asset.references]) + asset.offsets * scale
    return skinned(asset.split, position, vertex_normals(position, asset.faces), asset.bones, asset.weights)


@lru_cache(maxsize=128)
def read_texture(path: Path) -> NDArray[np.uint8]:
    """A texture as RGBA (H, W, 4), at most 512 px wide, first row at v = 0. Raises BadInputError."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3:
        raise BadInputError(f"{path} is not a readable colour texture")
    if image.shape[1] > _TEXTURE_SIZE:
        image = cv2.resize(image, (_TEXTURE_SIZE, _TEXTURE_SIZE), interpolation=cv2.INTER_AREA)
    rgba = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGBA)
    return np.ascontiguousarray(rgba[::-1]).astype(np.uint8)


def read_obj(path: Path) -> tuple[Indices, Float32Array, Indices]:
    """Triangles (F, 3), texture coordinates (U, 2) and their indices (F, 3) of a Wavefront mesh."""
    uv: list[tuple[float, float]] = []
    faces: list[tuple[int, int, int]] = []
    face_uv: list[tuple[int, int, int]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "vt":
            uv.append((float(words[1]), float(words[2])))
        elif words[0] == "f":
            corners = [tuple(int(number) - 1 for number in word.split("/")[:2]) for word in words[1:]]
            for second in range(1, len(corners) - 1):
                triangle = (corners[0], corners[second], corners[second + 1])
                faces.append(tuple(corner[0] for corner in triangle))  # type: ignore[arg-type]
                face_uv.append(tuple(corner[1] for corner in triangle))  # type: ignore[arg-type]
    return np.array(faces, dtype=np.int32), np.array(uv, dtype=np.float32), np.array(face_uv, dtype=np.int32)


def _assets_below(folder: Path, model: BodyModel) -> Iterator[FittedAsset]:
    for path in sorted(folder.rglob("*.mhclo")):
        try:
            yield _read_asset(path, model)
        except (ValueError, IndexError, KeyError, OSError) as fault:
            raise BadInputError(f"{path} is not a readable MakeHuman fit file ({fault})") from fault


def _read_asset(path: Path, model: BodyModel) -> FittedAsset:
    fields: dict[str, list[str]] = {}
    tags: set[str] = set()
    rows: list[list[float]] = []
    hidden: list[str] = []
    section = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0][0].isalpha():
            section = words[0] if words[0] in ("verts", "delete_verts") else section  # other keys may follow `verts`
            tags.update(word.lower() for word in words[1:] if words[0] == "tag")
            fields.setdefault(words[0], words[1:])
        elif section == "verts":
            rows.append([float(word) for word in words])
        elif section == "delete_verts":
            hidden.extend(words)
    if not rows:
        raise ValueError("it ties no vertex to the body")
    references, barycentric, offsets = _fit_rows(rows)
    faces, uv, face_uv = read_obj(path.parent / fields["obj_file"][0])
    bones, weights = _mixed_weights(model, references, barycentric)
    return FittedAsset(
        name=path.stem,
        tags=frozenset(tags),
        references=references,
        barycentric=barycentric,
        offsets=offsets,
        # in X, Y, Z of our frame: the asset's Z is our -Y, its Y our Z
        size_references=tuple(
            (int(fields[key][0]), int(fields[key][1]), float(fields[key][2]))
            for key in ("x_scale", "z_scale", "y_scale")
        ),
        hides=_index_mask(hidden, len(model.template_m)),
        faces=faces,
        split=split_corners(faces, uv, face_uv),
        bones=bones,
        weights=weights,
        texture=_diffuse_texture(path.parent / fields["material"][0]),
    )


def _fit_rows(rows: list[list[float]]) -> tuple[Indices, Float32Array, Float32Array]:
    references = np.zeros((len(rows), 3), dtype=np.int32)
    barycentric = np.zeros((len(rows), 3), dtype=np.float32)
    offsets = np.zeros((len(rows), 3), dtype=np.float32)
    for index, row in enumerate(rows):
        if len(row) == 1:  # tied to one vertex
            references[index], barycentric[index] = int(row[0]), (1.0, 0.0, 0.0)
            continue
        references[index], barycentric[index] = [int(v) for v in row[:3]], row[3:6]
        x, y_up, z_forward = row[6:9]
        offsets[index] = (x, -z_forward, y_up)
    return references, barycentric, offsets


def _mixed_weights(model: BodyModel, references: Indices, barycentric: Float32Array) -> tuple[Indices, Float32Array]:
    share = np.clip(barycentric, 0.0, 1.0)
    share = share / share.sum(axis=1, keepdims=True)
    rows = len(references)
    dense = np.zeros((rows, len(model.bone_names)), dtype=np.float32)
    row = np.repeat(np.arange(rows), 3 * WEIGHTS_PER_VERTEX)
    mixed = (share[:, :, None] * model.weights[references]).ravel()
    np.add.at(dense, (row, model.weight_bones[references].ravel()), mixed)
    bones = np.argsort(-dense, axis=1, kind="stable")[:, :WEIGHTS_PER_VERTEX]
    weights = np.take_along_axis(dense, bones, axis=1)
    return bones.astype(np.int32), (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _index_mask(words: list[str], size: int) -> NDArray[np.bool_]:
    """Read `12 - 20 25 31 - 40`: ranges include both ends."""
    mask = np.zeros(size, dtype=bool)
    position = 0
    while position < len(words):
        first = last = int(words[position])
        if words[position + 1 : position + 2] == ["-"]:
            last = int(words[position + 2])
            position += 2
        mask[first : last + 1] = True
        position += 1
    return mask


def _diffuse_texture(material: Path) -> Path | None:
    """The texture that a material names; opaque ones may have been stored anew as JPEG beside it."""
    if not material.is_file():
        return None
    for line in material.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if words and words[0] == "diffuseTexture":
            named = material.parent / words[1]
            found = [path for path in (named, named.with_suffix(".jpg"), named.with_suffix(".png")) if path.is_file()]
            return found[0] if found else None
    return None
