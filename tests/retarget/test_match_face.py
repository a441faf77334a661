"""Names of shape keys: ARKit's in every spelling, tables of other tools, chance, two sets of shapes."""

from __future__ import annotations

import re

import numpy as np
import pytest

from blender_addon.motion.face import FACE_WEIGHT_NAMES
from blender_addon.retarget.face_tables import face_tables
from blender_addon.retarget.match_face import arkit_weight, match_face, shape_values


def snake(name):
    return re.sub("([A-Z])", lambda found: "_" + found[1].lower(), name)


def marked(name):
    return name.replace("Left", "_L").replace("Right", "_R")


SPELLINGS = {
    "jawOpen": lambda name: name,
    "JawOpen": lambda name: name[0].upper() + name[1:],
    "jaw_open": snake,
    "eyeBlink_L": marked,
    "Eye_Blink_L": lambda name: "_".join(word.title() for word in snake(marked(name)).replace("__", "_").split("_")),
    "A25_Jaw_Open": lambda name: "A25_" + "_".join(word.title() for word in snake(name).split("_")),
    "blendShape1.jawOpen": lambda name: "blendShape1." + name,
    "facs_bs_JawOpen_div2": lambda name: "facs_bs_" + name[0].upper() + name[1:] + "_div2",
    "head_lod0_mesh__jaw_open": lambda name: "head_lod0_mesh__" + snake(name),
    "jawopen": str.lower,
    "JAW_OPEN": lambda name: snake(name).upper(),
    "jaw-open": lambda name: snake(name).replace("_", "-"),
}


@pytest.mark.parametrize("spelling", list(SPELLINGS))
def test_every_spelling_of_arkit(spelling):
    assert [arkit_weight(SPELLINGS[spelling](name)) for name in FACE_WEIGHT_NAMES] == list(FACE_WEIGHT_NAMES)


@pytest.mark.parametrize("name", ["smile_fat", "open_mouth_left", "Eye_L_Look_R", "Basis", "left", "", "nose"])
def test_other_names_are_none_of_arkit(name):
    assert not arkit_weight(name)


@pytest.mark.parametrize("table", [table for table in face_tables() if table.shapes], ids=lambda table: table.name)
def test_every_table_is_recognised(table):
    names = [row.names[0] for row in table.shapes if not row.unless]
    found = match_face(names)
    assert not found.unused
    assert any(label in (table.label, "ARKit") for label in found.labels)


def test_two_sets_of_shapes_do_not_act_twice():
    found = match_face([*FACE_WEIGHT_NAMES, "A", "I", "U", "E", "O", "Blink", "Joy"])
    assert set(found.shapes) == set(FACE_WEIGHT_NAMES)
    assert set(found.unused) == {"A", "I", "U", "E", "O", "Blink", "Joy"}


def test_a_few_known_names_are_chance():
    assert not match_face(["A", "B", "O", "Key 1"]).shapes


def test_values_stay_within_a_shape_key():
    weights = np.zeros((3, len(FACE_WEIGHT_NAMES)))
    weights[:, FACE_WEIGHT_NAMES.index("jawOpen")] = [0.0, 0.5, 1.0]
    weights[:, FACE_WEIGHT_NAMES.index("mouthFunnel")] = [1.0, 0.0, 0.0]
    assert shape_values(weights, {"jawOpen": 1.3, "mouthFunnel": -0.6}).tolist() == [0.0, 0.65, 1.0]
