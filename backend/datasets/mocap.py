"""Mocap take to canonical motion, by rotations: world rotation of each bone relative to its rest pose, times the
smallest rotation that lays the body's rest limb on the mocap's rest limb. numpy only.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from backend.datasets.asf_amc import read_asf_amc
from backend.datasets.conventions import CONVENTIONS, Convention
from backend.datasets.motion import MocapError, Motion
from backend.datasets.source import SourceMotion
from backend.types import Array
from blender_addon.motion import bvh
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.motion_file_error import MotionFileError
from blender_addon.motion.rotations import (
    matrix_to_quaternion,
    quaternion_between,
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_from_to,
    quaternion_mean,
    quaternion_multiply,
    quaternion_to_matrix,
)


def read_bvh(path: Path) -> SourceMotion:
    """Read a BVH file. Raises MocapError for a truncated or malformed one."""
    try:
        read = bvh.read_bvh(path)
    except MotionFileError as fault:
        raise MocapError(fault.message, fault.remedy) from fault
    return SourceMotion(
        read.names, read.parents, read.rest_positions, read.tips, read.rotations, read.positions, read.fps
    )


_ALIGNED = {"shoulder": "elbow", "elbow": "wrist", "wrist": "hand", "hip": "knee", "knee": "ankle"}
_REQUIRED = ("pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "left_shoulder", "right_shoulder", "head")


def load_motion(
    path: Path, *, asf: Path | None = None, fps: float | None = None, subject: str = "", action: str = ""
) -> Motion:
    """Read a .bvh, or an .amc with its .asf (beside it, or given), on the canonical body.

    `fps` overrides the file's rate (AMC files name none: 120 unless told). Raises MocapError.
    """
    if path.suffix.lower() == ".bvh":
        source = read_bvh(path)
    elif path.suffix.lower() == ".amc":
        source = read_asf_amc(asf or _asf_beside(path), path, fps or 120.0)
    else:
        raise MocapError(f"{path} is neither .bvh nor .amc", "Export the take as BVH")
    return canonical_motion(source, fps or source.fps, subject or path.stem, action or path.stem, str(path))


def _asf_beside(path: Path) -> Path:
    stem = re.split(r"[_-]", path.stem)[0]
    files = sorted(path.parent.glob("*.asf"))
    for candidate in files:
        if re.split(r"[_-]", candidate.stem)[0] == stem:
            return candidate
    if len(files) == 1:
        return files[0]
    raise MocapError(f"{path} has no .asf skeleton beside it", "Name the skeleton with asf=")


def canonical_motion(source: SourceMotion, fps: float, subject: str, action: str, origin: str) -> Motion:
    """Map a source take onto the canonical body. Raises MocapError when its names are unknown or it flips."""
    convention, index = _match(source, origin)
    if convention.first_frame_is_rest:
        source = source.rebased(0)
    body = canonical_body()
    names = body.joint_names
    basis = _body_basis(source, index)
    up = np.argmax(np.abs(basis[:, 2]))
    to_world = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]) if up == 1 else np.eye(3)
    world = np.zeros((len(source.positions), len(names), 4))
    for joint, name in enumerate(names):
        if name in index and not name.endswith("_hand"):  # finger bones flip in many takes; the palm follows the wrist
            rest_turn = _rest_alignment(name, source, index, basis)
            matrix = to_world @ source.rotations[:, index[name]] @ rest_turn @ basis
            world[:, joint] = matrix_to_quaternion(matrix)
        else:
            world[:, joint] = world[:, body.parents[joint]]
    if convention.neck_between:
        neck = body.joint_index("neck")
        pair = np.stack([world[:, body.parents[neck]], world[:, body.joint_index("head")]], axis=-2)
        world[:, neck] = quaternion_mean(pair)
    local = world.copy()
    local[:, 1:] = quaternion_multiply(quaternion_conjugate(world[:, body.parents[1:]]), world[:, 1:])
    local = quaternion_continuous(local)
    root = _root_positions(source, index, to_world)
    return _on_floor(Motion(local, root, fps, subject, action, origin))


def _match(source: SourceMotion, origin: str) -> tuple[Convention, dict[str, int]]:
    bare = [re.sub(r"^(.*[:]|Character\d+_)", "", name).lower() for name in source.names]
    best: tuple[Convention, dict[str, int]] | None = None
    for convention in CONVENTIONS:
        found = {joint: bare.index(name.lower()) for joint, name in convention.joints.items() if name.lower() in bare}
        if best is None or len(found) > len(best[1]):
            best = (convention, found)
    assert best is not None
    missing = [joint for joint in _REQUIRED if joint not in best[1]]
    if missing:
        raise MocapError(
            f"{origin}: joints not recognised: {', '.join(missing)} (closest convention: {best[0].name})",
            "Add its names to backend/datasets/conventions.py",
        )
    return best


def _body_basis(source: SourceMotion, index: dict[str, int]) -> Array:
    """Columns: the canonical body's X (left), Y (back), Z (up) in the source's rest frame."""
    rest = source.rest_positions
    left = rest[index["left_hip"]] - rest[index["right_hip"]]
    up = rest[index["head"]] - (rest[index["left_hip"]] + rest[index["right_hip"]]) / 2
    # the rest pose stands along a world axis: snapping keeps a bent neck from tilting the whole body
    axis = np.zeros(3)
    axis[np.argmax(np.abs(up))] = np.sign(up[np.argmax(np.abs(up))])
    left = left - axis * (left @ axis)
    if np.linalg.norm(left) < 1e-3 * np.linalg.norm(up):
        raise MocapError("the rest pose does not stand upright", "Export the take with a T-pose as its rest pose")
    left /= np.linalg.norm(left)
    return np.stack([left, np.cross(axis, left), axis], axis=1)


def _rest_alignment(name: str, source: SourceMotion, index: dict[str, int], basis: Array) -> Array:
    """Rotation (3, 3) in the source's rest frame that lays the canonical rest limb on the source's."""
    side, _, part = name.partition("_")
    body = canonical_body()
    if side not in ("left", "right") or (part not in _ALIGNED and part != "ankle"):
        return np.eye(3)
    child = f"{side}_{_ALIGNED.get(part, 'toe')}"
    if child in index:
        limb = source.rest_positions[index[child]] - source.rest_positions[index[name]]
    elif np.isfinite(source.tips[index[name]]).all():
        limb = source.tips[index[name]] - source.rest_positions[index[name]]
    else:
        return _rest_alignment(f"{side}_elbow", source, index, basis) if part == "wrist" else np.eye(3)
    own = basis @ body.offsets_m[body.joint_index(child)]
    if part == "ankle":  # feet stand flat in both rest poses: only the heading differs
        up = basis[:, 2]
        own, limb = own - up * (own @ up), limb - up * (limb @ up)
    if np.linalg.norm(limb) < 1e-6:
        return np.eye(3)
    return quaternion_to_matrix(quaternion_from_to(own, limb))


def _root_positions(source: SourceMotion, index: dict[str, int], to_world: Array) -> Array:
    """Pelvis positions (T, 3) in m: the source's mid-hip, scaled by leg length."""
    body = canonical_body()
    legs = [body.joint_index(name) for name in ("left_knee", "left_ankle")]
    own = sum(float(np.linalg.norm(body.offsets_m[leg])) for leg in legs)
    chain = [index["left_hip"], index["left_knee"], index.get("left_ankle", index["left_knee"])]
    rest = source.rest_positions[chain]
    length = float(np.linalg.norm(np.diff(rest, axis=0), axis=1).sum())
    hips = (source.positions[:, index["left_hip"]] + source.positions[:, index["right_hip"]]) / 2
    return hips @ to_world.T * (own / length)


def _on_floor(motion: Motion) -> Motion:
    """Shift the take so that its lowest toes and ankles stand on z = 0 (2nd percentile: one bad frame is no floor)."""
    body = canonical_body()
    feet = [body.joint_index(name) for name in ("left_toe", "right_toe", "left_ankle", "right_ankle")]
    positions, _ = forward_kinematics(body, motion.rotations_wxyz, motion.root_m)
    above = positions[:, feet, 2] - body.rest_positions_m()[feet, 2]
    root = motion.root_m - np.array([0, 0, np.percentile(above.min(axis=1), 2)])
    root[:, :2] -= root[0, :2]
    return Motion(motion.rotations_wxyz, root, motion.fps, motion.subject, motion.action, motion.source)


def turns_deg(motion: Motion) -> Array:
    """The largest turn of any joint between neighbouring frames (T - 1,), in degrees: near 180 means a flip."""
    step = quaternion_between(motion.rotations_wxyz[1:], motion.rotations_wxyz[:-1])
    return np.degrees(step.max(axis=1))
