"""The clips of a scene: entered into its list, read from their files, cleaned, laid on its timeline. May import bpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
from bpy.types import Context

from ..client.capture_run import CaptureTicket
from ..motion.clip import MotionClip
from ..properties import active_clip, settings, settings_of
from ..rig.prepare_clip import prepare_clip
from . import session_state
from .clip_videos import set_videos
from .contact_edit import edited_spans, follow_timeline, own_contacts
from .options import prepare_settings
from .session_state import LoadedClip, Timing, scene_fps
from .take_videos import keep_results, main_video


class ClipMissingError(ValueError):
    """No clip is in use, or its file is gone; the message says what to do."""


def loaded_clip(context: Context) -> LoadedClip:
    """The clip in use, read from its file when needed. Raises ClipMissingError without one, ClipError, OSError."""
    entry = active_clip(context)
    if entry is None:
        raise ClipMissingError("There is no clip yet: capture a video, import a clip or load the sample")
    path = Path(bpy.path.abspath(entry.filepath))
    if not path.is_file() and str(path) not in session_state.STATE.clips:
        raise ClipMissingError(f"The clip's file {path} is gone. Import it from where it is now, or capture again")
    return session_state.STATE.load_clip(path)


def cleaned_clip(context: Context) -> MotionClip:
    """The clip in use after smoothing and clean-up, with contacts as they were edited; made again only when one of
    these or the clip changed.
    """
    loaded = loaded_clip(context)
    wanted = prepare_settings(settings(context).cleanup)
    spans_s = edited_spans(context, loaded.clip)
    if spans_s is not None:
        wanted = replace(wanted, spans_s=spans_s, own_contacts=own_contacts(context))
    if loaded.cleanup_key != wanted:
        loaded.cleaned = prepare_clip(loaded.clip, wanted)
        loaded.cleanup_key = wanted
    follow_timeline(context, loaded.cleaned)
    return loaded.cleaned


def clip_timing(context: Context, clip: MotionClip) -> Timing:
    """How a prepared clip lies on the scene's timeline."""
    fps = scene_fps(context.scene)
    return Timing(settings(context).bake.frame_start - float(clip.times_s[0]) * fps, fps)


def enter_captured_clips(paths: list[Path], ticket: CaptureTicket) -> list[str]:
    """Enter clip files into the scene that asked for them, or the open one; returns their names.

    Raises ClipError or OSError when a file cannot be read.
    """
    scene = bpy.data.scenes.get(ticket.scene) or bpy.context.scene
    bodies, names = ticket.request.bodies, []
    for path in paths:
        header = session_state.STATE.load_clip(path).clip.header
        names.append(enter_clip(scene, path, ticket.video.stem, str(main_video(bodies, header.cameras))))
        kept = settings_of(scene)
        if len(bodies) > 1:
            set_videos(kept.clips[kept.clip_index], bodies)
        if len(ticket.request.videos) > 1:
            keep_results(kept.capture, ticket.request, header)
    return names


def keep_finished_results(path: Path, ticket: CaptureTicket) -> None:
    """Write what the final solve of a stopped capture found out about several videos into the scene's list.

    Raises ClipError or OSError when the clip cannot be read.
    """
    if len(ticket.request.videos) > 1:
        scene = bpy.data.scenes.get(ticket.scene) or bpy.context.scene
        keep_results(settings_of(scene).capture, ticket.request, session_state.STATE.load_clip(path).clip.header)


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
