"""A clip onto an armature in one call: read the rig, map its bones, resample, retarget, bake. May import bpy.

The one bake path: the panel's buttons, batch conversion and scripts call it (`docs/blender_api.md`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..motion.clip import MotionClip
from ..motion.cycles import at_scene_frames
from ..motion.quality import measure_clip
from ..motion.quality_labels import CLIP_PREFIX
from ..retarget.auto_map import detect_map
from ..retarget.baked_pose import BakedPose, RetargetOptions
from ..retarget.body_parts import ALL_PARTS, BodyPart, keep_parts
from ..retarget.rest_world import rest_world
from ..retarget.retarget_report import set_up_warnings
from ..retarget.root_motion import place_source
from ..retarget.skeleton_map import SkeletonMap
from ..retarget.solve import fitted_map, retarget
from ..retarget.source_motion import source_motion
from ..retarget.target_body import measure_target
from ..retarget.target_rig import TargetRig
from ..retarget.unseen_keys import UnseenJoints, key_seen_joints
from .actions import OBJECT_PATHS
from .bake import BakeError, BakeOptions, bake
from .bake_report import BakeReport
from .face_targets import read_face_targets, with_face
from .prepare_clip import PrepareSettings, prepare_clip
from .prop_targets import HandProp, hand_targets
from .read_armature import read_armature
from .sampled_action import animated_paths

Array = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How a clip goes onto a rig; `skeleton_map` None maps the bones automatically.

    `parts` are those that get keys; `props` lead hands to objects of the scene. `face` moves shape keys and
    face bones with a clip's face; `face_table` is the path of the user's own table. `unseen` says whether joints that
    are not in the frame get keys.
    """

    prepare: PrepareSettings = PrepareSettings()
    retarget: RetargetOptions = field(default_factory=RetargetOptions)
    bake: BakeOptions = BakeOptions()
    skeleton_map: SkeletonMap | None = None
    parts: frozenset[BodyPart] = ALL_PARTS
    props: tuple[HandProp, ...] = ()
    face: bool = True
    face_table: str = ""
    unseen: UnseenJoints = UnseenJoints.KEY


@dataclass(frozen=True, slots=True)
class Retargeted:
    """A clip on a rig at scene frames, before keys: the `clip` as used, the `pose`, the rig and map it is for."""

    clip: MotionClip
    pose: BakedPose
    rig: TargetRig
    skeleton_map: SkeletonMap


def apply_clip(armature: Any, clip: MotionClip, options: ApplyOptions | None = None) -> BakeReport:
    """Animate an armature object with a clip and report what was written.

    `options.bake.frame_start` is the scene frame of the first frame that is used. Raises BakeError when the bones
    cannot be mapped or nothing would move, RetargetError for an unusable map, ClipError for an empty trim.
    """
    options = options or ApplyOptions()
    return bake_prepared_clip(armature, prepare_clip(clip, options.prepare), options)


def bake_prepared_clip(armature: Any, clip: MotionClip, options: ApplyOptions) -> BakeReport:
    """Retarget a clip that is smoothed and cleaned already, and bake it. Raises what `apply_clip` raises."""
    found = retarget_clip(armature, clip, options)
    start = options.bake.frame_start - float(found.clip.times_s[0]) * options.bake.fps
    wanted = replace(options.bake, frame_start=start, is_cyclic=found.clip.header.is_cyclic)
    report = bake(armature, found.pose, wanted)
    return replace(report, figures={**clip_figures(found.clip), **report.figures})


def retarget_clip(armature: Any, clip: MotionClip, options: ApplyOptions) -> Retargeted:
    """Retarget a prepared clip at the scene's frames (`options.bake.fps`), by time stamps; writes nothing.

    The rig is read at the bake's first frame where keys of an earlier bake move the object through the scene: else the
    motion would begin wherever the timeline happens to be.
    """
    with _at_first_frame(armature, options.bake):
        return _retargeted(armature, clip, options)


def _retargeted(armature: Any, clip: MotionClip, options: ApplyOptions) -> Retargeted:
    rig = read_armature(armature)
    skeleton_map = fitted_map(options.skeleton_map or detected_map(rig), rig)
    at_frames = at_scene_frames(clip, options.bake.fps)
    wanted = options.retarget
    if options.props:
        frames = options.bake.frame_start + (at_frames.times_s - at_frames.times_s[0]) * options.bake.fps
        wanted = replace(wanted, hand_targets_m=hand_targets(bpy.context.scene, options.props, frames))
    pose = retarget(at_frames, rig, skeleton_map, wanted)
    pose = keep_parts(pose, skeleton_map, options.parts)
    pose = key_seen_joints(pose, skeleton_map, at_frames, options.unseen)
    if at_frames.face is not None and options.face and BodyPart.HEAD in options.parts:
        targets = read_face_targets(armature, rig, options.face_table)
        pose = with_face(pose, rig, at_frames.face, targets)
        if not targets:
            told = "the clip has a face, but no shape key or face bone of the character has a known name"
            pose = replace(pose, report=replace(pose.report, warnings=(*pose.report.warnings, told)))
    return Retargeted(at_frames, pose, rig, skeleton_map)


@contextmanager
def _at_first_frame(armature: Any, options: BakeOptions) -> Iterator[None]:
    bpy.context.view_layer.update()  # what a preview that ended gave back
    if not any(path in OBJECT_PATHS for path in animated_paths(armature)):
        yield
        return
    scene, frame = bpy.context.scene, bpy.context.scene.frame_current
    try:
        scene.frame_set(round(options.frame_start))
        yield
    finally:
        scene.frame_set(frame)


def detected_map(rig: TargetRig) -> SkeletonMap:
    """The rig's map as found automatically. Raises BakeError, with what is missing, when it is not usable."""
    report = detect_map(rig)
    if not report.usable:
        raise BakeError(f"The bones of {rig.name} cannot be mapped by themselves: {'; '.join(report.problems)}")
    return report.skeleton_map


def rig_warnings(armature: Any, skeleton_map: SkeletonMap, options: RetargetOptions) -> tuple[str, ...]:
    """What a bake onto the armature would warn of, known from the rig alone. Raises ValueError for an unusable map."""
    rig = read_armature(armature)
    skeleton_map = fitted_map(skeleton_map, rig)
    rest = rest_world(rig, skeleton_map.carried_by)
    return set_up_warnings(rest, skeleton_map, measure_target(rest, skeleton_map), options)


def scene_from_clip(found: Retargeted, options: RetargetOptions) -> Array:
    """The matrix (4, 4) that takes the clip's world, in m, to where the retargeted body stands in the scene."""
    source = source_motion(found.clip, options.contact_threshold)
    target = measure_target(rest_world(found.rig, found.skeleton_map.carried_by), found.skeleton_map)
    scale = float(found.pose.report.figures["scale"])
    moved, _ = place_source(source, target, options.placement, scale)
    rows = np.flatnonzero(source.present)
    return _similarity(source.positions_m[rows].reshape(-1, 3), moved.positions_m[rows].reshape(-1, 3), scale)


def _similarity(before: Array, after: Array, scale: float) -> Array:
    """The rotation and shift (4, 4) that, with `scale`, take points (N, 3) to points (N, 3) (Kabsch 1976)."""
    middle, goal = before.mean(axis=0), after.mean(axis=0)
    u, _, vt = np.linalg.svd((after - goal).T @ (before - middle))
    turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    matrix = np.eye(4)
    matrix[:3, :3] = scale * turn
    matrix[:3, 3] = goal - scale * turn @ middle
    return matrix


def clip_figures(clip: MotionClip) -> dict[str, float]:
    """The quality figures of the clip as it was baked, marked as the clip's."""
    return {f"{CLIP_PREFIX}{name}": value for name, value in measure_clip(clip).as_figures().items()}
