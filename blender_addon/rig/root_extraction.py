"""Root motion out of a finished action, whoever made it: the root bone travels over the floor, and the bones that hang
from it stay where they were in the world. May import bpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Quaternion
from numpy.typing import NDArray

from ..motion.rotations import matrix_to_quaternion, quaternion_multiply, rotvec_to_quaternion
from ..motion.temporal import Gaussian, filter_positions
from .actions import OBJECT_PATHS, Channel, action_fcurves, assign_action, bone_path, channelbag, write_channels
from .fcurve_keys import read_keys
from .rotation_modes import rotation_values
from .sampled_action import frame_kept, is_layered

Array = NDArray[np.floating]

_UP = np.array([0.0, 0.0, 1.0])
_MARGIN_S = 1.5
_STILL = 1e-4


class RootMotionError(RuntimeError):
    """Root motion that cannot be extracted; the message says why and what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class RootMotionOptions:
    """`root` is the bone that takes the motion, `hips` the one whose way it is (both names of bones). `turn`: the
    heading too. The way is smoothed over `smooth_s` seconds: the sway of every step stays in the hips.
    """

    root: str
    hips: str
    turn: bool = True
    smooth_s: float = 0.2


@dataclass(frozen=True, slots=True)
class RootMotionReport:
    """The new `action`, the one that it was made from, how far the root goes in m, and the bones that were keyed."""

    action: str
    source: str
    travel_m: float
    bones: tuple[str, ...]


def extract_root_motion(armature: Any, options: RootMotionOptions) -> RootMotionReport:
    """Give an armature a copy of its active action in which the root bone travels; the pose in the world stays.

    The action that was active is kept. Raises RootMotionError where a bone is missing, the root is the hips itself or
    hangs from it, or there is no action.
    """
    first, last = _check(armature, options)
    frames = np.arange(first, last + 1.0)
    source = armature.animation_data.action
    is_cyclic = bool(source.use_cyclic)
    posed = _sampled(armature, frames, _watched(armature, options))
    way = _root_way(armature, posed, frames, options, is_cyclic)
    action = source.copy()
    action.name = f"{source.name} Root Motion"
    source.use_fake_user = True
    slot = getattr(armature.animation_data, "action_slot", None)
    armature.animation_data.action = action
    if slot is not None:
        same = [one for one in action.slots if one.identifier == slot.identifier]
        armature.animation_data.action_slot = same[0] if same else action.slots[0]
    assign_action(armature, action)
    write_channels(channelbag(armature), _root_channels(armature, options.root, way, frames))
    kept = _kept_in_place(armature, posed, frames)
    armature.update_tag()
    travel = float(np.linalg.norm(np.diff(way[:, :2, 3], axis=0), axis=-1).sum())
    return RootMotionReport(action.name, source.name, travel, (options.root, *kept))


def _check(armature: Any, options: RootMotionOptions) -> tuple[int, int]:
    bones = armature.data.bones
    for name, words in ((options.root, "root bone"), (options.hips, "hips bone")):
        if name not in bones:
            raise RootMotionError(f"{armature.name} has no {words} {name!r}. Choose one")
    if options.root == options.hips or bones[options.hips] in bones[options.root].parent_recursive:
        raise RootMotionError(
            f"{options.root} is no root above {options.hips}. Choose the bone on the floor that the hips hang from, or "
            "bake with Root: Object"
        )
    curves = [curve for curve in action_fcurves(armature) if len(curve.keyframe_points)]
    if not curves:
        raise RootMotionError(f"{armature.name} has no keyed action: make the one to change active")
    if armature.animation_data.action.library is not None:
        raise RootMotionError(f"The action {armature.animation_data.action.name} is linked: make it local first")
    if is_layered(armature):
        raise RootMotionError(f"{armature.name} has layers of offsets: merge them first")
    moving = [
        curve for curve in curves if curve.data_path in OBJECT_PATHS and np.ptp(read_keys(curve)["co"][:, 1]) > _STILL
    ]
    if moving:
        raise RootMotionError(f"The object {armature.name} itself is keyed and has the root motion already")
    connected = [bone.name for bone in bones[options.root].children if bone.use_connect]
    if connected:
        raise RootMotionError(f"{connected[0]} is connected to {options.root} and cannot stay behind: disconnect it")
    spans = [curve.range() for curve in curves]
    return round(min(span[0] for span in spans)), round(max(span[1] for span in spans))


def _watched(armature: Any, options: RootMotionOptions) -> list[str]:
    """Bones whose place in the world has to stay: those with keys, those that deform, and the hips; the root's own."""
    keyed = _keyed_bones(armature)
    above = {bone.name for bone in armature.data.bones[options.root].parent_recursive} | {options.root}
    bones = [bone for bone in armature.pose.bones if bone.name not in above]
    bones = [bone for bone in bones if bone.name in keyed or bone.bone.use_deform or bone.name == options.hips]
    # free bones with keys first, and parents first: what they carry comes back with them
    bones.sort(key=lambda bone: (bool(bone.constraints), bone.name not in keyed, len(bone.parent_recursive)))
    return [bone.name for bone in bones]


def _keyed_bones(armature: Any) -> set[str]:
    """Names of the bones that the active action has keys for."""
    paths = [curve.data_path for curve in action_fcurves(armature)]
    return {bpy.utils.unescape_identifier(path.split('"')[1]) for path in paths if path.startswith("pose.bones[")}


def _sampled(armature: Any, frames: Array, names: list[str]) -> dict[str, Array]:
    """World matrices (T, 4, 4) of bones as they are posed."""
    rows: dict[str, list[Any]] = {name: [] for name in names}
    with frame_kept() as scene:
        for frame in frames:
            scene.frame_set(int(frame))
            for name, found in rows.items():
                found.append(np.array(armature.matrix_world @ armature.pose.bones[name].matrix))
    return {name: np.array(found) for name, found in rows.items()}


def _root_way(
    armature: Any, posed: dict[str, Array], frames: Array, options: RootMotionOptions, is_cyclic: bool
) -> Array:
    """World matrices (T, 4, 4) of the root: its rest, carried along the hips' smoothed place and heading."""
    scene = bpy.context.scene
    times_s = frames / (scene.render.fps / scene.render.fps_base)
    hips, rest = posed[options.hips], np.array(armature.data.bones[options.hips].matrix_local)
    world = np.array(armature.matrix_world)
    turned = hips[:, :3, :3] @ np.linalg.inv(world[:3, :3] @ rest[:3, :3])
    heading = np.unwrap(np.arctan2(turned[:, 1, 0] - turned[:, 0, 1], turned[:, 0, 0] + turned[:, 1, 1]))
    course = np.concatenate([hips[:, :2, 3], heading[:, None]], axis=1)
    course = _smoothed(times_s, course, options.smooth_s, is_cyclic)
    angle = course[:, 2] if options.turn else np.zeros(len(frames))
    turn = rotvec_to_quaternion(angle[:, None] * _UP)
    root = world @ np.array(armature.data.bones[options.root].matrix_local)
    foot = (world @ rest)[:3, 3] * np.array([1.0, 1.0, 0.0])
    out = np.tile(np.eye(4), (len(frames), 1, 1))
    own = matrix_to_quaternion(root[:3, :3] / np.linalg.norm(root[:3, :3], axis=0))
    for row, wxyz in enumerate(quaternion_multiply(turn, own)):
        carried = np.array(Quaternion(turn[row]).to_matrix())
        place = carried @ (root[:3, 3] - foot) + np.array([*course[row, :2], 0.0])
        out[row] = np.array(Matrix.LocRotScale(place, Quaternion(wxyz), None))
    return out


def _smoothed(times_s: Array, course: Array, smooth_s: float, is_cyclic: bool) -> Array:
    """The course (T, 3) smoothed; of a cycle with its neighbours, so that the ends fit."""
    if smooth_s <= 0.0 or len(course) < 3:
        return course
    if not is_cyclic:
        return filter_positions(Gaussian(smooth_s), times_s, course)
    last, period_s = len(course) - 1, float(times_s[-1] - times_s[0])
    step = course[-1] - course[0]
    aside = max(int(np.ceil(_MARGIN_S / period_s)), 1)
    number = np.repeat(np.arange(-aside, aside + 1), last)
    rows = np.tile(np.arange(last), 2 * aside + 1)
    long = filter_positions(
        Gaussian(smooth_s), times_s[rows] + number * period_s, course[rows] + number[:, None] * step
    )
    return np.asarray(np.concatenate([long[aside * last : (aside + 1) * last], long[aside * last][None] + step]))


def _root_channels(armature: Any, root: str, way: Array, frames: Array) -> list[Channel]:
    """The root bone's channels that lead it along world matrices (T, 4, 4)."""
    pose_bone, back = armature.pose.bones[root], armature.matrix_world.inverted_safe()
    basis = []
    with frame_kept() as scene:
        for frame, matrix in zip(frames, way, strict=True):
            scene.frame_set(int(frame))
            basis.append(_basis(pose_bone, back @ Matrix(matrix.tolist())))
    return _bone_channels(pose_bone, basis, frames)


def _basis(pose_bone: Any, matrix: Any) -> Any:
    """The `matrix_basis` that puts a bone at `matrix` in armature space, under its parent as that is posed now."""
    bone, parent = pose_bone.bone, pose_bone.parent
    above = {} if parent is None else {"parent_matrix": parent.matrix, "parent_matrix_local": parent.bone.matrix_local}
    return bone.convert_local_to_pose(matrix, bone.matrix_local, **above, invert=True)


def _bone_channels(pose_bone: Any, basis: list[Any], frames: Array) -> list[Channel]:
    place = np.array([matrix.to_translation() for matrix in basis])
    prop, values = rotation_values(np.array([matrix.to_quaternion() for matrix in basis]), pose_bone.rotation_mode)
    at, name = frames.astype(float), pose_bone.name
    return [
        Channel(bone_path(name, "location"), name, at, place),
        Channel(bone_path(name, prop), name, at, values),
    ]


def _kept_in_place(armature: Any, posed: dict[str, Array], frames: Array) -> list[str]:
    """Key the bones that the root carries away so that they stay where they were; returns their names.

    After each of them the rig is read again: what it carries, by parent or by constraint, has come back with it.
    """
    kept: list[str] = []
    keyed = _keyed_bones(armature)
    size = float(max(armature.dimensions)) or 1.0
    for name in posed:
        probe = _sampled(armature, frames[[0, len(frames) // 2, -1]], [name])[name]
        wanted = posed[name][[0, len(frames) // 2, -1]]
        apart = np.abs(probe - wanted)
        pose_bone = armature.pose.bones[name]
        held = pose_bone.constraints and name not in keyed
        if held or (apart[:, :3, 3].max() < _STILL * size and apart[:, :3, :3].max() < _STILL):
            continue
        back, basis = armature.matrix_world.inverted_safe(), []
        with frame_kept() as scene:
            for row, frame in enumerate(frames):
                scene.frame_set(int(frame))
                basis.append(_basis(pose_bone, back @ Matrix(posed[name][row].tolist())))
        write_channels(channelbag(armature), _bone_channels(pose_bone, basis, frames))
        kept.append(name)
    return kept
