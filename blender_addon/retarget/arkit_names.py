"""ARKit's 52 weights in the names of shape keys, in any spelling. Standard library and `motion` only."""

from __future__ import annotations

import re
from functools import cache

from ..motion.face import FACE_WEIGHT_NAMES

_TOKEN = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_a-zA-Z]+")
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_PLURALS = {"eyes": "eye"}
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


@cache
def arkit_weight(name: str) -> str:
    """ARKit's weight that a shape key is named after, in any spelling (`jaw_open`, `Eye_Blink_L`); empty: none."""
    return _weight_of(_tokens(name))


def _tokens(name: str) -> list[str]:
    return [token.lower() for token in _TOKEN.findall(re.split(r"[:|]", name)[-1])]


def _weight_of(tokens: list[str]) -> str:
    tokens = [_PLURALS.get(token, token) for token in tokens]
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


def spelling(name: str) -> tuple[str, ...]:
    """What keys of one set share: the words around ARKit's name, numbers, and underscores."""
    tokens = _tokens(name)
    around = [token for token in tokens if token in _AROUND]
    return (*around, "0" if any(token.isdigit() for token in tokens) else "", "_" if "_" in name else "")
