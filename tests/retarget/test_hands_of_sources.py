"""Fingers and faces of motion from elsewhere: the same directions as the clip that moved the source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_addon.motion.clip import read_clip, write_clip
from blender_addon.motion.face import FACE_WEIGHT_NAMES
from blender_addon.retarget.auto_map import detect_map
from blender_addon.retarget.baked_pose import RetargetOptions
from blender_addon.retarget.clip_from_source import ARMATURE, SourceOptions, clip_of_source
from blender_addon.retarget.face_tables import face_tables
from blender_addon.retarget.match_face import face_weights, match_face, shape_values
from tests.retarget.hand_motion import finger_directions, random_hands, with_poses
from tests.retarget.random_motion import angle_deg, random_clip, walk_clip
from tests.retarget.test_clip_from_source import as_source
from tests.retarget.test_fingers import FIVE, hand_rig

OPTIONS = SourceOptions("source", ARMATURE)
THREE = {finger: [f"{finger}{k}.{{side}}" for k in (1, 2, 3)] for finger in FIVE}


FREE = RetargetOptions(plant_feet=False, relax_hands=False)


def source_of(fingers, clip, seed=0):
    rig = hand_rig(fingers, seed=seed)
    return as_source(rig, clip, FREE, detect_map(rig).skeleton_map)


@pytest.mark.parametrize("seed", [1, 2])
def test_fingers_point_as_in_the_clip_that_moved_the_source(seed, tmp_path):
    clip = replace(random_clip(seed, 24, step=0.3), hands=random_hands(seed, 24))
    found = clip_of_source(source_of(THREE, clip, seed), OPTIONS)
    write_clip(found, tmp_path / "clip.npz")
    found = read_clip(tmp_path / "clip.npz")
    assert found.hands.confidence.min() == 1.0
    assert angle_deg(finger_directions(found), finger_directions(clip)).max() < 0.5


def test_fingers_of_two_bones_bend_as_far_in_all():
    fingers = {finger: names[: 2 if finger in ("index", "thumb") else 3] for finger, names in THREE.items()}
    clip = with_poses(walk_clip(steps=2), ["flat", "fist"])
    found = clip_of_source(source_of(fingers, clip), OPTIONS)
    tips = angle_deg(finger_directions(found)[:, :, 1, 2], finger_directions(clip)[:, :, 1, 2])
    assert np.median(tips) < 40.0
    assert angle_deg(finger_directions(found)[:, :, 2], finger_directions(clip)[:, :, 2]).max() < 0.5


def test_fingers_that_nobody_animated_are_not_taken():
    assert clip_of_source(source_of(THREE, walk_clip(steps=2)), OPTIONS).hands is None


def test_one_hand_alone_leaves_the_other_relaxed():
    clip = with_poses(walk_clip(steps=2), ["fist"])
    rig = hand_rig(THREE)
    skeleton_map = detect_map(rig).skeleton_map
    left = {finger: bones for finger, bones in skeleton_map.fingers.items() if finger.startswith("left")}
    source = as_source(rig, clip, FREE, replace(skeleton_map, fingers=left))
    hands = clip_of_source(source, OPTIONS).hands
    assert hands.confidence[:, 0].min() == 1.0
    assert hands.confidence[:, 1].max() == 0.0


def test_weights_come_back_from_the_shape_keys_that_they_moved():
    rng = np.random.default_rng(3)
    weights = rng.uniform(0.0, 0.9, (12, len(FACE_WEIGHT_NAMES)))
    for names in (FACE_WEIGHT_NAMES, [row.names[0] for row in face_tables()[0].shapes]):
        shapes = match_face(names).shapes
        values = np.stack([shape_values(weights, factors) for factors in shapes.values()], axis=1)
        found = face_weights(values, shapes)
        again = np.stack([shape_values(found, factors) for factors in shapes.values()], axis=1)
        assert np.median(np.abs(again - values)) < 0.02
    assert np.abs(face_weights(weights, match_face(FACE_WEIGHT_NAMES).shapes) - weights).max() < 1e-9
