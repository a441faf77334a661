"""Mocap readers and the mapping to the canonical body, on small files made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.datasets import MocapError, load_motion, read_library, read_motion, write_motion
from backend.datasets.library import MotionLibrary, clean_parts, is_held_out
from backend.datasets.mocap import read_bvh
from backend.datasets.motion import Motion
from blender_addon.motion.body import canonical_body, forward_kinematics

_JOINTS = (
    ("Hips", None, (0, 90, 0)),
    ("Spine", "Hips", (0, 10, 0)),
    ("Spine1", "Spine", (0, 12, 0)),
    ("Spine2", "Spine1", (0, 12, 0)),
    ("Neck", "Spine2", (0, 18, 0)),
    ("Head", "Neck", (0, 9, 0)),
    ("LeftShoulder", "Spine2", (4, 12, 0)),
    ("LeftArm", "LeftShoulder", (12, 0, 0)),
    ("LeftForeArm", "LeftArm", (26, 0, 0)),
    ("LeftHand", "LeftForeArm", (24, 0, 0)),
    ("RightShoulder", "Spine2", (-4, 12, 0)),
    ("RightArm", "RightShoulder", (-12, 0, 0)),
    ("RightForeArm", "RightArm", (-26, 0, 0)),
    ("RightHand", "RightForeArm", (-24, 0, 0)),
    ("LeftUpLeg", "Hips", (9, 0, 0)),
    ("LeftLeg", "LeftUpLeg", (0, -41, 0)),
    ("LeftFoot", "LeftLeg", (0, -41, 0)),
    ("LeftToeBase", "LeftFoot", (0, -6, 13)),
    ("RightUpLeg", "Hips", (-9, 0, 0)),
    ("RightLeg", "RightUpLeg", (0, -41, 0)),
    ("RightFoot", "RightLeg", (0, -41, 0)),
    ("RightToeBase", "RightFoot", (0, -6, 13)),
)


def bvh_text(frames: list[dict[str, tuple[float, float, float]]], names: dict[str, str] | None = None) -> str:
    """A BVH of a standing Y-up figure that faces +Z; each frame names the (Z, X, Y) turns of some joints in degrees."""
    children: dict[str | None, list[str]] = {}
    offset = {}
    for name, parent, place in _JOINTS:
        children.setdefault(parent, []).append(name)
        offset[name] = place
    order: list[str] = []
    lines = ["HIERARCHY"]

    def write(name: str, depth: int) -> None:
        order.append(name)
        pad = "  " * depth
        lines.append(f"{pad}{'ROOT' if depth == 0 else 'JOINT'} {(names or {}).get(name, name)}")
        channels = "6 Xposition Yposition Zposition " if depth == 0 else "3 "
        lines.extend([f"{pad}{{", f"{pad}  OFFSET {' '.join(map(str, offset[name]))}"])
        lines.append(f"{pad}  CHANNELS {channels}Zrotation Xrotation Yrotation")
        for child in children.get(name, []):
            write(child, depth + 1)
        if name not in children:
            lines.extend([f"{pad}  End Site", f"{pad}  {{", f"{pad}    OFFSET 0 5 0", f"{pad}  }}"])
        lines.append(f"{pad}}}")

    write("Hips", 0)
    lines.extend(["MOTION", f"Frames: {len(frames)}", "Frame Time: 0.0333333"])
    for frame in frames:
        row = [0.0, 90.0, 0.0]
        for name in order:
            row.extend(frame.get(name, (0.0, 0.0, 0.0)))
        lines.append(" ".join(map(str, row)))
    return "\n".join(lines) + "\n"


def _load(tmp_path: Path, frames: list[dict[str, tuple[float, float, float]]]) -> Motion:
    path = tmp_path / "take.bvh"
    path.write_text(bvh_text(frames))
    return load_motion(path)


def _limb(motion: Motion, frame: int, start: str, end: str) -> np.ndarray:
    body = canonical_body()
    positions, _ = forward_kinematics(body, motion.rotations_wxyz[frame], motion.root_m[frame])
    limb = positions[body.joint_index(end)] - positions[body.joint_index(start)]
    return limb / np.linalg.norm(limb)


def test_t_pose_maps_to_the_canonical_t_pose(tmp_path: Path) -> None:
    motion = _load(tmp_path, [{}] * 3)
    # the file faces +Z with Y up: the canonical world is Z up, so the body faces -Y
    assert np.allclose(_limb(motion, 0, "left_shoulder", "left_elbow"), [1, 0, 0], atol=1e-6)
    assert np.allclose(_limb(motion, 0, "left_hip", "left_knee"), [0, 0, -1], atol=1e-6)
    assert _limb(motion, 0, "left_ankle", "left_toe")[1] < -0.5
    assert motion.fps == pytest.approx(30.0, rel=1e-3)


def test_turned_limbs_point_where_the_file_points_them(tmp_path: Path) -> None:
    # left arm turned -90 degrees about Z (forward axis of the figure) hangs down; knee bent 90 degrees about X
    motion = _load(tmp_path, [{"LeftArm": (-90.0, 0.0, 0.0), "RightLeg": (0.0, 90.0, 0.0)}] * 2)
    assert np.allclose(_limb(motion, 0, "left_shoulder", "left_elbow"), [0, 0, -1], atol=1e-6)
    assert np.allclose(_limb(motion, 0, "right_knee", "right_ankle"), [0, 1, 0], atol=1e-6)  # shin points back
    assert np.allclose(_limb(motion, 0, "right_shoulder", "right_elbow"), [-1, 0, 0], atol=1e-6)


def test_feet_stand_on_the_floor(tmp_path: Path) -> None:
    motion = _load(tmp_path, [{}] * 4)
    body = canonical_body()
    positions, _ = forward_kinematics(body, motion.rotations_wxyz, motion.root_m)
    ankle = body.joint_index("left_ankle")
    assert np.allclose(positions[:, ankle, 2], body.rest_positions_m()[ankle, 2], atol=0.03)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text.replace("MOTION", "NOTION"), "HIERARCHY or MOTION"),
        (lambda text: text[:-40], "do not fill rows"),
        (lambda text: text.replace("Frame Time: 0.0333333", "Frame Time: x"), "damaged"),
        (lambda text: text.replace("90.0 0.0", "nan 0.0", 1), "NaN"),
    ],
)
def test_damaged_bvh_is_named(tmp_path: Path, damage, words: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "broken.bvh"
    path.write_text(damage(bvh_text([{}] * 3)))
    with pytest.raises(MocapError, match=words):
        load_motion(path)


def test_unknown_joint_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.bvh"
    path.write_text(bvh_text([{}] * 3, {name: f"node{k}" for k, (name, _, _) in enumerate(_JOINTS)}))
    with pytest.raises(MocapError, match="not recognised"):
        load_motion(path)


def test_takes_are_cut_where_a_joint_flips(tmp_path: Path) -> None:
    frames = [{}] * 20 + [{"LeftArm": (0.0, 170.0, 0.0)}] * 30
    parts = clean_parts(_load(tmp_path, frames))
    assert [len(part) for part in parts] == [20, 30]


def test_library_lists_refused_takes_and_splits_by_subject(tmp_path: Path) -> None:
    folder = tmp_path / "cmu_bvh_cc"
    folder.mkdir()
    for subject, angle in (("005", 5.0), ("007", 9.0)):
        (folder / f"All_BVH_subjects_{subject}_{subject}_01.bvh").write_text(
            bvh_text([{"Head": (angle, 0.0, 0.0)}] * 15)
        )
    (folder / "bad.bvh").write_text("nothing")
    library = read_library(tmp_path)
    assert {take.subject for take in library.takes} == {"cmu_05", "cmu_07"}
    assert [take.subject for take in library.held_out()] == ["cmu_05"]
    assert len(library.refused) == 1
    assert not any(is_held_out(take) for take in library.training())


def test_share_alike_mocap_is_trained_on_and_stays_out_of_banks() -> None:
    def take(subject: str) -> Motion:
        return Motion(np.zeros((12, 24, 4)), np.zeros((12, 3)), 30.0, subject, "kick", "made")

    library = MotionLibrary(tuple(map(take, ("cmu_07", "cmu_05", "hdm05_bk", "hdm05_bd"))), ())
    assert [take.subject for take in library.training()] == ["cmu_07", "hdm05_bk"]
    assert [take.subject for take in library.held_out()] == ["cmu_05", "hdm05_bd"]
    assert [take.subject for take in library.for_banks()] == ["cmu_07"]
    assert [take.subject for take in library.for_banks(every_subject=True)] == ["cmu_07", "cmu_05"]


def test_motion_file_round_trip(tmp_path: Path) -> None:
    motion = _load(tmp_path, [{"Head": (4.0, 0.0, 0.0)}] * 3)
    write_motion(motion, tmp_path / "take.npz")
    again = read_motion(tmp_path / "take.npz")
    assert np.allclose(again.rotations_wxyz, motion.rotations_wxyz, atol=1e-6)
    (tmp_path / "not.npz").write_bytes(b"junk")
    with pytest.raises(MocapError, match="not a motion file"):
        read_motion(tmp_path / "not.npz")


@pytest.mark.shared
def test_real_takes_of_every_collection_have_no_flips_and_stand(shared: Path) -> None:
    for pattern in (
        "cmu_asfamc/amc_csci520/09_06-run.amc",
        "snu_bvh/data_motion_walk.bvh",
        "cmu_bvh_3dsmax/resources_131_01.bvh",
    ):
        motion = load_motion(shared / "mocap" / pattern, fps=30.0)
        positions, _ = forward_kinematics(canonical_body(), motion.rotations_wxyz, motion.root_m)
        assert np.isfinite(positions).all()
        assert -0.15 < positions[..., 2].min() < 0.2
        assert 1.0 < np.median(positions[:, canonical_body().joint_index("head"), 2]) < 1.8


@pytest.mark.parametrize("called", ["ROOT", "JOINT", "End", "OFFSET", "CHANNELS", "MOTION", "Frames:", "left foot"])
def test_joints_may_be_called_like_keywords_and_with_spaces(tmp_path: Path, called: str) -> None:
    path = tmp_path / "take.bvh"
    path.write_text(bvh_text([{"LeftArm": (-90.0, 0.0, 0.0)}] * 3, {"Spine": called}))
    source = read_bvh(path)
    assert called in source.names
    assert len(source.names) == len(_JOINTS)
    assert source.positions.shape == (3, len(_JOINTS), 3)


def test_layouts_that_other_programs_read_are_read(tmp_path: Path) -> None:
    plain = tmp_path / "plain.bvh"
    plain.write_text(bvh_text([{"LeftArm": (-90.0, 0.0, 0.0)}] * 3))
    wanted = read_bvh(plain)
    text = plain.read_text()
    head, tail = text.split("MOTION")
    layouts = {
        "brace.bvh": text.replace("\n{", " {"),
        "tabs.bvh": text.replace("JOINT ", "JOINT\t").replace("Frame Time: ", "Frame Time:\t"),
        "one_line.bvh": " ".join(head.split()).replace("HIERARCHY", "HIERARCHY\n") + "\nMOTION" + tail,
        "crlf.bvh": text.replace("\n", "\r\n"),
        "bom.bvh": "\ufeff" + text,
    }
    for name, other in layouts.items():
        (tmp_path / name).write_bytes(other.encode())
        found = read_bvh(tmp_path / name)
        assert found.names == wanted.names, name
        np.testing.assert_allclose(found.positions, wanted.positions)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text.replace("Frame Time: 0.0333333", "Frame Time: 0"), "Frame Time is 0; it must be between"),
        (lambda text: text.replace("Frame Time: 0.0333333", "Frame Time: inf"), "Frame Time is inf"),
        (lambda text: "\n".join(text.splitlines()[:-4]) + "\n", "says 9 frames and holds 5: it is cut off"),
        (lambda text: text.replace("Frames: 9", ""), "lacks Frames"),
        (lambda text: text.replace("Zrotation", "Wrotation", 1), "'Wrotation' is not a channel"),
        (lambda text: text.replace("JOINT Spine", "JOINT", 1), "has no name"),
    ],
)
def test_each_damage_is_told_by_itself(tmp_path: Path, damage, words: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "broken.bvh"
    path.write_text(damage(bvh_text([{}] * 9)))
    with pytest.raises(MocapError, match=words):
        read_bvh(path)
