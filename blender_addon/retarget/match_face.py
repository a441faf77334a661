"""Which of a character's shape keys take which weights of a face: by ARKit's names in any spelling, else by a table.

numpy, `motion` and its own room only. A key of ARKit's own is taken directly. Of the tables the one with most keys
there completes what has no such key, so that a character with two sets of shapes does not smile twice. A user's own
table goes before both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..motion.face import FACE_WEIGHT_NAMES
from .face_tables import FaceTable, ShapeRow, face_tables

Array = NDArray[np.floating]

_TOKEN = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_a-zA-Z]+")
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
# what tools put before or after a name
_AROUND = frozenset(
    {
        *(
            "arkit",
            "blend",
            "blendshape",
            "blendshapes",
            "bs",
            "shape",
            "shapes",
            "key",
            "morph",
            "facs",
            "jnt",
            "ctrl",
            "expressions",
        ),
        *(
            "head",
            "lod",
            "mesh",
            "face",
            "facial",
            "body",
            "cc",
            "base",
            "geo",
            "wolf",
            "a",
            "div",
            "hd",
            "genesis",
            "g",
            "exp",
        ),
    }
)
# of a table without this many keys on a character it is chance that some are there
_FEWEST_ROWS = 3


@dataclass(frozen=True, slots=True)
class FaceMatch:
    """What takes the weights of a face.

    `shapes` maps a shape key's name to factors of ARKit's weights; `labels` says by which tables; `missing` are weights
    that no key takes, `unused` keys that take none.
    """

    shapes: Mapping[str, Mapping[str, float]]
    labels: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def summary(self) -> str:
        """One line for the interface."""
        if not self.shapes:
            return "no shape key with a known name"
        expressed = len(FACE_WEIGHT_NAMES) - len(self.missing)
        return f"{', '.join(self.labels)}: {len(self.shapes)} shape keys take {expressed} of 52 weights"


def match_face(names: Iterable[str], own: FaceTable | None = None) -> FaceMatch:
    """Match the names of a character's shape keys."""
    names = list(dict.fromkeys(names))
    shapes: dict[str, Mapping[str, float]] = {}
    labels = []
    if own is not None:
        shapes = _by_table(names, own)
        labels = [own.label] if shapes else []
    direct = {name: {weight: 1.0} for name in names if name not in shapes and (weight := arkit_weight(name))}
    covered = {weight for factors in shapes.values() for weight in factors}
    direct = {name: factors for name, factors in direct.items() if not covered & set(factors)}
    labels += ["ARKit"] if direct else []
    shapes |= direct
    table, rows = max(
        ((table, _by_table(names, table)) for table in face_tables()),
        key=lambda found: len(found[1]),
        default=(None, {}),
    )
    covered = {weight for factors in shapes.values() for weight in factors}
    added = {name: row for name, row in rows.items() if name not in shapes and not covered & set(row)}
    if table is not None and added and len(rows) >= _FEWEST_ROWS:
        shapes |= added
        labels.append(table.label)
    taken = {weight for factors in shapes.values() for weight, factor in factors.items() if factor > 0}
    return FaceMatch(
        shapes={name: shapes[name] for name in names if name in shapes},
        labels=tuple(labels),
        missing=tuple(weight for weight in FACE_WEIGHT_NAMES if weight not in taken),
        unused=tuple(name for name in names if name not in shapes),
    )


def shape_values(weights: Array, factors: Mapping[str, float]) -> Array:
    """The values (T,) of a shape key from a face's weights (T, 52), within 0 and 1; NaN stays NaN."""
    total = np.zeros(len(weights))
    for name, factor in factors.items():
        total = total + factor * weights[:, FACE_WEIGHT_NAMES.index(name)]
    return np.clip(total, 0.0, 1.0)


def face_weights(values: Array, shapes: Mapping[str, Mapping[str, float]]) -> Array:
    """A face's weights (T, 52) from the values (T, K) of the shape keys `shapes`: `shape_values` the other way round.

    Where several keys take part in a weight, the smallest weights that give their values.
    """
    factors = np.zeros((len(shapes), len(FACE_WEIGHT_NAMES)))
    for row, own in enumerate(shapes.values()):
        for name, factor in own.items():
            factors[row, FACE_WEIGHT_NAMES.index(name)] = factor
    return np.clip(values @ np.linalg.pinv(factors).T, 0.0, 1.0)


@cache
def arkit_weight(name: str) -> str:
    """ARKit's weight that a shape key is named after, in any spelling (`jaw_open`, `Eye_Blink_L`); empty: none."""
    tokens = [token.lower() for token in _TOKEN.findall(re.split(r"[:|]", name)[-1])]
    while tokens and (tokens[0] in _AROUND or tokens[0].isdigit()) and len(tokens) > 1:
        tokens = tokens[1:]
    while tokens and (tokens[-1] in _AROUND or tokens[-1].isdigit()) and len(tokens) > 1:
        tokens = tokens[:-1]
    sides = [_SIDES[token] for token in tokens if token in _SIDES]
    core = "".join(token for token in tokens if token not in _SIDES)
    if len(sides) > 1:
        return ""
    glued = next((weight for weight in FACE_WEIGHT_NAMES if weight.lower() == core and not sides), "")
    return glued or _weights_by_key().get((core, sides[0] if sides else ""), "")


@cache
def _weights_by_key() -> dict[tuple[str, str], str]:
    found = {}
    for name in FACE_WEIGHT_NAMES:
        core, side = name, ""
        for word in ("Left", "Right"):
            if name.endswith(word):
                core, side = name.removesuffix(word), word.lower()
        found[core.lower(), side] = name
    return found


def _by_table(names: list[str], table: FaceTable) -> dict[str, Mapping[str, float]]:
    """The table's rows on a character: factors by shape key."""
    keys = {name: _key(name) for name in names}
    there = set(keys.values())
    found: dict[str, Mapping[str, float]] = {}
    for row in table.shapes:
        if not any(_key(other) in there for other in row.unless):
            found |= {name: row.weights for name in names if name not in found and _is_named(keys[name], row)}
    return found


def _is_named(key: str, row: ShapeRow) -> bool:
    """Whether a shape key bears one of a row's names; long ones may have a mesh's name before them."""
    wanted = [_key(name) for name in row.names]
    return key in wanted or any(len(name) >= 6 and key.endswith(name) for name in wanted)


@cache
def _key(name: str) -> str:
    """What spellings of a name share: its letters and digits after the last separator of a path."""
    bare = re.split(r"[.:|]", name.removeprefix("CTRL_expressions_"))[-1] or name
    return "".join(letter for letter in bare.casefold() if letter.isalnum())
