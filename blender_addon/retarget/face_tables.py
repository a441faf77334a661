"""Tables of faces: which shape keys and face bones take which of ARKit's weights; shipped ones and the user's own.

Standard library, `motion` and its own room only. Format: `docs/how_to/hands_and_face.md`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..motion.body import SKELETON_MAPS_DIR
from ..motion.face import FACE_WEIGHT_NAMES

FACE_TABLE_VERSION = 1
_SIDES = (("L", "Left"), ("R", "Right"))


class FaceTableError(ValueError):
    """A face table that cannot be used; the message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class ShapeRow:
    """A shape key by its spellings: `weights` are factors of ARKit's weights, summed and kept within 0 and 1;
    `unless` are keys in whose presence this one stays at rest.
    """

    names: tuple[str, ...]
    weights: Mapping[str, float]
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BoneRow:
    """How a bone moves for a weight of 1.

    `move` (outwards, forward, up) and `aside` (to the left) in distances between the eyes, or between the bone and the
    bone `unit`; `turn_deg` about the axes to the left, forward, up; `part` of the way to the bone `towards`.
    """

    bone: str
    weight: str
    move: tuple[float, float, float] = (0.0, 0.0, 0.0)
    aside: float = 0.0
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    towards: str = ""
    part: float = 0.0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class FaceTable:
    """A table; `eyes` are two bones whose distance is the unit of `bones`."""

    name: str
    label: str
    shapes: tuple[ShapeRow, ...] = ()
    bones: tuple[BoneRow, ...] = ()
    eyes: tuple[str, ...] = ()


@cache
def face_tables() -> tuple[FaceTable, ...]:
    """Every table that ships. Raises FaceTableError for a broken file."""
    return tuple(read_face_table(path) for path in sorted(SKELETON_MAPS_DIR.glob("face_*.json")))


def read_face_table(path: Path) -> FaceTable:
    """Read a table. Raises FaceTableError, OSError."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        _check_version(record)
        return FaceTable(
            name=str(record.get("name", path.stem)),
            label=str(record.get("label", path.stem)),
            shapes=tuple(_shape_row(row) for row in record.get("shapes", ())),
            bones=tuple(one for row in record.get("bones", ()) for one in _bone_rows(row)),
            eyes=tuple(record.get("eyes", ())),
        )
    except FaceTableError as fault:
        raise FaceTableError(f"{path}: {fault}") from fault
    except (UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise FaceTableError(f"{path} is not a face table: {type(fault).__name__} {fault}") from fault


def _check_version(record: Mapping[str, Any]) -> None:
    version = record.get("version")
    if version != FACE_TABLE_VERSION:
        raise FaceTableError(f"the face table has version {version!r}; this program reads {FACE_TABLE_VERSION}")


def _shape_row(row: Mapping[str, Any]) -> ShapeRow:
    weights = {str(name): float(factor) for name, factor in row["from"].items()}
    for name in weights:
        _check_weight(name)
    names = row["names"] if isinstance(row["names"], list) else [row["names"]]
    return ShapeRow(tuple(map(str, names)), weights, tuple(row.get("unless", ())))


def _bone_rows(row: Mapping[str, Any]) -> list[BoneRow]:
    """A row of the file, once a side where `{side}` stands in it."""
    text = json.dumps(row)
    sides = _SIDES if "{side}" in text or "{Side}" in text else (("", ""),)
    rows = []
    for mark, word in sides:
        one = json.loads(text.replace("{side}", mark).replace("{Side}", word))
        _check_weight(one["from"])
        rows.append(
            BoneRow(
                bone=one["bone"],
                weight=one["from"],
                move=_three(one.get("move")),
                aside=float(one.get("aside", 0.0)),
                turn_deg=_three(one.get("turn_deg")),
                towards=one.get("towards", ""),
                part=float(one.get("part", 0.0)),
                unit=one.get("unit", ""),
            )
        )
    return rows


def _three(values: Any) -> tuple[float, float, float]:
    x, y, z = values or (0.0, 0.0, 0.0)
    return float(x), float(y), float(z)


def _check_weight(name: str) -> None:
    if name not in FACE_WEIGHT_NAMES:
        raise FaceTableError(f"there is no weight {name!r}; weights are {', '.join(FACE_WEIGHT_NAMES)}")
