"""Bake: what is written, what is kept, what is said; never "nothing moved" in silence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from clips import smooth_clip
from mathutils import Matrix
from rigs import canonical_armature

from blender_addon.motion.posing import pose_clip
from blender_addon.motion.rotations import quaternion_between, quaternion_normalize
from blender_addon.retarget.baked_pose import Placement, RetargetOptions, RootMode
from blender_addon.rig import actions
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip, retarget_clip, scene_from_clip
from blender_addon.rig.bake import BakeError, BakeInto, BakeOptions, bake

FPS = 24.0
AS_FILMED = RetargetOptions(placement=Placement.WORLD, plant_feet=False)


def _options(**bake_options: object) -> ApplyOptions:
    return ApplyOptions(retarget=AS_FILMED, bake=BakeOptions(fps=FPS, **bake_options))


def _head(armature: bpy.types.Object, bone: str, frame: float) -> np.ndarray:
    bpy.context.scene.frame_set(int(frame), subframe=frame % 1)
    posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return np.array(posed.matrix_world @ posed.pose.bones[bone].head)


def _limb_error_deg(armature: bpy.types.Object, clip: object, frame_start: int = 1) -> float:
    """The largest angle between a limb of the clip and of the evaluated rig, at scene frames."""
    names = clip.body_joint_names
    joints = pose_clip(clip).positions_m
    worst = 0.0
    for frame in range(frame_start, frame_start + 20, 5):
        time_s = (frame - frame_start) / FPS
        row = int(np.abs(clip.times_s - time_s).argmin())
        assert abs(clip.times_s[row] - time_s) < 1e-6
        for upper, lower in (("left_shoulder", "left_elbow"), ("right_knee", "right_ankle"), ("left_hip", "left_knee")):
            wanted = joints[row, names.index(lower)] - joints[row, names.index(upper)]
            got = _head(armature, lower, frame) - _head(armature, upper, frame)
            cosine = wanted @ got / np.linalg.norm(wanted) / np.linalg.norm(got)
            worst = max(worst, float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
    return worst


def test_a_clip_of_another_rate_keeps_its_timing() -> None:
    armature = canonical_armature()
    clip = smooth_clip(121, fps=120.0)
    report = apply_clip(armature, clip, _options(frame_start=11))
    assert (report.frame_start, report.frame_end, report.frames) == (11, 35, 25)
    assert _limb_error_deg(armature, clip, 11) < 0.1


@pytest.mark.parametrize(("fps", "base", "frames"), [(24, 1.001, 96), (30, 1.001, 300), (24, 1.0, 48)])
def test_a_clip_of_the_scenes_rate_keeps_every_frame(fps: int, base: float, frames: int) -> None:
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = fps, base  # Blender keeps the base in 32 bits
    clip = smooth_clip(frames, fps=fps / base)
    options = ApplyOptions(retarget=AS_FILMED, bake=BakeOptions(fps=scene.render.fps / scene.render.fps_base))
    report = apply_clip(canonical_armature(), clip, options)
    assert (report.frames, report.frame_start, report.frame_end) == (frames, 1, frames)


def test_the_report_counts_what_is_there() -> None:
    armature = canonical_armature()
    report = apply_clip(armature, smooth_clip(48, fps=FPS), _options(name="Take"))
    curves = actions.action_fcurves(armature)
    assert report.keys == sum(len(curve.keyframe_points) for curve in curves)
    assert report.action == "Take" == armature.animation_data.action.name
    assert report.frames == 48
    keyed = {curve.data_path.split('"')[1] for curve in curves if curve.data_path.startswith("pose.bones")}
    assert len(keyed) == report.bones
    assert "clip foot_skate_m_s" in report.figures
    text = "\n".join(report.lines())
    assert "48 frames" in text
    assert str(report.keys) in text


def test_only_mapped_bones_get_keys() -> None:
    armature = canonical_armature()
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    tail = armature.data.edit_bones.new("tail_prop")
    tail.head, tail.tail = (0, 0.1, 1), (0, 0.4, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    apply_clip(armature, smooth_clip(24, fps=FPS), _options())
    assert not [curve for curve in actions.action_fcurves(armature) if "tail_prop" in curve.data_path]


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ", "ZYX", "AXIS_ANGLE"])
def test_bones_keep_their_own_rotation_mode(mode: str) -> None:
    armature = canonical_armature()
    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    clip = smooth_clip(121, fps=120.0)
    apply_clip(armature, clip, _options())
    assert {bone.rotation_mode for bone in armature.pose.bones} == {mode}
    assert _limb_error_deg(armature, clip) < 0.1


def test_the_action_before_is_kept_and_the_current_one_can_be_merged_into() -> None:
    armature = canonical_armature()
    clip = smooth_clip(24, fps=FPS)
    first = apply_clip(armature, clip, _options(name="First"))
    second = apply_clip(armature, clip, _options(name="Second"))
    assert second.kept_action == "First"
    assert bpy.data.actions["First"].use_fake_user
    keys = sum(len(curve.keyframe_points) for curve in actions.action_fcurves(armature))
    merged = apply_clip(armature, clip, _options(into=BakeInto.CURRENT_ACTION, frame_start=101))
    assert merged.action == "Second"
    assert merged.kept_action is None
    assert sum(len(curve.keyframe_points) for curve in actions.action_fcurves(armature)) == 2 * keys
    assert first.keys == second.keys == merged.keys


@pytest.mark.parametrize("interpolation", ["LINEAR", "BEZIER", "CONSTANT"])
@pytest.mark.parametrize("preferred", ["VECTOR", "AUTO_CLAMPED"])
def test_keys_are_as_asked_whatever_the_user_prefers_for_new_ones(interpolation: str, preferred: str) -> None:
    edit = bpy.context.preferences.edit
    before = edit.keyframe_new_handle_type, edit.keyframe_new_interpolation_type
    edit.keyframe_new_handle_type, edit.keyframe_new_interpolation_type = preferred, "LINEAR"
    try:
        armature = canonical_armature()
        apply_clip(armature, smooth_clip(24, fps=FPS), _options(interpolation=interpolation))
    finally:
        edit.keyframe_new_handle_type, edit.keyframe_new_interpolation_type = before
    points = [point for curve in actions.action_fcurves(armature) for point in curve.keyframe_points]
    assert {point.interpolation for point in points} == {interpolation}
    assert {(point.handle_left_type, point.handle_right_type) for point in points} == {("AUTO_CLAMPED",) * 2}


def test_a_merge_keeps_the_users_bezier_handles() -> None:
    armature = canonical_armature()
    bone = armature.pose.bones["head"]
    for frame, angle in ((1, 0.0), (20, 1.0)):
        bone.rotation_quaternion = (np.cos(angle / 2), np.sin(angle / 2), 0, 0)
        bone.keyframe_insert("rotation_quaternion", frame=frame)
    curve = next(curve for curve in actions.action_fcurves(armature) if curve.array_index == 1)
    point = curve.keyframe_points[1]
    point.handle_left_type = point.handle_right_type = "FREE"
    point.handle_left = (12.0, 0.9)
    apply_clip(armature, smooth_clip(24, fps=FPS), _options(into=BakeInto.CURRENT_ACTION, frame_start=101))
    curve = next(c for c in actions.action_fcurves(armature) if c.array_index == 1 and '"head"' in c.data_path)
    point = curve.keyframe_points[1]
    assert point.handle_left_type == "FREE"
    assert tuple(point.handle_left) == pytest.approx((12.0, 0.9))


def test_an_nla_strip_lies_over_what_played_before() -> None:
    armature = canonical_armature()
    clip = smooth_clip(24, fps=FPS)
    apply_clip(armature, clip, _options(name="Base"))
    report = apply_clip(armature, clip, _options(name="Layer", into=BakeInto.NLA_STRIP, frame_start=51))
    tracks = armature.animation_data.nla_tracks
    assert [track.strips[0].action.name for track in tracks] == ["Base", "Layer"]
    assert armature.animation_data.action is None
    assert tracks[1].strips[0].frame_start == 51
    assert report.frame_start == 51
    assert np.linalg.norm(_head(armature, "left_wrist", 60) - _head(armature, "left_wrist", 51)) > 0.01


@pytest.mark.parametrize("interpolation", ["LINEAR", "BEZIER"])
@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ"])
def test_fewer_keys_stay_within_the_bound(interpolation: str, mode: str) -> None:
    full, thin = canonical_armature("Full"), canonical_armature("Thin")
    for armature in (full, thin):
        for bone in armature.pose.bones:
            bone.rotation_mode = mode
    clip = smooth_clip(97, fps=FPS)
    every = apply_clip(full, clip, _options())
    fewer = apply_clip(thin, clip, _options(reduce_deg=0.5, reduce_mm=2.0, interpolation=interpolation))
    assert fewer.keys < {"LINEAR": 0.9, "BEZIER": 0.7}[interpolation] * every.keys
    worst = 0.0
    for frame in range(1, 98):
        bpy.context.scene.frame_set(frame)
        pairs = zip(full.pose.bones, thin.pose.bones, strict=True)
        turns = np.array([(a.matrix_basis.to_quaternion(), b.matrix_basis.to_quaternion()) for a, b in pairs])
        worst = max(worst, float(quaternion_between(turns[:, 0], quaternion_normalize(turns[:, 1])).max()))
        apart = (full.pose.bones["pelvis"].location - thin.pose.bones["pelvis"].location).length
        assert apart < 0.002 + 1e-4
    assert np.degrees(worst) < 0.5 + 0.1  # single precision


def test_frames_without_the_person_have_no_keys() -> None:
    armature = canonical_armature()
    clip = smooth_clip(48, fps=FPS)
    rotations, root, confidence = clip.rotations_wxyz.copy(), clip.root_world_m.copy(), clip.confidence.copy()
    rotations[10:20], root[10:20], confidence[10:20] = np.nan, np.nan, 0.0
    report = apply_clip(
        armature, replace(clip, rotations_wxyz=rotations, root_world_m=root, confidence=confidence), _options()
    )
    assert report.frames == 38
    assert any("10 frames without the person" in warning for warning in report.warnings)
    frames = {point.co.x for point in actions.action_fcurves(armature)[0].keyframe_points}
    assert not frames & set(range(11, 21))


def test_the_object_can_carry_the_motion_below_a_parent() -> None:
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.matrix_world = Matrix.Translation((1, 2, 0)) @ Matrix.Rotation(0.6, 4, "Z")
    bpy.context.view_layer.update()
    free, child = canonical_armature("Free"), canonical_armature("Child")
    child.parent = parent
    child.matrix_parent_inverse = parent.matrix_world.inverted()
    bpy.context.view_layer.update()
    clip = smooth_clip(24, fps=FPS)
    options = replace(_options(), retarget=replace(AS_FILMED, root=RootMode.OBJECT))
    for armature in (free, child):
        apply_clip(armature, clip, options)
    for frame in (1, 12, 24):
        assert np.abs(_head(free, "left_toe", frame) - _head(child, "left_toe", frame)).max() < 1e-4


def test_the_skeleton_lies_where_the_character_stands() -> None:
    armature = canonical_armature(scale=1.3)
    armature.location = (2.0, 1.0, 0.0)
    bpy.context.view_layer.update()
    options = replace(_options(), retarget=RetargetOptions(placement=Placement.CHARACTER, plant_feet=False))
    clip = smooth_clip(24, fps=FPS)
    found = retarget_clip(armature, clip, options)
    matrix = scene_from_clip(found, options.retarget)
    pelvis = pose_clip(found.clip).positions_m[:, 0] @ matrix[:3, :3].T + matrix[:3, 3]
    bake(armature, found.pose, options.bake)
    for frame in (1, 10, 24):
        assert np.linalg.norm(_head(armature, "pelvis", frame) - pelvis[frame - 1]) < 0.03


def test_nothing_moved_is_never_silent(tmp_path: Path) -> None:
    clip = smooth_clip(10, fps=FPS)
    data = bpy.data.armatures.new("Box")
    box = bpy.data.objects.new("Box", data)
    bpy.context.scene.collection.objects.link(box)
    bpy.context.view_layer.objects.active = box
    bpy.ops.object.mode_set(mode="EDIT")
    bone = data.edit_bones.new("lid")
    bone.tail = (0, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    with pytest.raises(BakeError, match="cannot be mapped"):
        apply_clip(box, clip, _options())
    armature = canonical_armature()
    pose = retarget_clip(armature, clip, _options()).pose
    with pytest.raises(BakeError, match="nothing would move"):
        bake(armature, replace(pose, bone_names=()), BakeOptions())
    with pytest.raises(BakeError, match="no frame with a person"):
        bake(armature, replace(pose, present=np.zeros(len(pose.present), bool)), BakeOptions())
    armature.pose.bones["head"].name = "skull"
    with pytest.raises(BakeError, match="no bone head"):
        bake(armature, pose, BakeOptions())
    assert armature.animation_data is None


def test_a_linked_armature_is_refused_and_its_override_takes_the_bake(tmp_path: Path) -> None:
    canonical_armature("Linked")
    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(library), link=True) as (_, taken):
        taken.objects = ["Linked"]
    linked = taken.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    clip = smooth_clip(121, fps=120.0)
    with pytest.raises(BakeError, match="library override"):
        apply_clip(linked, clip, _options())
    override = linked.override_create(remap_local_usages=True)
    report = apply_clip(override, clip, _options())
    assert report.keys > 0
    assert _limb_error_deg(override, clip) < 0.1


def _curves(armature: Any) -> list[tuple[str, int, list[tuple[float, ...]]]]:
    curves = actions.action_fcurves(armature)
    return [(curve.data_path, curve.array_index, [tuple(key.co) for key in curve.keyframe_points]) for curve in curves]


def _slot(data: Any) -> str:
    slot = getattr(data, "action_slot", None)
    return slot.identifier if slot is not None else ""


@pytest.mark.parametrize("animated", [True, False])
@pytest.mark.parametrize(("into", "place"), [*((into, "keys") for into in BakeInto), (BakeInto.NLA_STRIP, "strip")])
def test_what_was_there_before_is_back_after_a_fault_half_way(
    into: BakeInto, animated: bool, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    armature, clip, other = canonical_armature(), smooth_clip(40, fps=FPS), smooth_clip(30, fps=FPS, seed=5)
    if animated:
        apply_clip(armature, clip, _options(name="Before"))
    data = armature.animation_data
    before = data.action if data else None
    slot = _slot(data)
    names = sorted(action.name for action in bpy.data.actions)

    def half(bag: Any, channels: list[actions.Channel]) -> int:
        keyed = [*channels[: len(channels) // 2], replace(channels[-1], values=channels[-1].values[1:])]
        return actions.write_channels(bag, keyed)  # the last has too few values, which is refused

    def no_strip(animated: Any, action: Any, name: str, *given: Any) -> Any:
        if name == "Before":
            return actions.push_to_nla(animated, action, name, *given)
        raise RuntimeError("Blender refused")

    monkeypatch.setattr("blender_addon.rig.bake.write_channels", half if place == "keys" else actions.write_channels)
    monkeypatch.setattr("blender_addon.rig.bake.push_to_nla", no_strip)
    curves = _curves(armature)
    with pytest.raises((RuntimeError, ValueError), match=r"Blender refused|values for"):
        apply_clip(armature, other, _options(name="After", into=into))
    assert _curves(armature) == curves
    assert armature.animation_data.action == before
    assert not armature.animation_data.nla_tracks
    assert sorted(action.name for action in bpy.data.actions) == names
    if animated:
        assert not before.use_fake_user
        assert _slot(armature.animation_data) == slot
        assert _limb_error_deg(armature, clip) < 0.1
    monkeypatch.undo()
    assert apply_clip(armature, clip, _options(name="After", into=into)).keys
