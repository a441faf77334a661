"""Contacts of the clip in use, edited on the timeline: shown as keys, read back, kept under the clip. May use bpy."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.types import Context

from ..motion.clip import MotionClip
from ..motion.contact_spans import ContactSpans, contact_spans
from ..motion.contacts import ContactSettings
from ..properties import active_clip, settings
from ..rig.contact_keys import ContactTiming, make_contact_object, move_contact_keys, read_contact_spans
from .session_state import scene_fps


def timing_now(context: Context, clip: MotionClip) -> ContactTiming:
    """How a prepared clip lies on the scene's timeline."""
    fps, kept = scene_fps(context.scene), settings(context)
    return ContactTiming(kept.bake.frame_start - float(clip.times_s[0]) * fps, fps, kept.cleanup.mirror)


def contact_object(context: Context) -> Any | None:
    """The object with the edited contacts of the clip in use; None where they are the clip's own."""
    entry = active_clip(context)
    thing = entry.contacts if entry is not None else None
    return thing if thing is not None and context.scene is not None and thing.name in context.scene.objects else None


def edited_spans(context: Context, clip: MotionClip) -> ContactSpans | None:
    """The edited contacts of the clip in use, `clip` as it was solved; None where they are the clip's own."""
    thing = contact_object(context)
    if thing is None:
        return None
    return read_contact_spans(thing, _kept(_entry(context)), (float(clip.times_s[0]), float(clip.times_s[-1])))


def own_contacts(context: Context) -> ContactSettings:
    """When a contact of the clip in use counted as one as its contacts were shown as keys."""
    entry = _entry(context)
    return ContactSettings(enter=entry.contacts_threshold, leave=0.6 * entry.contacts_threshold)


def show_contacts(context: Context, clip: MotionClip, prepared: MotionClip) -> Any:
    """Show the contacts of the clip in use as keys, `prepared` as it lies on the timeline; returns the object that has
    them, selected so that the Dope Sheet shows it.
    """
    entry, thing = _entry(context), contact_object(context)
    if thing is None:
        drop_contacts(context)
        entry.contacts_threshold = settings(context).retarget.contact_threshold
        wanted = own_contacts(context)
        timing = timing_now(context, prepared)
        timing = ContactTiming(float(round(timing.zero_frame)), timing.fps, timing.is_mirrored)
        thing = make_contact_object(context.scene, f"{entry.name} Contacts", contact_spans(clip, wanted), timing)
        entry.contacts = thing
        _keep(entry, timing)
    layer: Any = context.view_layer
    for other in layer.objects.selected[:]:
        other.select_set(False)
    thing.select_set(True)
    layer.objects.active = thing
    return thing


def follow_timeline(context: Context, prepared: MotionClip) -> None:
    """Move the keys along when the clip lies elsewhere on the timeline, or its sides were exchanged."""
    thing, entry = contact_object(context), _entry(context)
    if thing is not None:
        _keep(entry, move_contact_keys(thing, _kept(entry), timing_now(context, prepared)))


def drop_contacts(context: Context) -> None:
    """Remove the edited contacts of the clip in use: the clip's own hold again.

    An object that the user has deleted is still there as long as the clip has it: then it goes too.
    """
    entry, is_shown = _entry(context), contact_object(context) is not None
    thing = entry.contacts if entry is not None else None
    if thing is None:
        return
    entry.contacts = None
    if not is_shown and thing.users:
        return
    action = thing.animation_data.action if thing.animation_data is not None else None
    bpy.data.objects.remove(thing)
    if action is not None and not action.users:
        bpy.data.actions.remove(action)


def _entry(context: Context) -> Any:
    return active_clip(context)


def _kept(entry: Any) -> ContactTiming:
    return ContactTiming(entry.contacts_zero, entry.contacts_fps, entry.contacts_mirrored)


def _keep(entry: Any, timing: ContactTiming) -> None:
    entry.contacts_zero, entry.contacts_fps = timing.zero_frame, timing.fps
    entry.contacts_mirrored = timing.is_mirrored
