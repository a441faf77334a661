"""The motion of an armature of the scene, sampled as it plays: constraints, NLA, layers and slots included.

May import bpy. The scene comes back to the frame it was at; nothing in the file changes but, while one of several
actions is sampled, the active action.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..motion.motion_file_error import MotionFileError
from ..motion.rotations import matrix_to_quaternion, quaternion_conjugate, quaternion_continuous, quaternion_multiply
from ..retarget.posed_source import PosedSource
from .actions import action_fcurves, assign_action, has_slots
from .read_armature import read_armature
from .sample_face import FaceSampler

Array = NDArray[np.floating]

_MOST_FRAMES = 200_000


@dataclass(frozen=True, slots=True)
class FrameSpan:
    """First and last scene frame, both included."""

    first: int
    last: int

    def frames(self) -> range:
        """Every scene frame of the span."""
        return range(self.first, self.last + 1)


def sample_armature(armature: Any, span: FrameSpan, fps: float) -> PosedSource:
    """The armature's bones in the world at every frame of a span.

    Raises MotionFileError for an armature without bones, one that Blender does not move (rest position, Edit Mode, a
    collection that is off), and too long a span.
    """
    if armature.data.pose_position == "REST":
        raise MotionFileError(
            f"{armature.name} shows its rest position, so nothing moves", "Switch it to Pose Position (Data tab)"
        )
    if armature.mode == "EDIT":
        raise MotionFileError(f"{armature.name} is in Edit Mode, where nothing moves", "Switch to Object or Pose Mode")
    if bpy.context.view_layer.objects.get(armature.name) != armature:
        raise MotionFileError(
            f"{armature.name} is not in the view layer, so Blender does not move it", "Enable its collection"
        )
    if len(span.frames()) > _MOST_FRAMES:
        raise MotionFileError(
            f"{armature.name} moves over {len(span.frames())} frames", "Set a shorter range for its action"
        )
    scene, present = bpy.context.scene, bpy.context.scene.frame_current
    try:
        scene.frame_set(span.first)
        bpy.context.view_layer.update()
        try:
            rig = read_armature(armature)
        except ValueError as fault:
            raise MotionFileError(str(fault), "Choose an armature with a body") from fault
        order = [armature.pose.bones.find(name) for name in rig.bone_names]
        posed, face = [], FaceSampler(armature)
        for frame in _with_progress(span.frames()):
            posed.append(_posed(armature, order, frame))
            face.look()
    finally:
        scene.frame_set(present)
    matrices = np.stack(posed)
    rest = np.asarray(rig.object_matrix) @ rig.rest_matrices
    turn = matrix_to_quaternion(_proper(matrices[..., :3, :3], rest[..., :3, :3]))
    back = quaternion_conjugate(matrix_to_quaternion(_proper(rest[..., :3, :3], rest[..., :3, :3])))
    times = np.arange(len(posed)) / fps
    deltas = quaternion_continuous(quaternion_multiply(turn, back))
    return PosedSource(rig, times, deltas, matrices[..., :3, 3], face=face.motion())


def _with_progress(frames: range) -> Iterator[int]:
    """The frames, with the mouse pointer showing how far it is."""
    manager = bpy.context.window_manager
    manager.progress_begin(frames.start, frames.stop)
    try:
        for frame in frames:
            manager.progress_update(frame)
            yield frame
    finally:
        manager.progress_end()


def _posed(armature: Any, order: list[int], frame: int) -> Array:
    """World matrices (N, 4, 4) of the bones, by their place among the pose bones, at a scene frame."""
    scene = bpy.context.scene
    scene.frame_set(frame)
    shown = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    world = np.array(shown.matrix_world, dtype=np.float64)
    flat = np.empty(len(shown.pose.bones) * 16, dtype=np.float32)
    shown.pose.bones.foreach_get("matrix", flat)
    # Blender hands out matrices column by column
    return np.asarray(world @ np.swapaxes(flat.reshape(-1, 4, 4), 1, 2)[order].astype(np.float64))


def _proper(linear: Array, rest: Array) -> Array:
    """The rotations nearest to linear parts (..., 3, 3); both sides of a mirrored object are mirrored alike."""
    left, _, right = np.linalg.svd(linear)
    turn = left @ right
    mirror = np.where(np.linalg.det(rest) < 0, -1.0, 1.0)
    return np.asarray(turn * mirror[..., None, None])


def playing_span(armature: Any) -> FrameSpan | None:
    """The frames over which the armature's action and its NLA strips play; None where nothing moves it."""
    ends: list[tuple[float, float]] = []
    for curve in action_fcurves(armature):
        if len(curve.keyframe_points) or len(curve.sampled_points):
            low, high = curve.range()
            ends.append((low, high))
    data = armature.animation_data
    if data is not None and data.use_nla:
        tracks = [track for track in data.nla_tracks if not track.mute]
        tracks = [track for track in tracks if track.is_solo] or tracks
        ends += [(s.frame_start, s.frame_end) for track in tracks for s in track.strips if not s.mute]
    if not ends:
        return _constrained_span(armature)
    return FrameSpan(int(np.floor(min(low for low, _ in ends))), int(np.ceil(max(high for _, high in ends))))


def _constrained_span(armature: Any) -> FrameSpan | None:
    """The scene's frames for an armature that only constraints or drivers move."""
    data = armature.animation_data
    driven = data is not None and any("pose.bones" in curve.data_path for curve in data.drivers)
    if not driven and not any(len(bone.constraints) for bone in armature.pose.bones):
        return None
    if not driven and not any(
        constraint.target not in (None, armature)
        for bone in armature.pose.bones
        for constraint in bone.constraints
        if hasattr(constraint, "target")
    ):
        return None
    return FrameSpan(bpy.context.scene.frame_start, bpy.context.scene.frame_end)


def own_actions(armature: Any, among: Iterable[Any] | None = None) -> list[Any]:
    """The actions that were made for this armature, of the whole file or `among` some: at least half of the bones that
    they move are its.
    """
    bones = set(armature.pose.bones.keys())
    found = []
    for action in bpy.data.actions if among is None else among:
        moved = _moved_bones(action)
        if moved and 2 * len(moved & bones) >= len(moved):
            found.append(action)
    return found


def _moved_bones(action: Any) -> set[str]:
    if has_slots(action):
        bags = [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
        curves = [curve for bag in bags for curve in bag.fcurves]
    else:
        curves = list(action.fcurves)
    return {curve.data_path.split('"')[1] for curve in curves if curve.data_path.startswith('pose.bones["')}


@contextmanager
def only_action(armature: Any, action: Any) -> Iterator[None]:
    """The armature plays one action alone, from its rest pose on; afterwards what it played before."""
    data = armature.animation_data or armature.animation_data_create()
    before, slot, nla = data.action, getattr(data, "action_slot", None), data.use_nla
    pose = [(bone, bone.matrix_basis.copy()) for bone in armature.pose.bones]
    place = armature.matrix_basis.copy()
    try:
        data.use_nla = False
        for bone, _ in pose:
            bone.matrix_basis.identity()
        assign_action(armature, action)
        _take_bone_slot(armature, action)
        yield
    finally:
        data.action = before
        if slot is not None and before is not None:
            data.action_slot = slot
        data.use_nla = nla
        for bone, basis in pose:
            bone.matrix_basis = basis
        armature.matrix_basis = place


def _take_bone_slot(armature: Any, action: Any) -> None:
    """Where an action has several slots, the one that moves most of the armature's bones."""
    if not has_slots(action) or len(action.slots) < 2:
        return
    bones = set(armature.pose.bones.keys())

    def count(slot: Any) -> int:
        bags = [strip.channelbag(slot) for layer in action.layers for strip in layer.strips]
        paths = {curve.data_path for bag in bags if bag is not None for curve in bag.fcurves}
        return sum(path.split('"')[1] in bones for path in paths if path.startswith('pose.bones["'))

    armature.animation_data.action_slot = max(action.slots, key=count)
