"""Finishing a motion: loops, mirroring, contacts as keys, through the panel's settings and buttons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from rigs import canonical_armature

from blender_addon.motion.body import canonical_body
from blender_addon.motion.body_contacts import CONTACT_PARTS
from blender_addon.motion.clip import read_clip, write_clip
from blender_addon.motion.posing import FOOT_POINTS
from blender_addon.motion.rotations import rotvec_to_quaternion

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY_ROOT / "assets" / "sample_clip.npz"


@pytest.fixture
def walker(state: Any) -> Any:
    """A scene with the sample clip and a rig; the value is the scene's settings."""
    bpy.ops.marionet.import_clip(filepath=str(SAMPLE))
    kept = bpy.context.scene.marionet
    kept.retarget.armature = canonical_armature()
    return kept


def bone_heads(armature: bpy.types.Object, frames: range, names: list[str]) -> np.ndarray:
    """World positions (T, N, 3) of bones' heads on the evaluated armature."""
    rows = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        rows.append([posed.matrix_world @ posed.pose.bones[name].head for name in names])
    return np.array(rows)


@pytest.mark.parametrize("root", ["HIPS", "ROOT_BONE", "OBJECT"])
def test_a_baked_loop_ends_as_it_begins(walker: Any, root: str) -> None:
    walker.cleanup.loop, walker.retarget.root = "FIND", root
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    armature, scene = walker.retarget.armature, bpy.context.scene
    action = armature.animation_data.action
    assert action.use_cyclic
    first, last = round(action.frame_start), round(action.frame_end)
    assert (scene.frame_start, scene.frame_end) == (first, last - 1)
    names = [bone.name for bone in armature.pose.bones]
    heads = bone_heads(armature, range(first, last + 1), names)
    moved = heads[-1] - heads[0]
    travel = moved.mean(axis=0) * [1, 1, 0]
    assert np.linalg.norm(travel) > 0.5
    assert np.abs(moved - travel).max() < 1e-3
    steps = np.diff(heads, axis=0)
    inside = np.linalg.norm(np.diff(steps, axis=0), axis=-1).max()
    assert np.linalg.norm(steps[0] - steps[-1], axis=-1).max() < inside


def test_a_mirrored_bake_exchanges_the_hands(walker: Any) -> None:
    armature = walker.retarget.armature
    names = ["left_wrist", "right_wrist"]
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    plain = bone_heads(armature, range(1, 40), names)
    walker.cleanup.mirror = True
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    mirrored = bone_heads(armature, range(1, 40), names)
    assert np.abs(mirrored[..., 2] - plain[:, ::-1, 2]).max() < 5e-3


def contact_keys(name: str) -> Any:
    thing = bpy.context.scene.marionet.clips[0].contacts
    actions = [curve for curve in all_curves(thing.animation_data) if curve.data_path == f'["{name}"]']
    return actions[0]


def all_curves(data: Any) -> list[Any]:
    action = data.action
    if hasattr(action, "layers"):
        bags = [strip.channelbag(data.action_slot) for layer in action.layers for strip in layer.strips]
        return [curve for bag in bags for curve in bag.fcurves]
    return list(action.fcurves)


def test_contacts_as_keys_say_what_the_clip_says(walker: Any, addon: Any) -> None:
    before = addon("session.clips").cleaned_clip(bpy.context).contacts >= 0.5
    assert bpy.ops.marionet.edit_contacts() == {"FINISHED"}
    thing = walker.clips[0].contacts
    assert bpy.context.view_layer.objects.active == thing
    assert thing.animation_data.action is not None
    after = addon("session.clips").cleaned_clip(bpy.context).contacts
    assert set(np.unique(after)) <= {0.0, 1.0}
    assert np.mean((after >= 0.5) != before) < 0.02  # the scene's frames are not the clip's
    assert bpy.ops.marionet.reset_contacts() == {"FINISHED"}
    assert walker.clips[0].contacts is None
    assert not [thing for thing in bpy.data.objects if "Contacts" in thing.name]


def foot_path(walker: Any, first: int, last: int) -> float:
    """How far the left ankle moves between two frames of the bake, in m."""
    heads = bone_heads(walker.retarget.armature, range(first, last + 1), ["left_ankle"])[:, 0]
    return float(np.linalg.norm(heads - heads[0], axis=-1).max())


def test_a_changed_span_is_planted_after_a_save_and_a_reload(walker: Any, tmp_path: Path) -> None:
    """The left foot's first swing becomes a contact: it stands there, without a new solve."""
    clip = read_clip(SAMPLE)
    swings = np.flatnonzero(clip.contacts[:, : FOOT_POINTS.index("right_heel")].max(axis=1) < 0.2)
    start = int(np.ceil(clip.times_s[swings[0]] * 24.0)) + 1
    end = start + 5
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    assert foot_path(walker, start, end) > 0.05
    assert bpy.ops.marionet.edit_contacts() == {"FINISHED"}
    for name in ("Left Heel", "Left Ball"):
        curve = contact_keys(name)
        for key in [key for key in curve.keyframe_points if start - 3 <= key.co.x <= end + 3][::-1]:
            curve.keyframe_points.remove(key)
        for frame, value in ((start, 1.0), (end + 1, 0.0)):
            key = curve.keyframe_points.insert(frame, value)
            key.interpolation = "CONSTANT"
    path = tmp_path / "contacts.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_empty=True, app_template="")
    bpy.ops.wm.open_mainfile(filepath=str(path))
    walker = bpy.context.scene.marionet
    assert walker.clips[0].contacts is not None
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    assert foot_path(walker, start, end) < 0.01  # the foot turns on the spot


def test_keys_follow_the_clip_along_the_timeline(walker: Any, addon: Any) -> None:
    assert bpy.ops.marionet.edit_contacts() == {"FINISHED"}
    before = [key.co.x for key in contact_keys("Left Heel").keyframe_points]
    spans = addon("session.contact_edit").edited_spans(bpy.context, read_clip(SAMPLE))
    walker.bake.frame_start += 100
    addon("session.clips").cleaned_clip(bpy.context)
    assert [key.co.x for key in contact_keys("Left Heel").keyframe_points] == pytest.approx([x + 100 for x in before])
    assert addon("session.contact_edit").edited_spans(bpy.context, read_clip(SAMPLE)) == spans
    walker.cleanup.mirror = True
    addon("session.clips").cleaned_clip(bpy.context)
    assert [key.co.x for key in contact_keys("Right Heel").keyframe_points] == pytest.approx([x + 100 for x in before])
    assert addon("session.contact_edit").edited_spans(bpy.context, read_clip(SAMPLE)) == spans


def test_contacts_without_keys_count_as_they_stand(walker: Any, addon: Any) -> None:
    assert bpy.ops.marionet.edit_contacts() == {"FINISHED"}
    thing = walker.clips[0].contacts
    thing.animation_data_clear()
    for prop in ("Left Heel", "Left Ball"):
        thing[prop] = True
    for prop in ("Right Heel", "Right Ball"):
        thing[prop] = False
    contacts = addon("session.clips").cleaned_clip(bpy.context).contacts
    assert contacts[:, :2].min() == 1.0
    assert contacts[:, 2:].max() == 0.0


def test_a_deleted_property_of_the_contacts_leaves_the_others_in_their_places(walker: Any, addon: Any) -> None:
    clip = read_clip(SAMPLE)
    assert bpy.ops.marionet.edit_contacts() == {"FINISHED"}
    edit, thing = addon("session.contact_edit"), walker.clips[walker.clip_index].contacts
    before = edit.edited_spans(bpy.context, clip)
    del thing["Left Heel"]
    assert edit.edited_spans(bpy.context, clip) == before  # its keys are still there
    walker.cleanup.mirror = True
    addon("session.clips").cleaned_clip(bpy.context)
    assert edit.edited_spans(bpy.context, clip) == before


def test_contacts_that_were_deleted_in_the_viewport_leave_nothing_behind(walker: Any) -> None:
    for _ in range(2):
        assert bpy.ops.marionet.edit_contacts() == {"FINISHED"}
        names = [thing.name for thing in bpy.data.objects if "Contacts" in thing.name]
        assert names == [walker.clips[walker.clip_index].contacts.name]
        assert [action.name for action in bpy.data.actions if "Contacts" in action.name] == names
        assert bpy.ops.object.delete() == {"FINISHED"}


def test_contacts_of_the_body_are_keys_too_and_an_added_one_is_held(walker: Any, tmp_path: Path) -> None:
    clip = read_clip(SAMPLE)
    parts = np.zeros((len(clip), len(CONTACT_PARTS)), np.float32)
    parts[10:20, CONTACT_PARTS.index("seat")] = 1.0
    bent = clip.rotations_wxyz.copy()
    bent[:, canonical_body().joint_index("left_elbow")] = rotvec_to_quaternion(np.array([0.0, 0.0, -1.2]))
    write_clip(replace(clip, body_contacts=parts, rotations_wxyz=bent), tmp_path / "rests.npz")
    bpy.ops.marionet.import_clip(filepath=str(tmp_path / "rests.npz"))
    walker.clip_index = len(walker.clips) - 1
    first, last = 21, 26
    assert bpy.ops.marionet.bake() == {"FINISHED"}

    def travel() -> float:
        heads = bone_heads(walker.retarget.armature, range(first, last + 1), ["left_hand"])[:, 0]
        return float(np.linalg.norm(heads - heads[0], axis=-1).max())

    assert travel() > 0.05
    assert bpy.ops.marionet.edit_contacts() == {"FINISHED"}
    thing = walker.clips[walker.clip_index].contacts
    names = [curve.data_path for curve in all_curves(thing.animation_data)]
    assert len(names) == 4 + len(CONTACT_PARTS)
    curves = {curve.data_path: curve for curve in all_curves(thing.animation_data)}
    seat = [key.co.y for key in curves['["Seat"]'].keyframe_points]
    assert seat == [0.0, 1.0, 0.0]
    for frame, value in ((first, 1.0), (last + 1, 0.0)):
        key = curves['["Left Hand"]'].keyframe_points.insert(frame, value)
        key.interpolation = "CONSTANT"
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    assert travel() < 0.02
