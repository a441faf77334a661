"""Animations of binary glTF files."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from backend.datasets.gltf import animation_names, read_gltf
from backend.datasets.mocap import canonical_motion
from backend.datasets.motion import MocapError
from blender_addon.motion.body import canonical_body, forward_kinematics

QUARTER = (0.0, 0.0, float(np.sqrt(0.5)), float(np.sqrt(0.5)))


def _write(path: Path) -> None:
    """Two nodes; the first turns by 90 degrees about z within a second and moves by 2 along x."""
    arrays = [[0.0, 1.0], [0.0, 0.0, 0.0, 1.0, *QUARTER], [0.0, 0.0, 0.0, 2.0, 0.0, 0.0]]
    payload = b"".join(np.array(values, "<f4").tobytes() for values in arrays)
    sizes = [4 * len(values) for values in arrays]
    starts = np.cumsum([0, *sizes])
    kinds = ("SCALAR", "VEC4", "VEC3")
    record = {
        "asset": {"version": "2.0"},
        "nodes": [{"name": "a", "children": [1]}, {"name": "b", "translation": [1.0, 0.0, 0.0]}],
        "bufferViews": [
            {"byteOffset": int(at), "byteLength": size} for at, size in zip(starts[:3], sizes, strict=True)
        ],
        "accessors": [
            {"bufferView": at, "componentType": 5126, "count": 2, "type": kind} for at, kind in enumerate(kinds)
        ],
        "animations": [
            {
                "name": "turn",
                "samplers": [{"input": 0, "output": 1}, {"input": 0, "output": 2}],
                "channels": [
                    {"sampler": 0, "target": {"node": 0, "path": "rotation"}},
                    {"sampler": 1, "target": {"node": 0, "path": "translation"}},
                ],
            }
        ],
    }
    text = json.dumps(record).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(payload))
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(payload), b"BIN\0") + payload
    path.write_bytes(head + chunks)


def test_an_animation_is_sampled_through_its_parents(tmp_path: Path) -> None:
    path = tmp_path / "turn.glb"
    _write(path)
    assert animation_names(path) == ("turn",)
    take = read_gltf(path, "turn", fps=2.0)
    assert take.names == ("a", "b")
    assert len(take.positions) == 3
    np.testing.assert_allclose(take.positions[:, 0], [[0, 0, 0], [1, 0, 0], [2, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(take.positions[2, 1], [2, 1, 0], atol=1e-6)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(take.positions[1, 1], [1 + half, half, 0], atol=1e-6)


def test_other_files_and_missing_animations_are_told(tmp_path: Path) -> None:
    path = tmp_path / "turn.glb"
    _write(path)
    with pytest.raises(MocapError, match="jump"):
        read_gltf(path, "jump")
    (tmp_path / "text.glb").write_text("no")
    with pytest.raises(MocapError, match="not a binary glTF"):
        read_gltf(tmp_path / "text.glb", "turn")


def test_push_ups_keyed_by_hand_lie_face_down(shared: Path) -> None:
    path = shared / "floor" / "kaykit" / "Med_Simulation.glb"
    take = canonical_motion(read_gltf(path, "Rig_Medium|Push_Ups", "Rig_Medium|T-Pose"), 30.0, "kaykit", "push", "x")
    body = canonical_body()
    joints, _ = forward_kinematics(body, take.rotations_wxyz, take.root_m)
    trunk = joints[:, body.joint_index("neck")] - joints[:, 0]
    assert np.abs(trunk[:, 2] / np.linalg.norm(trunk, axis=1)).max() < 0.6
