"""The clip in use on the chosen armature, with the panels' settings: retargeted, placed, baked. May import bpy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from bpy.types import Context

from ..motion.clip import MotionClip
from ..motion.resampling import sample_clip
from ..properties import settings
from ..rig.apply_clip import Retargeted, bake_prepared_clip, retarget_clip, rig_warnings, scene_from_clip
from ..rig.bake import BakeInto
from ..rig.bake_report import BakeReport
from ..rig.face_targets import read_face_targets
from ..rig.read_armature import read_armature
from . import session_state
from .clips import cleaned_clip
from .map_rows import chosen_map
from .options import apply_options, retarget_options


class NoArmatureError(ValueError):
    """No armature of the scene is chosen."""


def retarget_to_chosen(context: Context, clip: MotionClip) -> Retargeted:
    """Retarget a prepared clip onto the chosen armature with the panels' settings. Raises NoArmatureError."""
    armature = _chosen_armature(context)
    with _live_preview_off():
        return retarget_clip(armature, clip, apply_options(context))


def bake_active_clip(context: Context) -> BakeReport:
    """Bake the clip in use onto the chosen armature with the panels' settings.

    Raises NoArmatureError, ClipMissingError, and what `apply_clip` raises.
    """
    clip, armature = cleaned_clip(context), _chosen_armature(context)
    with _live_preview_off():
        return bake_prepared_clip(armature, clip, apply_options(context))


def apply_pose(context: Context, clip: MotionClip, time_s: float) -> BakeReport:
    """Put the pose that a clip has at a time onto the chosen armature, keyed at the scene's current frame.

    Keys go into the active action, else into a new one. Raises NoArmatureError, ClipError, and what a bake raises.
    """
    armature = _chosen_armature(context)
    options, frame = apply_options(context), context.scene.frame_current  # type: ignore[union-attr]
    data = armature.animation_data
    into = BakeInto.NEW_ACTION if data is None or data.action is None else BakeInto.CURRENT_ACTION
    keys = replace(options.bake, name="Pose", into=into, frame_start=float(frame))
    time_s = float(np.clip(time_s, clip.times_s[0], clip.times_s[-1]))
    at = sample_clip(clip, np.array([time_s]))
    still = replace(at, header=replace(at.header, is_cyclic=False))
    with _live_preview_off():
        return bake_prepared_clip(armature, still, replace(options, bake=keys))


def world_matrix(context: Context, clip: MotionClip) -> Any:
    """The matrix (4, 4) from a prepared clip's world, in m, to the scene: to where the chosen armature stands, else as
    the clip has it.
    """
    chosen = settings(context).retarget
    if chosen.armature is None:
        return np.eye(4)
    return scene_from_clip(retarget_to_chosen(context, clip), retarget_options(chosen))


def refresh_warnings(context: Context) -> None:
    """Read what in the chosen rig's set-up limits the result, for the panel to show before the bake.

    While the program fills the map's rows nothing is read: whoever fills them asks once at the end.
    """
    if session_state.STATE.filling_map_rows:
        return
    chosen = settings(context).retarget
    session_state.STATE.rig_warnings, session_state.STATE.face_lines = (), ()
    if chosen.armature is None or not chosen.map_json:
        return
    try:
        skeleton_map = chosen_map(chosen)
        if skeleton_map is not None:
            session_state.STATE.rig_warnings = rig_warnings(chosen.armature, skeleton_map, retarget_options(chosen))
        found = read_face_targets(chosen.armature, read_armature(chosen.armature), chosen.face_table)
        session_state.STATE.face_lines = found.lines()
    except (ValueError, KeyError, TypeError, OSError) as fault:
        session_state.STATE.rig_warnings = (str(fault),)


def last_bake_is_active(armature: Any) -> bool:
    """Whether the last bake's action still moves the armature: it is gone after an undo."""
    report = session_state.STATE.bake_report
    if report is None or armature is None or armature.name != report.armature or armature.animation_data is None:
        return False
    data = armature.animation_data
    actions = [data.action, *(strip.action for track in data.nla_tracks for strip in track.strips)]
    return any(action is not None and action.name == report.action for action in actions)


def _chosen_armature(context: Context) -> Any:
    armature, scene = settings(context).retarget.armature, context.scene
    if armature is None or scene is None or armature.name not in scene.objects:
        raise NoArmatureError("Choose the armature to animate")
    return armature


@contextmanager
def _live_preview_off() -> Iterator[None]:
    """A live preview stays off meanwhile, for the rig is read in another scene frame than the present one."""
    live, session_state.STATE.live = session_state.STATE.live, None
    try:
        yield
    finally:
        session_state.STATE.live = live
