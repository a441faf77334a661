"""Keys written in bulk: what is written is what Blender plays, on classic actions and on slots and layers."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from rigs import canonical_armature

from blender_addon.rig import actions
from blender_addon.rig.actions import Channel, bone_path


def _turns(count: int, seed: int = 0) -> np.ndarray:
    turns = np.random.default_rng(seed).normal(size=(count, 4))
    return turns / np.linalg.norm(turns, axis=1, keepdims=True)


def _new_action(armature: bpy.types.Object, name: str = "Take") -> object:
    actions.assign_action(armature, bpy.data.actions.new(name))
    return actions.channelbag(armature)


def test_written_keys_are_what_blender_plays() -> None:
    armature = canonical_armature()
    wanted = _turns(20)
    path = bone_path("left_elbow", "rotation_quaternion")
    bag = _new_action(armature)
    keys = actions.write_channels(bag, [Channel(path, "left_elbow", np.arange(1.0, 21.0), wanted)])
    assert keys == 80
    for frame in (1, 7, 20):
        bpy.context.scene.frame_set(frame)
        np.testing.assert_allclose(armature.pose.bones["left_elbow"].rotation_quaternion, wanted[frame - 1], atol=1e-6)


def test_a_second_write_replaces_its_range_and_keeps_the_rest() -> None:
    armature = canonical_armature()
    path = bone_path("head", "rotation_quaternion")
    first, second = _turns(30, 1), _turns(10, 2)
    bag = _new_action(armature)
    actions.write_channels(bag, [Channel(path, "head", np.arange(30.0), first)])
    actions.write_channels(bag, [Channel(path, "head", np.arange(10.0, 20.0), second)])
    curves = [bag.fcurves.find(path, index=index) for index in range(4)]
    frames = [key.co.x for key in curves[0].keyframe_points]
    values = np.array([[key.co.y for key in curve.keyframe_points] for curve in curves]).T
    np.testing.assert_array_equal(frames, np.arange(30))
    np.testing.assert_allclose(values[10:20], second, atol=1e-6)
    np.testing.assert_allclose(values[:10], first[:10], atol=1e-6)
    np.testing.assert_allclose(values[20:], first[20:], atol=1e-6)


def test_a_name_with_quotes_and_brackets_is_escaped() -> None:
    armature = canonical_armature()
    armature.pose.bones["head"].name = 'he"ad\\]'
    bag = _new_action(armature)
    path = bone_path('he"ad\\]', "rotation_quaternion")
    actions.write_channels(bag, [Channel(path, "x", np.array([1.0]), np.array([[0.0, 1.0, 0.0, 0.0]]))])
    bpy.context.scene.frame_set(1)
    np.testing.assert_allclose(armature.pose.bones['he"ad\\]'].rotation_quaternion, (0, 1, 0, 0))


def test_custom_property_and_object_channels() -> None:
    armature = canonical_armature()
    armature.pose.bones["head"]["IK_FK"] = 0.0
    bag = _new_action(armature)
    switch = Channel(bone_path("head", '["IK_FK"]'), "head", np.array([5.0]), np.array([[1.0]]), "CONSTANT")
    place = Channel("location", "Object Transforms", np.array([1.0, 5.0]), np.array([[0.0, 0, 0], [1.0, 2, 3]]))
    actions.write_channels(bag, [switch, place])
    bpy.context.scene.frame_set(5)
    assert armature.pose.bones["head"]["IK_FK"] == pytest.approx(1.0)
    assert tuple(armature.location) == pytest.approx((1.0, 2.0, 3.0))


def test_values_and_frames_must_agree() -> None:
    bag = _new_action(canonical_armature())
    with pytest.raises(ValueError, match="3 values for 2 frames"):
        actions.write_channels(bag, [Channel("location", "x", np.arange(2.0), np.zeros((3, 3)))])


def test_the_old_action_is_kept_when_it_is_taken_off() -> None:
    armature = canonical_armature()
    _new_action(armature, "Hand made")
    assert actions.retire_action(armature) == "Hand made"
    assert armature.animation_data.action is None
    assert bpy.data.actions["Hand made"].use_fake_user
    assert actions.retire_action(armature) is None


def test_a_strip_on_a_new_track_plays() -> None:
    armature = canonical_armature()
    bag = _new_action(armature)
    path = bone_path("head", "rotation_quaternion")
    actions.write_channels(bag, [Channel(path, "head", np.arange(1.0, 11.0), _turns(10))])
    action = armature.animation_data.action
    actions.retire_action(armature)
    strip = actions.push_to_nla(armature, action, "Take", 101)
    assert (strip.frame_start, strip.frame_end) == (101, 110)
    bpy.context.scene.frame_set(105)
    np.testing.assert_allclose(armature.pose.bones["head"].rotation_quaternion, _turns(10)[4], atol=1e-5)


def test_no_action_is_said() -> None:
    armature = canonical_armature()
    assert actions.action_fcurves(armature) == []
    with pytest.raises(ValueError, match="no active action"):
        actions.channelbag(armature)
