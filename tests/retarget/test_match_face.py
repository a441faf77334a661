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


# Names as the tools' users and integrations publish them (Character Creator 4's extended profile; MetaHuman's curves).
CHARACTER_CREATOR_SIDED = (
    "Brow_Raise_Inner", "Brow_Raise_Outer", "Brow_Drop", "Eye_Blink", "Eye_Squint", "Eye_Wide", "Cheek_Raise",
    "Cheek_Puff", "Nose_Sneer", "Mouth_Smile", "Mouth_Frown", "Mouth_Stretch", "Mouth_Dimple", "Mouth_Press",
    "Mouth_Pucker_Up", "Mouth_Pucker_Down", "Mouth_Funnel_Up", "Mouth_Funnel_Down", "Mouth_Roll_In_Upper",
    "Mouth_Roll_In_Lower", "Mouth_Up_Upper", "Mouth_Down_Lower",
)  # fmt: skip
CHARACTER_CREATOR = (
    "Jaw_Open", "Jaw_Forward", "Jaw_L", "Jaw_R", "Mouth_Close", "Mouth_L", "Mouth_R", "Mouth_Shrug_Upper",
    "Mouth_Shrug_Lower", "Tongue_Out", *(f"Eye_{eye}_Look_{way}" for eye in "LR" for way in ("L", "R", "Up", "Down")),
)  # fmt: skip
META_HUMAN_SIDED = (
    "browRaiseIn", "browRaiseOuter", "browDown", "eyeBlink", "eyeSquintInner", "eyeWiden", "eyeCheekRaise",
    "eyeLookUp", "eyeLookDown", "eyeLookLeft", "eyeLookRight", "noseWrinkle", "mouthCheekBlow", "mouthUpperLipRaise",
    "mouthLowerLipDepress", "mouthCornerPull", "mouthStretch", "mouthDimple", "mouthCornerDepress", "mouthPressU",
    "mouthPressD", "mouthLipsPurseU", "mouthLipsPurseD", "mouthFunnelU", "mouthFunnelD", "mouthLipsTogetherU",
    "mouthLipsTogetherD", "mouthUpperLipRollIn", "mouthLowerLipRollIn", "jawChinRaiseU", "jawChinRaiseD",
)  # fmt: skip
META_HUMAN = ("mouthLeft", "mouthRight", "jawOpen", "jawLeft", "jawRight", "jawFwd", "tongueOut")
PUBLISHED = {
    "Character Creator": [*CHARACTER_CREATOR, *(f"{name}_{side}" for name in CHARACTER_CREATOR_SIDED for side in "LR")],
    "MetaHuman": [
        f"CTRL_expressions_{name}" for name in (*META_HUMAN, *(one + side for one in META_HUMAN_SIDED for side in "LR"))
    ],
}


@pytest.mark.parametrize("tool", list(PUBLISHED))
def test_published_names_of_a_tool_take_every_weight(tool):
    found = match_face(PUBLISHED[tool])
    assert not found.unused, "each published name is moved by something"
    moved = {name for row in found.shapes.values() for name, share in row.items() if share}
    assert set(FACE_WEIGHT_NAMES) - moved <= {"tongueOut"}
    for name, row in found.shapes.items():
        sides = {weight[-5:] for weight in row if weight.endswith(("Left", "Right"))}
        assert len(sides) < 2, f"{name} is moved by one side"
