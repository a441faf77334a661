"""Chooses a person: phenotype, stature, skin, hair, clothes, shoes; gives the meshes and materials to draw.

May import numpy and its own room.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.synthesis.assets import AssetLibrary, FittedAsset, fit_asset
from backend.synthesis.body_model import BODY_VERTICES, BodyModel, Phenotype, RestBody, body_model, rest_body
from backend.synthesis.garments import Cut, cut_garment, cut_hair
from backend.synthesis.meshes import SkinnedMesh, SplitMesh, skinned, split_corners, vertex_normals, without_faces
from backend.synthesis.posing import PoseableBody, poseable_body

Color = tuple[float, float, float]

PLAIN, STRIPES, CHECKS, BLOTCHES = range(4)


@dataclass(frozen=True, slots=True)
class Material:
    """How a part looks. Colours are linear RGB; `texture` is multiplied by a tint that differs below and above
    `waist_m` (height in the rest pose); `grey` 0..1 takes the texture's own hue away first.
    """

    texture: Path | str | None
    tint_low: Color = (1.0, 1.0, 1.0)
    tint_high: Color = (1.0, 1.0, 1.0)
    waist_m: float = 0.0
    grey: float = 0.0
    pattern: int = PLAIN
    pattern_color: Color = (0.5, 0.5, 0.5)
    pattern_per_m: float = 20.0
    gloss: float = 0.05
    cut_out: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One mesh of a person and its material."""

    mesh: SkinnedMesh
    material: Material


@dataclass(frozen=True, slots=True)
class Person:
    """A dressed body: what to pose and what to draw."""

    body: PoseableBody
    height_m: float
    parts: tuple[Part, ...]


EYE_TEXTURE = "eye"


def sample_person(rng: np.random.Generator, library: AssetLibrary) -> Person:
    """Draw a person at random."""
    model = body_model()
    phenotype = sample_phenotype(rng)
    man, woman = rng.normal(1.765, 0.07), rng.normal(1.635, 0.065)
    height_m = float(np.clip(man + (woman - man) * phenotype.gender, 1.42, 2.05))
    rest = rest_body(model, phenotype, height_m)
    return dressed(rng, rest, height_m, library)


def sample_phenotype(rng: np.random.Generator) -> Phenotype:
    """An adult or an adolescent: mostly near one of the two genders, all builds."""
    near = rng.beta(0.35, 0.35)
    ancestry = rng.dirichlet((0.6, 0.6, 0.6))
    return Phenotype(
        gender=float(near),
        age=float(
            rng.choice([rng.uniform(0.5, 0.66), rng.uniform(0.66, 0.75), rng.uniform(0.75, 1.0)], p=[0.2, 0.5, 0.3])
        ),
        muscle=float(rng.beta(2.2, 2.2)),
        weight=float(rng.beta(2.0, 2.0)),
        height=float(rng.uniform(0.15, 0.85)),
        proportions=float(rng.uniform(0.1, 1.0)),
        cupsize=float(rng.beta(2.0, 2.5)),
        firmness=float(rng.uniform(0.3, 1.0)),
        african=float(ancestry[0]),
        asian=float(ancestry[1]),
        caucasian=float(ancestry[2]),
    )


def dressed(rng: np.random.Generator, rest: RestBody, height_m: float, library: AssetLibrary) -> Person:
    """Dress a body at random from the library, and from garments cut from its skin."""
    model = body_model()
    waist_m = float(rest.bone_heads_m[model.bone("spine04"), 2] + rng.uniform(-0.06, 0.04))
    female = bool(rest.phenotype.gender > 0.5)
    hides = np.zeros(len(model.template_m), dtype=bool)
    clothes: list[Part] = []
    suits = _matching(library.clothes, female)
    if suits and rng.random() < 0.62:
        suit = suits[rng.integers(len(suits))]
        hides |= suit.hides
        clothes.append(Part(fit_asset(suit, rest), _cloth_material(rng, suit.texture, waist_m)))
    else:
        clothes.extend(_cut_clothes(rng, model, rest, waist_m))
    if library.shoes and rng.random() < 0.88:
        shoe = library.shoes[rng.integers(len(library.shoes))]
        hides |= shoe.hides
        clothes.append(Part(fit_asset(shoe, rest), _cloth_material(rng, shoe.texture, -9.0)))
    skin_material = _skin_material(rng, rest.phenotype, library)
    parts = [
        Part(_skin_mesh(model, rest, hides), skin_material),
        Part(eye_mesh(model, rest), Material(EYE_TEXTURE, gloss=0.5)),
        *clothes,
        *_hair(rng, rest, library, female),
    ]
    return Person(poseable_body(model, rest), height_m, tuple(parts))


def _matching(assets: tuple[FittedAsset, ...], female: bool) -> list[FittedAsset]:
    other = "male" if female else "female"
    return [asset for asset in assets if other not in asset.tags]


def _color(rng: np.random.Generator) -> Color:
    """A clothing colour: greys and darks are common, strong hues are not rare."""
    value = rng.beta(1.1, 1.6)
    hue = rng.dirichlet((1.0, 1.0, 1.0)) * 3.0
    saturation = rng.beta(0.9, 1.4)
    red, green, blue = np.clip(value * (1 - saturation + saturation * hue), 0.01, 0.95)
    return float(red), float(green), float(blue)


def _cloth_material(rng: np.random.Generator, texture: Path | None, waist_m: float) -> Material:
    as_painted = texture is not None and rng.random() < 0.35
    if as_painted:
        return Material(texture, waist_m=waist_m, gloss=float(rng.uniform(0.0, 0.12)))
    high = _color(rng)
    low = _color(rng) if rng.random() < 0.75 else high
    # a grey texture carries folds and seams; brighter tints make up for its darkness
    lift = 1.6 if texture is not None else 1.0
    return Material(
        texture,
        tint_low=_scaled(low, lift),
        tint_high=_scaled(high, lift),
        waist_m=waist_m,
        grey=float(rng.uniform(0.6, 1.0)),
        pattern=int(rng.choice([PLAIN, STRIPES, CHECKS, BLOTCHES], p=[0.55, 0.18, 0.12, 0.15])),
        pattern_color=_color(rng),
        pattern_per_m=float(np.exp(rng.uniform(np.log(6.0), np.log(60.0)))),
        gloss=float(rng.uniform(0.0, 0.15)),
    )


def _scaled(color: Color, factor: float) -> Color:
    return color[0] * factor, color[1] * factor, color[2] * factor


def _cut_clothes(rng: np.random.Generator, model: BodyModel, rest: RestBody, waist_m: float) -> list[Part]:
    sleeve = float(rng.choice([-1.0, 0.45, 0.75, 1.4, 1.95], p=[0.12, 0.35, 0.13, 0.1, 0.3]))
    leg = float(rng.choice([0.22, 0.55, 0.95, 1.5, 1.93], p=[0.1, 0.25, 0.15, 0.1, 0.4]))
    loose = float(rng.uniform(0.0, 1.0))
    bottom_hem = float(rng.uniform(0.95, 1.25))
    trousers = Cut(-1.0, leg, -0.1, bottom_hem + 0.12, 0.006 + 0.008 * loose, 0.03 * loose)
    parts = [Part(cut_garment(model, rest, trousers), _cloth_material(rng, None, -9.0))]
    if rng.random() < 0.94:
        shirt = Cut(sleeve, -1.0, bottom_hem - 0.2 * loose, 1.93, 0.010 + 0.010 * loose, 0.02 * loose)
        parts.append(Part(cut_garment(model, rest, shirt), _cloth_material(rng, None, waist_m - 9.0)))
    return parts


def _skin_material(rng: np.random.Generator, phenotype: Phenotype, library: AssetLibrary) -> Material:
    if not library.skins:
        shade = float(rng.uniform(0.12, 1.0))
        return Material(None, *(2 * ((0.62 * shade, 0.38 * shade**1.15, 0.27 * shade**1.3),)), waist_m=-9.0, gloss=0.08)
    ancestry = max(("african", "asian", "caucasian"), key=lambda name: getattr(phenotype, name))
    age = "old" if phenotype.age > 0.9 else "middleage" if phenotype.age > 0.78 else "young"
    wanted = f"{age}_{ancestry}_{'female' if phenotype.gender > 0.5 else 'male'}"
    skins = [path for path in library.skins if path.parent.name == wanted] or list(library.skins)
    tone = float(np.clip(rng.normal(0.95, 0.12), 0.6, 1.2))
    tint = (tone * float(rng.uniform(0.95, 1.05)), tone, tone * float(rng.uniform(0.93, 1.03)))
    return Material(skins[rng.integers(len(skins))], tint, tint, gloss=float(rng.uniform(0.05, 0.2)))


def _hair(rng: np.random.Generator, rest: RestBody, library: AssetLibrary, female: bool) -> list[Part]:
    shade = float(
        rng.choice([rng.uniform(0.02, 0.12), rng.uniform(0.15, 0.4), rng.uniform(0.45, 0.8)], p=[0.6, 0.25, 0.15])
    )
    warm = float(rng.uniform(0.0, 0.6))
    tint = (shade, shade * (1 - 0.35 * warm), shade * (1 - 0.7 * warm))
    parts: list[Part] = []
    if library.eyebrows:
        brow = library.eyebrows[rng.integers(len(library.eyebrows))]
        dark = _scaled(tint, 0.6)
        parts.append(Part(fit_asset(brow, rest), Material(brow.texture, dark, dark, grey=1.0, cut_out=True)))
    if rng.random() < (0.02 if female else 0.1):
        return parts
    if library.hair and rng.random() < 0.9:
        short = [hair for hair in library.hair if hair.name.startswith(("short", "afro"))]
        choices = list(library.hair) if female or rng.random() < 0.12 else short
        hair = choices[rng.integers(len(choices))]
        bright = _scaled(tint, 2.2)
        parts.append(
            Part(fit_asset(hair, rest), Material(hair.texture, bright, bright, grey=1.0, cut_out=True, gloss=0.05))
        )
        if library.hats and rng.random() < 0.05:
            hat = library.hats[rng.integers(len(library.hats))]
            parts.append(Part(fit_asset(hat, rest), _cloth_material(rng, hat.texture, -9.0)))
        return parts
    cap = cut_hair(body_model(), rest, float(rng.uniform(0.008, 0.025)))
    parts.append(
        Part(cap, Material(None, tint, tint, pattern=BLOTCHES, pattern_color=_scaled(tint, 1.5), pattern_per_m=80.0))
    )
    return parts


@lru_cache(maxsize=1)
def _skin_split() -> tuple[SplitMesh, NDArray[np.int32]]:
    model = body_model()
    in_skin = (model.faces < BODY_VERTICES).all(axis=1)
    return split_corners(model.faces[in_skin], model.uv, model.face_uv[in_skin]), model.faces[in_skin]


def _skin_mesh(model: BodyModel, rest: RestBody, hides: NDArray[np.bool_]) -> SkinnedMesh:
    split, faces = _skin_split()
    normal = vertex_normals(rest.vertices_m, faces)
    return skinned(without_faces(split, hides), rest.vertices_m, normal, model.weight_bones, model.weights)


@lru_cache(maxsize=1)
def _eye_faces() -> NDArray[np.int32]:
    model = body_model()
    eyes = np.zeros(len(model.template_m), dtype=bool)
    eyes[np.concatenate([model.groups["helper-l-eye"], model.groups["helper-r-eye"]])] = True
    return model.faces[eyes[model.faces].all(axis=1)]


def eye_mesh(model: BodyModel, rest: RestBody) -> SkinnedMesh:
    """Both eyeballs, with the iris' texture laid on from the front."""
    faces = _eye_faces()
    uv = np.full((len(model.template_m), 2), 0.5, dtype=np.float32)
    for group in ("helper-l-eye", "helper-r-eye"):
        vertices = model.groups[group]
        ball = rest.vertices_m[vertices]
        center, radius = (ball.max(axis=0) + ball.min(axis=0)) / 2, float(np.ptp(ball[:, 0])) / 2
        uv[vertices] = 0.5 + 0.5 * (ball[:, [0, 2]] - center[[0, 2]]) / radius
        behind = ball[:, 1] > center[1]
        uv[vertices[behind]] = 0.01
    used, corner = np.unique(faces, return_inverse=True)
    split = SplitMesh(used.astype(np.int32), uv[used], corner.reshape(-1, 3).astype(np.int32))
    return skinned(split, rest.vertices_m, vertex_normals(rest.vertices_m, faces), model.weight_bones, model.weights)
