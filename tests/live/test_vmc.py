"""VMC packets, received and read by a program of the test's own, drive a VRM skeleton as our retarget does."""

from __future__ import annotations

import socket
import struct

import numpy as np

from backend.live.request import LivePose, LiveState
from backend.live.vmc import HUMANOID_BONES, VmcSender, VmcTarget, parse_target
from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import matrix_to_quaternion, quaternion_between, quaternion_multiply
from blender_addon.retarget.baked_pose import RetargetOptions
from blender_addon.retarget.skeleton_map import SkeletonMap
from blender_addon.retarget.solve import retarget
from tests.retarget.evaluate_rig import evaluate_matrices
from tests.retarget.random_motion import random_clip
from tests.retarget.simple_rig import simple_rig


def osc_messages(data: bytes) -> list[tuple[str, list[object]]]:
    """An OSC 1.0 packet's messages (the specification's own rules: big-endian, strings padded to four bytes)."""
    if data.startswith(b"#bundle\0"):
        found, at = [], 16
        while at < len(data):
            (size,) = struct.unpack_from(">i", data, at)
            found += osc_messages(data[at + 4 : at + 4 + size])
            at += 4 + size
        return found
    address, at = osc_string(data, 0)
    tags, at = osc_string(data, at)
    values: list[object] = []
    for tag in tags[1:]:
        if tag == "s":
            value, at = osc_string(data, at)
        else:
            (value,) = struct.unpack_from({"f": ">f", "i": ">i"}[tag], data, at)
            at += 4
        values.append(value)
    assert at == len(data)
    return [(address, values)]


def osc_string(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(b"\0", at)
    return data[at:end].decode("ascii"), at + (end - at) // 4 * 4 + 4


def live_pose(clip, row: int) -> LivePose:
    joints = np.zeros((17, 3))
    return LivePose(0, LiveState.LIVE, row, 0.0, 0.0, clip.rotations_wxyz[row], clip.root_world_m[row], joints, 1.0)


def received(clip, row: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[str]]:
    """Bones and root as (x, y, z, qx, qy, qz, qw), and the addresses in order."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5.0)
        sender = VmcSender(VmcTarget("127.0.0.1", receiver.getsockname()[1]))
        sender.send(live_pose(clip, row), {"A": 0.5})
        sender.close()
        messages, sizes = [], []
        while not messages or messages[-1][0] != "/VMC/Ext/Blend/Apply":
            data = receiver.recv(65536)
            sizes.append(len(data))
            messages += osc_messages(data)
    assert max(sizes) < 1472  # one Ethernet frame each
    bones = {values[0]: np.array(values[1:]) for name, values in messages if name == "/VMC/Ext/Bone/Pos"}
    roots = {values[0]: np.array(values[1:]) for name, values in messages if name == "/VMC/Ext/Root/Pos"}
    return bones, roots, [name for name, _ in messages]


def vrm_rig():
    """VRM's normalised humanoid: T-pose, every rest rotation the identity in glTF's axes, here turned to Z up."""
    body = canonical_body()
    joints = [joint for joint in body.joint_names if joint in HUMANOID_BONES]
    rest = body.rest_positions_m()
    matrices = np.tile(np.eye(4), (len(joints), 1, 1))
    parents = []
    for place, joint in enumerate(joints):
        matrices[place, :3, 3] = rest[body.joint_index(joint)]
        parents.append(joints.index(body.joint_names[body.parents[body.joint_index(joint)]]) if place else -1)
    names = tuple(HUMANOID_BONES[joint] for joint in joints)
    rig = simple_rig("vrm", names, np.array(parents), matrices, np.full(len(joints), 0.1))
    return rig, SkeletonMap("vrm", "VRM", {joint: (HUMANOID_BONES[joint],) for joint in joints})


def test_the_rest_pose_is_the_identity_and_faces_plus_z():
    clip = random_clip(1, 3)
    clip.rotations_wxyz[:] = [1.0, 0.0, 0.0, 0.0]
    bones, roots, names = received(clip, 0)
    assert set(bones) == set(HUMANOID_BONES.values())
    for bone in bones.values():
        assert np.allclose(bone[3:], [0.0, 0.0, 0.0, 1.0], atol=1e-6)
    assert bones["LeftUpperArm"][0] < 0 < bones["RightUpperArm"][0]  # Unity: the character's left is -X
    assert bones["LeftToes"][2] > 0  # toes point where it looks, +Z
    assert bones["Spine"][1] > 0
    assert np.allclose(roots["root"][3:], [0, 0, 0, 1])
    assert names[0] == "/VMC/Ext/OK"


def test_a_vrm_skeleton_moves_as_our_retarget_moves_it():
    clip = random_clip(7, 6)
    rig, skeleton_map = vrm_rig()
    posed = evaluate_matrices(rig, retarget(clip, rig, skeleton_map, RetargetOptions(plant_feet=False)))
    ours = matrix_to_quaternion(posed[..., :3, :3])
    for row in range(len(clip)):
        bones, _, _ = received(clip, row)
        theirs: dict[str, np.ndarray] = {}
        for place, name in enumerate(rig.bone_names):
            x, y, z, w = bones[name][3:]
            local = np.array([w, x, z, -y])  # Unity's axes back to Z up
            parent = rig.parents[place]
            theirs[name] = local if parent < 0 else quaternion_multiply(theirs[rig.bone_names[parent]], local)
        found = np.stack([theirs[name] for name in rig.bone_names])
        assert np.degrees(quaternion_between(found, ours[row])).max() < 1.0


def test_targets():
    assert parse_target("10.0.0.7:1234") == VmcTarget("10.0.0.7", 1234)
    assert parse_target("studio") == VmcTarget("studio", 39539)
    assert parse_target(":39540") == VmcTarget("127.0.0.1", 39540)
