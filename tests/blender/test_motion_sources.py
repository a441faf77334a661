"""Motion from elsewhere in Blender: armatures' actions, NLA, IK rigs, Blender's importers, files, several at once."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from face_rigs import face_mesh
from retarget_rigs import family_armature, generate_rigify, import_character
from rigs import canonical_armature

from blender_addon.motion.bvh import read_bvh
from blender_addon.motion.clip import MotionClip, read_clip
from blender_addon.motion.motion_file_error import MotionFileError
from blender_addon.motion.posing import pose_clip
from blender_addon.retarget.auto_map import detect_map
from blender_addon.retarget.baked_pose import Controls, Placement, RetargetOptions
from blender_addon.retarget.clip_from_source import ARMATURE, SourceOptions, clip_of_skeleton, clip_of_source
from blender_addon.retarget.map_files import rig_families
from blender_addon.retarget.skeleton_map import SkeletonMap
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip
from blender_addon.rig.armature_clips import playing_clip
from blender_addon.rig.bake import BakeInto, BakeOptions
from blender_addon.rig.read_armature import read_armature
from blender_addon.rig.sample_armature import FrameSpan, own_actions, playing_span, sample_armature
from tests.retarget.hand_motion import face_of, with_poses
from tests.retarget.random_motion import walk_clip

FPS = 30.0
SAMPLE = read_clip(Path(__file__).resolve().parents[2] / "assets" / "sample_clip.npz")
# Blender's BVH importer leaves its file open
BLENDERS_IMPORTER = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
LIMBS = [
    (f"{side}_{upper}", f"{side}_{lower}")
    for side in ("left", "right")
    for upper, lower in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
]
LEGS = [row for row, (upper, _) in enumerate(LIMBS) if upper.endswith(("hip", "knee"))]
PAIRS = [
    ("mixamo", "unreal"),
    ("unreal", "rigify_metarig"),
    ("rigify_metarig", "smplx"),
    ("smplx", "vrm"),
    ("vrm", "daz_genesis8"),
    ("daz_genesis8", "character_creator"),
    ("character_creator", "cmu_motionbuilder"),
    ("cmu_motionbuilder", "mixamo"),
]


@pytest.fixture(autouse=True)
def thirty_frames_a_second() -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.render.fps = 30
    bpy.context.scene.render.fps_base = 1.0


def options(plant: bool = True, **more: Any) -> ApplyOptions:
    return ApplyOptions(
        retarget=RetargetOptions(plant_feet=plant, placement=Placement.CHARACTER, **more), bake=BakeOptions(fps=FPS)
    )


def map_of(armature: Any) -> SkeletonMap:
    return detect_map(read_armature(armature)).skeleton_map


def limb_directions(armature: Any, skeleton_map: SkeletonMap, frames: int) -> np.ndarray:
    """Unit vectors (T, 8, 3) of the limbs, as Blender evaluates them, by means other than the sampler's."""
    found = []
    for frame in range(1, frames + 1):
        bpy.context.scene.frame_set(frame)
        shown = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        world = shown.matrix_world
        heads = [
            [np.array(world @ shown.pose.bones[skeleton_map.joints[joint][0]].head) for joint in pair] for pair in LIMBS
        ]
        found.append([b - a for a, b in heads])
    spans = np.array(found)
    return spans / np.linalg.norm(spans, axis=-1, keepdims=True)


def clip_directions(clip: MotionClip) -> np.ndarray:
    positions, names = pose_clip(clip).positions_m, clip.body_joint_names
    spans = np.stack([positions[:, names.index(b)] - positions[:, names.index(a)] for a, b in LIMBS], axis=1)
    return spans / np.linalg.norm(spans, axis=-1, keepdims=True)


def worst_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(np.sum(a * b, axis=-1), -1.0, 1.0))).max())


def used(armature: Any) -> MotionClip:
    span = playing_span(armature)
    assert span is not None
    return clip_of_source(sample_armature(armature, span, FPS), SourceOptions(armature.name, ARMATURE))


@pytest.mark.parametrize("plant", [False, True], ids=["as it is", "feet planted"])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_by_way_of_another_rig_it_is_the_same_motion(first: str, second: str, plant: bool) -> None:
    families = {family.family: family for family in rig_families()}
    one, other = family_armature(families[first], 3).armature, family_armature(families[second], 4).armature
    skeleton_map = map_of(other)
    frames = apply_clip(other, SAMPLE, options(plant)).frame_end
    direct = limb_directions(other, skeleton_map, frames)
    other.animation_data_clear()
    for bone in other.pose.bones:
        bone.matrix_basis.identity()
    apply_clip(one, SAMPLE, options(plant))
    found = used(one)
    assert not found.header.warnings
    apply_clip(other, found, options(plant))
    assert worst_deg(direct, limb_directions(other, skeleton_map, frames)) < 0.5


@BLENDERS_IMPORTER
@pytest.mark.shared
@pytest.mark.parametrize(
    "take",
    [
        "cmu_bvh_3dsmax/resources_131_01.bvh",
        "cmu_bvh_cc/All_BVH_subjects_002_002_04.bvh",
        "animated_drawings_bvh/examples_bvh_cmu1_jumping_jacks.bvh",
        "animated_drawings_bvh/examples_bvh_fair1_dab.bvh",
    ],
)
def test_a_bvh_by_blenders_importer_is_the_same_as_by_our_reader(shared: Path, take: str) -> None:
    path = shared / "mocap" / take
    axes = {"axis_forward": "Y", "axis_up": "Z"} if "fair1" in take else {}
    bpy.ops.import_anim.bvh(filepath=str(path), update_scene_fps=True, update_scene_duration=True, **axes)
    imported = bpy.context.object
    render = bpy.context.scene.render
    skeleton = read_bvh(path)
    span = FrameSpan(1, len(skeleton))
    theirs = clip_of_source(
        sample_armature(imported, span, render.fps / render.fps_base), SourceOptions("imported", ARMATURE)
    )
    ours = clip_of_skeleton(skeleton, SourceOptions(path.name))
    families = {family.family: family for family in rig_families()}
    rig = family_armature(families["mixamo"], 5).armature
    skeleton_map = map_of(rig)
    shown = []
    for clip in (ours, theirs):
        frames = apply_clip(rig, clip, options()).frame_end
        shown.append(limb_directions(rig, skeleton_map, frames))
    length = min(map(len, shown))
    assert length > 20
    turned = shown[0][:length], shown[1][:length]
    assert worst_deg(*turned) < 1.0


@BLENDERS_IMPORTER
@pytest.mark.shared
def test_the_wrong_axes_in_an_importer_are_noticed(shared: Path) -> None:
    path = shared / "mocap" / "animated_drawings_bvh" / "examples_bvh_fair1_dab.bvh"  # Z up; the default is Y up
    bpy.ops.import_anim.bvh(filepath=str(path), update_scene_fps=True, update_scene_duration=True)
    found = used(bpy.context.object)
    assert any("turned upright" in warning.text for warning in found.header.warnings)
    assert (
        worst_deg(clip_directions(found), clip_directions(clip_of_skeleton(read_bvh(path), SourceOptions("x")))) < 0.1
    )


def test_a_strip_of_the_nla_is_motion_too() -> None:
    rig = canonical_armature()
    apply_clip(rig, SAMPLE, ApplyOptions(bake=BakeOptions(fps=FPS, into=BakeInto.NLA_STRIP, frame_start=11.0)))
    assert rig.animation_data.action is None
    span = playing_span(rig)
    assert span is not None
    assert span.first == 11
    truth = limb_directions(rig, map_of(rig), span.last)[span.first - 1 :]
    assert worst_deg(truth[0], truth[40]) > 5.0
    assert worst_deg(clip_directions(used(rig)), truth) < 0.05


@pytest.mark.parametrize("controls", list(Controls))
def test_a_rigify_character_is_read_behind_its_controls(controls: Controls) -> None:
    rig = generate_rigify(with_fingers=False)
    frames = apply_clip(rig, SAMPLE, options(plant=False, controls=controls)).frame_end
    bones = {"left_elbow": "ORG-forearm.L", "left_wrist": "ORG-hand.L", "left_knee": "ORG-shin.L"}
    bones |= {"left_ankle": "ORG-foot.L", "left_shoulder": "ORG-upper_arm.L", "left_hip": "ORG-thigh.L"}
    bones |= {joint.replace("left", "right"): bone.replace(".L", ".R") for joint, bone in list(bones.items())}
    behind = SkeletonMap("x", "x", {joint: (bone,) for joint, bone in bones.items()})
    truth = limb_directions(rig, behind, frames)
    assert worst_deg(clip_directions(used(rig))[:frames], truth) < 0.1


def test_slots_and_several_actions_each_become_a_clip(addon: Any, state: Any) -> None:
    rig = canonical_armature("Puppet")
    for name in ("Wave", "Walk"):
        apply_clip(rig, SAMPLE, ApplyOptions(bake=BakeOptions(name=name, fps=FPS)))
    kept = rig.animation_data.action
    assert {action.name for action in own_actions(rig)} == {"Wave", "Walk"}
    scene = bpy.context.scene
    assert bpy.ops.marionet.use_armature_motion(armature="Puppet", every_action=True) == {"FINISHED"}
    assert [clip.name for clip in scene.marionet.clips] == ["Walk", "Wave"]
    assert rig.animation_data.action == kept
    assert not state.last_error


def test_one_click_from_an_armature_to_another_rig(addon: Any, state: Any) -> None:
    families = {family.family: family for family in rig_families()}
    source, target = family_armature(families["mixamo"], 8).armature, canonical_armature("Target")
    apply_clip(source, SAMPLE, options())
    kept = bpy.context.scene.marionet
    kept.retarget.armature = target
    bpy.context.view_layer.objects.active = source
    frame = bpy.context.scene.frame_current
    assert bpy.ops.marionet.use_armature_motion() == {"FINISHED"}
    assert bpy.context.scene.frame_current == frame
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    assert target.animation_data.action is not None
    assert len(kept.clips) == 1
    # nothing is selected: the only armature that moves beside the target is meant
    bpy.context.view_layer.objects.active = None
    bpy.ops.object.select_all(action="DESELECT")
    assert bpy.ops.marionet.use_armature_motion() == {"FINISHED"}
    assert len(kept.clips) == 2


def test_several_files_at_once_and_what_failed_is_named(
    addon: Any, state: Any, tmp_path: Path, clip_file: Path
) -> None:
    rest, turned = np.zeros((20, 72)), np.zeros((20, 3))
    rest[:, 2 * 3 + 0] = np.linspace(0, 0.4, 20)
    np.savez(tmp_path / "smpl.npz", poses=rest, trans=turned, mocap_framerate=30.0)
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    (tmp_path / "attack.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    files = [{"name": name} for name in ("smpl.npz", "other.npz", "attack.pkl", clip_file.name)]
    assert bpy.ops.marionet.import_clip(directory=str(tmp_path), files=files) == {"FINISHED"}
    kept = bpy.context.scene.marionet
    assert [clip.name for clip in kept.clips] == ["smpl", clip_file.stem]
    told = "\n".join(state.notes)
    assert "other.npz" in told
    assert "attack.pkl" in told
    with pytest.raises(RuntimeError, match="none of the arrays of a motion"):
        bpy.ops.marionet.import_clip(filepath=str(tmp_path / "other.npz"))


def test_scene_files_are_read_and_leave_nothing_behind(addon: Any, state: Any, tmp_path: Path) -> None:
    families = {family.family: family for family in rig_families()}
    rig = family_armature(families["mixamo"], 9).armature
    rig.matrix_world.identity()
    frames = apply_clip(rig, SAMPLE, options(plant=False)).frame_end
    bpy.context.scene.frame_end = frames
    truth = limb_directions(rig, map_of(rig), frames)
    bpy.ops.export_scene.fbx(filepath=str(tmp_path / "walk.fbx"), object_types={"ARMATURE"}, add_leaf_bones=False)
    bpy.ops.export_scene.gltf(filepath=str(tmp_path / "walk.glb"))
    before = {
        kind: len(getattr(bpy.data, kind)) for kind in ("objects", "actions", "armatures", "meshes", "collections")
    }
    files = [{"name": "walk.fbx"}, {"name": "walk.glb"}]
    assert bpy.ops.marionet.import_clip(directory=str(tmp_path), files=files) == {"FINISHED"}
    assert {kind: len(getattr(bpy.data, kind)) for kind in before} == before
    kept = bpy.context.scene.marionet
    assert len(kept.clips) == 2
    for entry in kept.clips:
        found = clip_directions(read_clip(Path(entry.filepath)))
        length = min(len(found), len(truth))
        assert abs(len(found) - len(truth)) <= 1
        assert worst_deg(found[5:length], truth[5:length]) < 2.0


@pytest.mark.shared
def test_every_action_of_a_library_in_one_import(addon: Any, state: Any, shared: Path) -> None:
    path = shared / "floor" / "kaykit" / "Med_MovementBasic.glb"
    assert bpy.ops.marionet.import_clip(filepath=str(path)) == {"FINISHED"}
    kept = bpy.context.scene.marionet
    assert len(kept.clips) >= 5
    for entry in kept.clips:
        clip = read_clip(Path(entry.filepath))
        assert 0.5 < np.median(pose_clip(clip).positions_m[:, 5, 2]) < 1.9, entry.name


def test_sources_that_are_no_people_are_refused(addon: Any, state: Any) -> None:
    bpy.ops.preferences.addon_enable(module="rigify")
    bpy.ops.object.armature_wolf_metarig_add()
    wolf = bpy.context.object
    wolf.pose.bones[0].keyframe_insert("location", frame=1)
    wolf.pose.bones[0].keyframe_insert("location", frame=9)
    with pytest.raises(RuntimeError, match="does not move like a person"):
        bpy.ops.marionet.use_armature_motion(armature=wolf.name)
    still = canonical_armature("Still")
    with pytest.raises(RuntimeError, match="does not move"):
        bpy.ops.marionet.use_armature_motion(armature="Still")
    still.data.pose_position = "REST"
    with pytest.raises(MotionFileError, match="rest position"):
        sample_armature(still, FrameSpan(1, 3), FPS)
    with pytest.raises(RuntimeError, match="no armature"):
        bpy.ops.marionet.use_armature_motion(armature="Nobody")


@pytest.mark.shared
def test_a_real_character_is_a_source(shared: Path, tmp_path: Path) -> None:
    rig = import_character(shared / "characters" / "mpfb" / "mixamo.blend", tmp_path)
    frames = apply_clip(rig, SAMPLE, options()).frame_end
    truth = limb_directions(rig, map_of(rig), frames)
    assert worst_deg(clip_directions(used(rig))[:frames], truth) < 0.05


def test_fingers_and_shape_keys_of_an_armature_come_along() -> None:
    source = family_armature(next(family for family in rig_families() if family.family == "mixamo"), seed=3).armature
    walk = walk_clip(steps=3)
    frames = len(walk)
    wave = 0.5 + 0.4 * np.sin(np.arange(frames) / 5.0)
    face = face_of({"jawOpen": wave, "eyeBlinkLeft": 1.0 - wave}, frames)
    clip = replace(with_poses(walk, ["flat", "fist", "point"]), face=face)
    mesh = face_mesh(source, ["jawOpen", "eyeBlinkLeft", "mouthSmileLeft"])
    apply_clip(source, clip, options(plant=False))
    face_mesh(source, ["jawOpen"], mesh_name="Teeth")  # of the same name, and never animated
    face_mesh(source, ["A14_Eye_Blink_Left"], mesh_name="Lashes")  # of the same weight, in another set of shapes
    found = playing_clip(source, FPS).clip
    assert found.hands is not None
    same = np.abs(np.sum(found.hands.rotations_wxyz * clip.hands.rotations_wxyz, axis=-1))
    assert np.degrees(2.0 * np.arccos(np.clip(same, 0.0, 1.0))).max() < 1.0
    assert found.face is not None
    np.testing.assert_allclose(found.face.weights, face.weights, atol=1e-3)
    assert mesh.data.shape_keys.key_blocks["jawOpen"].value >= 0.0


@pytest.mark.shared
def test_feet_planted_twice_on_other_proportions_differ_little(shared: Path, tmp_path: Path) -> None:
    """Clip to A and A to B, both planted, against the clip to B: each rig holds a foot where its own legs put it."""
    first = import_character(shared / "characters" / "mpfb" / "mixamo.blend", tmp_path)
    second = import_character(shared / "characters" / "vrm" / "cryptovoxels.vrm", tmp_path)
    smap = map_of(second)
    frames = apply_clip(second, SAMPLE, options()).frame_end
    direct = limb_directions(second, smap, frames)[:, LEGS]
    apply_clip(first, SAMPLE, options())
    by_way_clip = playing_clip(first, FPS).clip
    assert apply_clip(second, by_way_clip, options()).frame_end == frames
    by_way = limb_directions(second, smap, frames)[:, LEGS]
    angles = np.degrees(np.arccos(np.clip(np.sum(direct * by_way, axis=-1), -1.0, 1.0)))
    logging.getLogger(__name__).info("%s", np.round(np.percentile(angles, (50, 95, 100)), 2))
    assert np.median(angles) < 0.5
    assert np.percentile(angles, 95) < 2.5
    assert angles.max() < 6.0
