from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.rotations import quaternion_rotate, rotvec_to_quaternion

IDENTITY = np.tile([1.0, 0.0, 0.0, 0.0], (24, 1))


def joint(posed, name):
    return posed.joints_m[canonical_body().joint_index(name)]


def bent_pose(seed: int, size: float = 0.5):
    return rotvec_to_quaternion(np.random.default_rng(seed).normal(0.0, size, (24, 3)))


def test_shape_coefficients_are_those_of_the_body_package(model):
    anny = pytest.importorskip("anny")
    from backend.synthesis.body_model import Phenotype, rest_body

    theirs = anny.Anny(
        rig="makehuman-notongue-nobreasts-nofacialexpression-pruned",
        topology="makehuman-full-tris",
        phenotypes="all",
        phenotype_blendshapes="original",
        skinning_method="lbs",
    )
    values = {"gender": 0.3, "age": 0.7, "weight": 0.8, "african": 0.2, "asian": 0.1, "caucasian": 0.7}
    out = theirs(phenotype_kwargs=values)
    ours = rest_body(model, Phenotype(**values))
    np.testing.assert_allclose(ours.vertices_m, out["rest_vertices"][0].numpy(), atol=2e-6)
    np.testing.assert_allclose(ours.bone_heads_m, out["rest_bone_heads"][0].numpy(), atol=2e-6)


def test_identity_is_the_t_pose(body):
    from backend.synthesis.posing import pose_body

    posed = pose_body(body, IDENTITY, np.zeros(3))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        arm = joint(posed, f"{side}_hand") - joint(posed, f"{side}_shoulder")
        np.testing.assert_allclose(arm / np.linalg.norm(arm), [sign, 0, 0], atol=1e-3)
        leg = joint(posed, f"{side}_ankle") - joint(posed, f"{side}_hip")
        np.testing.assert_allclose(leg / np.linalg.norm(leg), [0, 0, -1], atol=1e-3)
        names = body.sites.names
        knuckles = posed.sites_m[names.index(f"{side}_index")] - posed.sites_m[names.index(f"{side}_pinky")]
        assert knuckles[1] < -0.04, "palm down: the index finger is in front of the little finger"
        assert abs(knuckles[2]) < 0.003
    nose = posed.sites_m[body.sites.names.index("nose")]
    assert nose[1] < joint(posed, "head")[1] - 0.08, "the body faces -Y"


def test_limbs_follow_canonical_forward_kinematics(body):
    from backend.synthesis.generate import rest_offsets_m
    from backend.synthesis.posing import pose_body
    from backend.synthesis.wardrobe import Person

    offsets = rest_offsets_m(Person(body, 1.75, ()))
    for seed in range(10):
        rotations = bent_pose(seed)
        posed = pose_body(body, rotations, np.array([0.3, -0.2, 1.0]))
        _, world = forward_kinematics(canonical_body(), rotations, np.zeros(3))
        expected = [np.array([0.3, -0.2, 1.0])]
        for index, parent in enumerate(canonical_body().parents[1:], start=1):
            expected.append(expected[parent] + quaternion_rotate(world[parent], offsets[index]))
        # the first half of a limb takes part of its twist only, so a knee may lie some mm beside the rigid chain
        error = np.linalg.norm(posed.joints_m - np.array(expected), axis=1)
        assert error.max() < 0.03, canonical_body().joint_names[int(error.argmax())]
        assert np.median(error) < 0.004


def test_a_mirrored_pose_gives_the_mirrored_body(model):
    from backend.synthesis.body_model import Phenotype, rest_body
    from backend.synthesis.poses import mirrored
    from backend.synthesis.posing import pose_body, poseable_body

    body = poseable_body(model, rest_body(model, Phenotype()))
    rotations = bent_pose(3)
    posed, other = (pose_body(body, r, np.zeros(3)) for r in (rotations, mirrored(rotations)))
    swapped = other.joints_m[canonical_body().mirror] * [-1.0, 1.0, 1.0]
    np.testing.assert_allclose(posed.joints_m, swapped, atol=1e-5)
    np.testing.assert_allclose(mirrored(mirrored(rotations)), rotations)


def test_bones_keep_their_length_in_any_pose(body):
    from backend.synthesis.posing import pose_body

    lengths = [
        np.linalg.norm(joint(posed, "left_elbow") - joint(posed, "left_wrist"))
        for posed in (pose_body(body, bent_pose(seed), np.zeros(3)) for seed in range(6))
    ]
    assert np.ptp(lengths) < 1e-5


def test_curled_fingers_move_fingertips_only(body):
    from backend.synthesis.posing import pose_body, skin_vertices

    straight, curled = (pose_body(body, IDENTITY, np.zeros(3), curl) for curl in ((0.0, 0.0), (0.6, 0.0)))
    np.testing.assert_allclose(straight.joints_m, curled.joints_m)
    moved = np.linalg.norm(
        skin_vertices(body, straight.bone_matrices, np.arange(13380))
        - skin_vertices(body, curled.bone_matrices, np.arange(13380)),
        axis=1,
    )
    where = body.rest.vertices_m[:13380][moved > 0.005]
    assert len(where) > 100
    assert (where[:, 0] > 0).all(), "only the left hand"


def test_sites_lie_on_the_body(body):
    from backend.synthesis.posing import pose_body, skin_vertices

    posed = pose_body(body, bent_pose(5), np.zeros(3))
    skin = skin_vertices(body, posed.bone_matrices, np.arange(13380))
    for name, site in zip(body.sites.names, posed.sites_m, strict=True):
        # knuckles and toes lie inside the flesh, everything else at the surface
        assert np.linalg.norm(skin - site, axis=1).min() < 0.03, name


def test_the_mesh_mirror_is_an_involution(model):
    from backend.synthesis.landmarks import vertex_mirror

    mirror = vertex_mirror(model)
    assert (mirror[mirror] == np.arange(len(mirror))).all()
    np.testing.assert_allclose(model.template_m[mirror] * [-1, 1, 1], model.template_m, atol=1e-6)


def test_the_canonical_body_file_is_what_the_tool_measures(model):
    path = Path(__file__).resolve().parents[2] / "tools" / "build_canonical_body.py"
    spec = importlib.util.spec_from_file_location("build_canonical_body", path)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    measured = np.mean([tool.measured_t_pose(gender, 1.7)[0] for gender in (0.0, 1.0)], axis=0)
    np.testing.assert_allclose(canonical_body().rest_positions_m(), measured, atol=2e-4)
