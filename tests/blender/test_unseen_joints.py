"""Joints that are not in the frame: keyed as a guess, or left without keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from clips import smooth_clip
from retarget_rigs import generate_rigify
from rigs import canonical_armature

from blender_addon.motion.body import bare_name, canonical_body
from blender_addon.motion.clip import MotionClip
from blender_addon.retarget.baked_pose import Controls, RetargetOptions
from blender_addon.retarget.unseen_keys import UnseenJoints
from blender_addon.rig.actions import channelbag
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip
from blender_addon.rig.bake import BakeInto, BakeOptions
from blender_addon.rig.draw_skeleton import confidence_colour, joint_confidence

FPS = 24.0
LEAVE_OUT = ApplyOptions(bake=BakeOptions(fps=FPS), unseen=UnseenJoints.LEAVE_OUT)


def half_clip(seen_from: int) -> MotionClip:
    """49 frames; the legs below the hips are in the frame from `seen_from` on."""
    clip, body = smooth_clip(49, fps=FPS), canonical_body()
    confidence = np.full((len(clip), len(body.joint_names)), 0.9, np.float32)
    legs = [joint for joint, name in enumerate(body.joint_names) if bare_name(name) in ("knee", "ankle", "toe")]
    confidence[:seen_from, legs] = 0.0
    return replace(clip, joint_confidence=confidence)


def key_frames(armature: Any) -> dict[str, list[float]]:
    """The frames of the keys of each bone's first channel."""
    frames: dict[str, list[float]] = {}
    for curve in channelbag(armature).fcurves:
        if curve.data_path.startswith("pose"):
            frames.setdefault(curve.data_path.split('"')[1], [key.co[0] for key in curve.keyframe_points])
    return frames


def is_leg(bone: str) -> bool:
    return bare_name(bone) in ("hip", "knee", "ankle", "toe")


def test_legs_that_are_never_seen_get_no_keys_and_the_report_says_so() -> None:
    armature = canonical_armature()
    report = apply_clip(armature, half_clip(49), LEAVE_OUT)
    assert not any(is_leg(bone) for bone in key_frames(armature))
    assert {"pelvis", "chest", "left_elbow"} <= key_frames(armature).keys()
    assert any("the legs are not seen in 100 % of the frames: they have no keys there" in w for w in report.warnings)


def test_legs_that_come_into_the_frame_have_keys_from_then_on() -> None:
    armature = canonical_armature()
    apply_clip(armature, half_clip(20), LEAVE_OUT)
    frames = key_frames(armature)
    for bone, keys in frames.items():
        assert keys == [float(frame) for frame in range(21 if is_leg(bone) else 1, 50)], bone


def test_unseen_joints_are_keyed_by_default_with_a_warning() -> None:
    armature, whole = canonical_armature(), canonical_armature("Whole")
    report = apply_clip(armature, half_clip(20), ApplyOptions(bake=BakeOptions(fps=FPS)))
    plain = apply_clip(whole, smooth_clip(49, fps=FPS), LEAVE_OUT)
    assert key_frames(armature) == key_frames(whole)
    assert any("not seen in 41 % of the frames: their keys there are a guess" in w for w in report.warnings)
    assert not any("not seen" in warning for warning in plain.warnings)


@pytest.mark.parametrize("interpolation", ["LINEAR", "BEZIER"])
def test_keys_of_the_animator_stay_where_a_joint_is_not_seen(interpolation: str) -> None:
    armature, clip = canonical_armature(), half_clip(0)
    confidence = clip.joint_confidence.copy()
    confidence[15:30] = half_clip(49).joint_confidence[15:30]
    bake = BakeOptions(fps=FPS, into=BakeInto.CURRENT_ACTION, interpolation=interpolation)
    knee = armature.pose.bones["left_knee"]
    for frame in (10, 22):  # by hand, as for a foot below the frame's edge
        knee.rotation_quaternion = (0.8, 0.6, 0.0, 0.0)
        knee.keyframe_insert("rotation_quaternion", frame=frame)
    apply_clip(armature, replace(clip, joint_confidence=confidence), replace(LEAVE_OUT, bake=bake))
    curve = channelbag(armature).fcurves.find('pose.bones["left_knee"].rotation_quaternion', index=1)
    keys = {key.co[0]: key.co[1] for key in curve.keyframe_points}
    assert sorted(keys) == [*range(1, 16), 22, *range(31, 50)]
    assert keys[22] == pytest.approx(0.6)
    assert keys[10] != pytest.approx(0.6)


@pytest.mark.parametrize("controls", [Controls.FK, Controls.IK])
def test_the_leg_controls_of_rigify_are_left_out_too(controls: Controls) -> None:
    armature = generate_rigify(False)
    apply_clip(armature, half_clip(49), replace(LEAVE_OUT, retarget=RetargetOptions(controls=controls)))
    bones = key_frames(armature).keys()
    assert not [bone for bone in bones if any(part in bone for part in ("thigh", "shin", "foot", "toe"))], bones
    assert "torso" in bones


def test_the_preview_dims_joints_that_are_not_in_the_frame() -> None:
    clip = half_clip(20)
    confidence = joint_confidence(clip)
    knee = canonical_body().joint_index("left_knee")
    assert confidence[0, knee] == 0.0
    assert confidence[30, knee] == pytest.approx(0.8)  # never above the frame's own
    assert confidence_colour(confidence[0, knee])[3] < confidence_colour(confidence[30, knee])[3]
