from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

CHARACTER = Path(__file__).resolve().parents[2] / "assets" / "demo_character.blend"


@pytest.fixture
def objects():
    with bpy.data.libraries.load(str(CHARACTER)) as (there, here):
        here.objects = list(there.objects)
    return {thing.type: thing for thing in here.objects}


def test_the_skeleton_has_mixamo_names_and_a_t_pose(objects):
    bones = objects["ARMATURE"].data.bones
    assert len(bones) == 52
    assert all(bone.name.startswith("mixamorig:") for bone in bones)
    assert [bone.name for bone in bones if bone.parent is None] == ["mixamorig:Hips"]
    for side, sign in (("Left", 1), ("Right", -1)):
        arm = bones[f"mixamorig:{side}Hand"].head_local - bones[f"mixamorig:{side}Arm"].head_local
        assert sign * arm.normalized().x > 0.99
        assert bones[f"mixamorig:{side}Foot"].head_local.z < 0.16
        assert bones[f"mixamorig:{side}ToeBase"].head_local.y < bones[f"mixamorig:{side}Foot"].head_local.y - 0.08


def test_the_mesh_is_bound_to_it_whole(objects):
    body = objects["MESH"]
    assert [(m.type, m.object) for m in body.modifiers] == [("ARMATURE", objects["ARMATURE"])]
    bones = {bone.name for bone in objects["ARMATURE"].data.bones}
    assert {group.name for group in body.vertex_groups} <= bones
    weights = np.array([sum(entry.weight for entry in vertex.groups) for vertex in body.data.vertices])
    np.testing.assert_allclose(weights, 1.0, atol=0.01)
    heights = np.array([vertex.co.z for vertex in body.data.vertices])
    assert heights.min() == pytest.approx(0.0, abs=1e-3)
    assert 1.75 < heights.max() < 1.9


def test_textures_travel_inside_of_the_file(objects):
    images = {
        node.image
        for material in objects["MESH"].data.materials
        for node in material.node_tree.nodes
        if node.type == "TEX_IMAGE"
    }
    assert len(images) == 6
    for image in images:
        assert image.packed_file is not None, image.name
        assert "/" not in image.filepath.replace("//", ""), "it must not remember where it was built"
