"""Both previews, brought up to the clip in use and the settings, or to a running capture. May import bpy."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np
from bpy.types import Context

from ..client.capture_run import CaptureRun
from ..motion.clip import MotionClip
from ..properties import settings
from ..retarget.baked_pose import Placement
from ..rig.apply_clip import scene_from_clip
from ..rig.live_pose import LivePose
from . import session_state
from .clips import cleaned_clip, clip_timing
from .map_rows import show_detected_map
from .options import retarget_options
from .previews import redraw_viewports, show_frame, stop_live
from .retargeting import refresh_warnings, retarget_to_chosen, world_matrix
from .session_state import ClipOverlay, LiveRetarget, scene_fps


def show_overlay(context: Context, clip: MotionClip, matrix: Any = None) -> None:
    """Show a clip's skeleton, or the new one if one is shown."""
    timing, place = clip_timing(context, clip), np.eye(4) if matrix is None else matrix
    if session_state.STATE.overlay is None:
        session_state.STATE.overlay = ClipOverlay(clip, timing, place)
        session_state.STATE.overlay.overlay.install()
    else:
        session_state.STATE.overlay.update(clip, timing, place)
    show_frame(context.scene)
    redraw_viewports()


def show_live(context: Context, clip: MotionClip) -> None:
    """Show a clip on the chosen armature without keys."""
    live = session_state.STATE.live
    if live is not None:
        live.pose.restore()  # the rig is read as the user left it, not as the preview holds it
    armature = settings(context).retarget.armature
    found = retarget_to_chosen(context, clip)
    if live is not None and live.pose.armature_name == armature.name:
        live.pose.replace(armature, found.pose)
        live.timing = clip_timing(context, found.clip)
    else:
        timing, scene = clip_timing(context, found.clip), settings(context).id_data
        live = LiveRetarget(LivePose(armature, found.pose), timing, scene.name)
    session_state.STATE.live = live
    settings(context).retarget.previewed = armature.name
    if session_state.STATE.overlay is not None:
        show_overlay(context, clip, scene_from_clip(found, retarget_options(settings(context).retarget)))
    show_frame(context.scene)
    redraw_viewports()


def cover_clip(context: Context, clip: MotionClip) -> None:
    """Extend the timeline to a previewed clip's end where the bake would set the scene's range."""
    if settings(context).bake.set_range and context.scene is not None:
        last = math.ceil(clip_timing(context, clip).frame_start + float(clip.times_s[-1]) * scene_fps(context.scene))
        context.scene.frame_end = max(context.scene.frame_end, last)


def refresh_previews(context: Context) -> None:
    """Bring running previews up to the settings; a preview that cannot go on says why and ends."""
    state = session_state.STATE
    if (state.overlay is None and state.live is None) or state.capture is not None:
        return
    try:
        clip = cleaned_clip(context)
        if state.overlay is not None and state.live is None:
            show_overlay(context, clip, world_matrix(context, clip))
        if state.live is not None:
            show_live(context, clip)
    except (ValueError, RuntimeError, OSError, KeyError) as fault:
        state.fail(f"The preview ended: {fault}")
        stop_live()


def partial_matrix(context: Context, clip: MotionClip) -> Any:
    """Where the skeleton of a running capture stands (4, 4): where the character does, not metres away at the camera's
    distance, unless the motion is to stay as filmed.
    """
    chosen = settings(context).retarget
    matrix = np.eye(4)
    if Placement[chosen.placement] is Placement.CHARACTER:
        seen = np.flatnonzero(np.isfinite(clip.root_world_m).all(axis=1))
        stands = np.zeros(2) if chosen.armature is None else np.array(chosen.armature.matrix_world.translation[:2])
        matrix[:2, 3] = stands - clip.root_world_m[seen[0], :2]
    return matrix


def show_partial(run: CaptureRun) -> None:
    """Show what a running capture has so far, in the scene that it was started from."""
    context = bpy.context
    if run.partial is None or context.scene is None or context.scene.name != run.ticket.scene:
        return
    try:
        show_overlay(context, run.partial, partial_matrix(context, run.partial))
        if session_state.STATE.live is not None:
            show_live(context, run.partial)
    except (ValueError, RuntimeError, KeyError) as fault:
        # a preview is a courtesy: the capture itself goes on
        session_state.STATE.fail(f"The preview ended: {fault}")
        stop_live()


def adopt_active_armature(context: Context) -> None:
    """Where no armature is chosen, choose the active object if it is one, or the one that deforms it."""
    chosen, thing = settings(context).retarget, getattr(context, "active_object", None)
    if chosen.armature is not None or thing is None:
        return
    rigs = [thing, *(modifier.object for modifier in thing.modifiers if modifier.type == "ARMATURE")]
    found = next((rig for rig in rigs if rig is not None and rig.type == "ARMATURE"), None)
    if found is not None:
        chosen.armature = found


def map_chosen_armature(context: Context) -> None:
    """Map the chosen armature's bones and show the account in the list; a live preview of another rig ends."""
    chosen = settings(context).retarget
    if chosen.armature is None:
        return
    live = session_state.STATE.live
    if live is not None and live.pose.armature_name != chosen.armature.name:
        stop_live()
    try:
        show_detected_map(chosen)
        refresh_warnings(context)
    except (ValueError, TypeError, KeyError) as fault:
        session_state.STATE.fail(f"{chosen.armature.name} cannot be mapped: {fault}")
