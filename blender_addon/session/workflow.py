"""From the scene's settings to clips, previews, maps and bakes: what operators and updates share. May import bpy."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..client.capture_run import CaptureRun, CaptureTicket
from ..motion.clip import MotionClip
from ..properties import active_clip, settings
from ..retarget.baked_pose import Controls, Placement, RetargetOptions, RootMode, Travel
from ..retarget.body_parts import BodyPart
from ..rig.actions import OBJECT_PATHS, action_fcurves
from ..rig.apply_clip import ApplyOptions, Retargeted, retarget_clip, rig_warnings, scene_from_clip
from ..rig.bake import BakeInto, BakeOptions
from ..rig.live_pose import LivePose
from ..rig.prepare_clip import PrepareSettings, part_settings, prepare_clip
from ..rig.prop_targets import HandProp
from . import session_state
from .map_rows import chosen_map, map_row_edited, show_detected_map
from .previews import ClipOverlay, LiveRetarget, Timing, redraw_viewports, scene_fps, show_frame, stop_live
from .session_state import LoadedClip

__all__ = ["map_row_edited"]

logger = logging.getLogger(__name__)


class WorkflowError(ValueError):
    """A step that cannot be done as the settings stand; the message says what to change."""


def prepare_settings(cleanup: Any) -> PrepareSettings:
    """The clean-up panel's settings as `prepare_clip` takes them."""
    strengths = {part: getattr(cleanup, part) for part in ("root", "torso", "arms", "legs")}
    smooth = part_settings(strengths, spikes=cleanup.spikes, gap_s=cleanup.gap_s)
    trim = (cleanup.trim_start_s, cleanup.trim_end_s) if cleanup.use_trim else None
    return PrepareSettings(smooth, cleanup.ground, trim, math.degrees(cleanup.straighten))


def retarget_options(chosen: Any) -> RetargetOptions:
    """The retarget panel's settings as `retarget` takes them."""
    return RetargetOptions(
        root=RootMode[chosen.root],
        travel=Travel[chosen.travel],
        placement=Placement[chosen.placement],
        controls=Controls[chosen.controls],
        scale=chosen.scale if chosen.own_scale else None,
        plant_feet=chosen.plant_feet,
        contact_threshold=chosen.contact_threshold,
    )


def apply_options(context: Any) -> ApplyOptions:
    """Everything that the panels say about a bake."""
    kept = settings(context)
    entry = active_clip(context)
    bake = kept.bake
    options = BakeOptions(
        name=bake.action_name or (entry.name if entry else "Marionet"),
        into=BakeInto[bake.into],
        frame_start=float(bake.frame_start),
        fps=scene_fps(context.scene),
        interpolation=bake.interpolation,
        reduce_deg=bake.reduce_deg if bake.reduce else 0.0,
        reduce_mm=bake.reduce_mm if bake.reduce else 0.0,
        blend_type=bake.blend_type,
    )
    return ApplyOptions(
        prepare_settings(kept.cleanup),
        retarget_options(kept.retarget),
        options,
        chosen_map(kept.retarget),
        frozenset(BodyPart[name] for name in bake.parts),
        hand_props(kept.retarget),
    )


def hand_props(chosen: Any) -> tuple[HandProp, ...]:
    """The objects that the panel gives the hands."""
    found = []
    for hand, prop in (("left_wrist", chosen.left_prop), ("right_wrist", chosen.right_prop)):
        if prop.thing is not None:
            span = (prop.first, prop.last) if prop.use_range else (None, None)
            found.append(HandProp(hand, prop.thing.name, *span))
    return tuple(found)


def loaded_clip(context: Any) -> LoadedClip:
    """The clip in use, read from its file when needed. Raises WorkflowError without one, ClipError, OSError."""
    entry = active_clip(context)
    if entry is None:
        raise WorkflowError("There is no clip yet: capture a video, import a clip or load the sample")
    path = Path(bpy.path.abspath(entry.filepath))
    if not path.is_file() and str(path) not in session_state.STATE.clips:
        raise WorkflowError(f"The clip's file {path} is gone. Import it from where it is now, or capture again")
    return session_state.STATE.load_clip(path)


def cleaned_clip(context: Any) -> MotionClip:
    """The clip in use after smoothing and clean-up; made again only when settings or clip changed."""
    loaded = loaded_clip(context)
    wanted = prepare_settings(settings(context).cleanup)
    if loaded.cleanup_key != wanted:
        loaded.cleaned = prepare_clip(loaded.clip, wanted)
        loaded.cleanup_key = wanted
    return loaded.cleaned


def clip_timing(context: Any, clip: MotionClip) -> Timing:
    """How a prepared clip lies on the scene's timeline."""
    fps = scene_fps(context.scene)
    return Timing(settings(context).bake.frame_start - float(clip.times_s[0]) * fps, fps)


def retarget_now(context: Any, clip: MotionClip) -> Retargeted:
    """Retarget a clip onto the chosen armature with the panels' settings. Raises WorkflowError without one."""
    armature = settings(context).retarget.armature
    if armature is None or armature.name not in context.scene.objects:
        raise WorkflowError("Choose the armature to animate")
    with _at_the_start(context, armature):
        return retarget_clip(armature, clip, apply_options(context))


@contextmanager
def _at_the_start(context: Any, armature: Any) -> Iterator[None]:
    """The rig as it stands at the bake's first frame, where keys of an earlier bake move the object through the scene:
    else the motion would begin wherever the timeline happens to be. A live preview stays off meanwhile.
    """
    context.view_layer.update()  # what a preview that ended gave back
    scene, frame = context.scene, context.scene.frame_current
    moved = any(curve.data_path in OBJECT_PATHS for curve in action_fcurves(armature))
    if not moved:
        yield
        return
    live, session_state.STATE.live = session_state.STATE.live, None
    try:
        scene.frame_set(settings(context).bake.frame_start)
        yield
    finally:
        scene.frame_set(frame)
        session_state.STATE.live = live


def show_overlay(context: Any, clip: MotionClip, matrix: Any = None) -> None:
    """Show a clip's skeleton, or the new one if one is shown."""
    timing, place = clip_timing(context, clip), np.eye(4) if matrix is None else matrix
    if session_state.STATE.overlay is None:
        session_state.STATE.overlay = ClipOverlay(clip, timing, place)
        session_state.STATE.overlay.overlay.install()
    else:
        session_state.STATE.overlay.update(clip, timing, place)
    show_frame(context.scene)
    redraw_viewports()


def overlay_matrix(context: Any, clip: MotionClip) -> Any:
    """Where a clip's skeleton belongs: with the chosen armature where there is one, else as the clip has it."""
    if settings(context).retarget.armature is None:
        return np.eye(4)
    return scene_from_clip(retarget_now(context, clip), retarget_options(settings(context).retarget))


def show_live(context: Any, clip: MotionClip) -> None:
    """Show a clip on the chosen armature without keys."""
    live = session_state.STATE.live
    if live is not None:
        live.pose.restore()  # the rig is read as the user left it, not as the preview holds it
    armature = settings(context).retarget.armature
    found = retarget_now(context, clip)
    if live is not None and live.pose.armature_name == armature.name:
        live.pose.replace(armature, found.pose)
        live.timing = clip_timing(context, found.clip)
    else:
        live = LiveRetarget(LivePose(armature, found.pose), clip_timing(context, found.clip), context.scene.name)
    session_state.STATE.live = live
    context.scene.marionet.retarget.previewed = armature.name
    if session_state.STATE.overlay is not None:
        show_overlay(context, clip, scene_from_clip(found, retarget_options(settings(context).retarget)))
    show_frame(context.scene)
    redraw_viewports()


def refresh_previews(context: Any) -> None:
    """Bring running previews up to the settings; a preview that cannot go on says why and ends."""
    state = session_state.STATE
    if (state.overlay is None and state.live is None) or state.capture is not None:
        return
    try:
        clip = cleaned_clip(context)
        if state.overlay is not None and state.live is None:
            show_overlay(context, clip, overlay_matrix(context, clip))
        if state.live is not None:
            show_live(context, clip)
    except (ValueError, RuntimeError, OSError, KeyError) as fault:
        state.fail(f"The preview ended: {fault}")
        stop_live()


def partial_matrix(context: Any, clip: MotionClip) -> Any:
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


def add_clips(paths: list[Path], ticket: CaptureTicket) -> list[str]:
    """Enter clip files into the scene that asked for them, or the open one; returns their names.

    Raises ClipError or OSError when a file cannot be read.
    """
    scene = bpy.data.scenes.get(ticket.scene) or bpy.context.scene
    names = []
    for path in paths:
        session_state.STATE.load_clip(path)
        names.append(enter_clip(scene, path, ticket.video.stem, str(ticket.video)))
    if names:
        refresh_previews(bpy.context)
    return names


def enter_clip(scene: Any, path: Path, name: str, video: str = "") -> str:
    """Add a clip to a scene's list and make it the one in use; returns its unique name."""
    kept = scene.marionet
    taken = {clip.name for clip in kept.clips}
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{name}.{number:03d}"
    entry = kept.clips.add()
    entry.name, entry.filepath, entry.video = unique, str(path), video
    kept.clip_index = len(kept.clips) - 1
    return unique


def map_chosen_armature(context: Any) -> None:
    """Map the chosen armature's bones and show the account in the list."""
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


def refresh_warnings(context: Any) -> None:
    """Read what in the chosen rig's set-up limits the result, for the panel to show before the bake."""
    chosen = settings(context).retarget
    session_state.STATE.rig_warnings = ()
    if chosen.armature is None or not chosen.map_json:
        return
    try:
        skeleton_map = chosen_map(chosen)
        if skeleton_map is not None:
            session_state.STATE.rig_warnings = rig_warnings(chosen.armature, skeleton_map, retarget_options(chosen))
    except (ValueError, KeyError, TypeError) as fault:
        session_state.STATE.rig_warnings = (str(fault),)


def bake_stands(armature: Any) -> bool:
    """Whether the last bake's action still moves the armature: it is gone after an undo."""
    report = session_state.STATE.bake_report
    if report is None or armature is None or armature.name != report.armature or armature.animation_data is None:
        return False
    data = armature.animation_data
    actions = [data.action, *(strip.action for track in data.nla_tracks for strip in track.strips)]
    return any(action is not None and action.name == report.action for action in actions)


def cover_clip(context: Any, clip: MotionClip) -> None:
    """Let the timeline reach to a previewed clip's end where the bake would set the scene's range."""
    if settings(context).bake.set_range:
        last = math.ceil(clip_timing(context, clip).frame_start + float(clip.times_s[-1]) * scene_fps(context.scene))
        context.scene.frame_end = max(context.scene.frame_end, last)


def scene_range(context: Any, first: int, last: int) -> None:
    """Make the scene's frame range that of a baked motion."""
    context.scene.frame_start, context.scene.frame_end = first, max(last, first)


def without_preview(options: ApplyOptions, **changes: Any) -> ApplyOptions:
    """The same options with other bake settings."""
    return replace(options, bake=replace(options.bake, **changes))
