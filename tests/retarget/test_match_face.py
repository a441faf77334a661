"""Names of shape keys: ARKit's in every spelling, tables of other tools, chance, two sets of shapes."""

from __future__ import annotations

import re

import numpy as np
import pytest

from blender_addon.motion.face import FACE_WEIGHT_NAMES
from blender_addon.retarget.face_tables import face_tables
from blender_addon.retarget.match_face import arkit_weight, doubles, match_face, shape_values, without_doubles


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
# Genesis 9 splits ARKit's weights of both sides and lips; Genesis 8.1 has parts of several kinds
GENESIS_9 = (
    "JawForward", "JawLeft", "JawOpen", "JawRight", "MouthLeft", "MouthRight",
    *(f"{name}{side}" for side in ("Left", "Right") for name in (
        "BrowDown", "BrowInnerUp", "BrowOuterUp", "CheekPuff", "CheekSquint", "EyeBlink", "EyeLookDown", "EyeLookIn",
        "EyeLookOut", "EyeLookUp", "EyeSquint", "EyelidOpenUpper", "EyelidOpenLower", "MouthDimple", "MouthFrown",
        "MouthLowerDown", "MouthSmile", "MouthStretch", "MouthUpperUp", "NoseSneer",
        *(f"Mouth{shape}{lip}" for shape in ("Close", "Funnel", "Press", "Purse", "Roll", "Shrug")
          for lip in ("Upper", "Lower")),
    )),
)  # fmt: skip
GENESIS_8 = (
    "facs_ctrl_BrowInnerUp", "facs_ctrl_CheekPuff", "facs_bs_TongueOut",
    *(f"facs_jnt_Jaw{way}" for way in ("Open", "Forward", "Left", "Right")),
    *(f"facs_bs_Mouth{name}_div2" for name in (
        "Funnel", "Pucker", "Left", "Right", "RollUpper", "RollLower", "ShrugUpper", "ShrugLower", "Close")),
    *(name.format(side) for side in ("Left", "Right") for name in (
        "facs_BrowDown{}", "facs_BrowOuterUp{}", "facs_jnt_EyeBlink{}", "facs_jnt_EyesWide{}", "facs_jnt_EyeLookUp{}",
        "facs_jnt_EyeLookDown{}", "facs_bs_EyeLookIn{}_div2", "facs_bs_EyeLookOut{}_div2", "facs_bs_EyeSquint{}_div2",
        "facs_bs_CheekSquint{}_div2", "facs_bs_NoseSneer{}_div2", "facs_bs_MouthSmile{}_div2",
        "facs_bs_MouthFrown{}_div2", "facs_bs_MouthDimple{}_div2", "facs_bs_MouthUpperUp{}_div2",
        "facs_bs_MouthLowerDown{}_div2", "facs_bs_MouthPress{}_div2", "facs_bs_MouthStretch{}_div2")),
)  # fmt: skip
# Character Creator 3 has its own shapes beside ARKit's
CHARACTER_CREATOR_3 = (
    "Brow_Raise_Inner_Left", "Brow_Raise_Inner_Right", "Brow_Drop_Left", "Brow_Drop_Right", "Eye_Blink_L",
    "Eye_Blink_R", "Eye_Wide_L", "Eye_Wide_R", "Nose_Flanks_Raise_L", "Nose_Flanks_Raise_R", "Cheek_Blow_L",
    "Cheek_Blow_R", "Mouth_Smile_L", "Mouth_Smile_R", "Mouth_Pucker", "Mouth_Pucker_Open", "Mouth_Widen_Sides",
    "Mouth_Lips_Tight", "Mouth_Top_Lip_Under", "Mouth_Bottom_Lip_Under", "Mouth_Top_Lip_Up", "Mouth_Bottom_Lip_Down",
    "Mouth_L", "Mouth_R", "Mouth_Open",
)  # fmt: skip
PUBLISHED = {
    "Genesis 9": [f"facs_bs_{name}" for name in GENESIS_9],
    "Genesis 8.1": list(GENESIS_8),
    # Character Creator 5 writes MetaHuman's controls in its own way
    "Character Creator 5": [
        re.sub("(?<=[a-z])([A-Z])", r"_\1", one[0].upper() + one[1:]).replace("Mouth_Press", "Mouth_Mouth_Press")
        for one in (*META_HUMAN, *(name + side for name in META_HUMAN_SIDED for side in "LR"))
    ],
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


def test_a_character_with_two_sets_of_shapes_closes_an_eye_once():
    own = [*CHARACTER_CREATOR_3]
    numbered = [f"A{number:02d}_{snake(name).title()}" for number, name in enumerate(FACE_WEIGHT_NAMES, 1)]
    both = [*own, *numbered]
    shapes = match_face(both).shapes
    assert without_doubles(both, shapes) == tuple(numbered), "the set that names more weights"
    assert without_doubles(own, shapes) == tuple(name for name in own if name in shapes), "a mesh with one set keeps it"
    assert all(len(names) == 1 for names in doubles(match_face(numbered).shapes).values())
    assert doubles(shapes)["Eye_Blink_L"] == ["Eye_Blink_L", numbered[FACE_WEIGHT_NAMES.index("eyeBlinkLeft")]]


def test_character_creator_without_arkit_moves_brows_nose_and_lips():
    found = match_face(CHARACTER_CREATOR_3)
    assert not found.unused
    assert {"browInnerUp", "browDownLeft", "noseSneerRight", "mouthFunnel", "mouthRollUpper", "mouthStretchLeft"} <= (
        set(FACE_WEIGHT_NAMES) - set(found.missing)
    )


def test_of_two_pucker_dials_of_genesis_3_one_moves():
    found = match_face(
        ["eCTRLLipsPucker", "eCTRLLipsPuckerWide", "eCTRLMouthNarrowL", "eCTRLMouthOpen", "eCTRLBrowSqueeze"]
    )
    assert set(found.unused) == {"eCTRLLipsPuckerWide", "eCTRLMouthNarrowL"}
