"""Registering the add-on's classes, settings and handlers with Blender, and taking all of it out again."""

from __future__ import annotations

from typing import Any

import bpy

from . import properties
from .properties import change_events
from .session import map_rows, preview_control, previews, retargeting, session_state
from .session.backend import close_link
from .ui import preferences, translations
from .ui.operators import (
    animate,
    backend,
    base,
    capture,
    clips,
    contacts,
    faces,
    finishing,
    help,
    layers,
    live,
    mapping,
    motion_sources,
    people,
    pick_point,
    sources,
    take,
    tilt,
)
from .ui.panels import animate as animate_panels
from .ui.panels import capture as capture_panels
from .ui.panels import sidebar
from .ui.panels import take as take_panels

# panels register in the order in which they stand in the sidebar
MODULES = (
    properties,
    preferences,
    backend,
    capture,
    live,
    finishing,
    people,
    sources,
    take,
    tilt,
    pick_point,
    clips,
    contacts,
    motion_sources,
    mapping,
    faces,
    animate,
    layers,
    help,
    sidebar,
    take_panels,
    capture_panels,
    animate_panels,
)
_keymaps: list[tuple[Any, Any]] = []


def register() -> None:
    """Called by Blender when the extension is enabled."""
    for module in MODULES:
        for kind in module.CLASSES:
            bpy.utils.register_class(kind)
    properties.attach()
    change_events.attach(
        change_events.ChangeHandlers(
            refresh_warnings=retargeting.refresh_warnings,
            refresh_previews=preview_control.refresh_previews,
            map_armature=preview_control.map_chosen_armature,
            edit_map_row=map_rows.map_row_edited,
            forget_people=session_state.STATE.forget_people_of_other,
        )
    )
    previews.attach()
    translations.attach()
    take_panels.attach()
    _attach_keymap()


def unregister() -> None:
    """Called by Blender when the extension is disabled: the backend stops, everything registered goes."""
    _stop_work()
    _detach_keymap()
    take_panels.detach()
    translations.detach()
    previews.detach()
    people.forget_thumbnails()
    change_events.detach()
    properties.detach()
    for module in reversed(MODULES):
        for kind in reversed(module.CLASSES):
            bpy.utils.unregister_class(kind)


def _stop_work() -> None:
    state = session_state.STATE
    if state.setup is not None:
        state.setup.cancel()
    if state.people is not None:
        state.people.discard()
    close_link()
    timers = (
        base.poll_link,
        backend.poll_setup,
        capture.tick_orphaned_capture,
        live.tick_live,
        live.tick_recovery,
        finishing.tick_finishing,
        people.poll_people,
    )
    for timer in timers:
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
    session_state.STATE.capture = None
    if session_state.STATE.live_capture is not None:
        session_state.STATE.live_capture.stop()
        session_state.STATE.live_capture = None
    session_state.STATE.finishing.clear()


def _attach_keymap() -> None:
    configuration = bpy.context.window_manager.keyconfigs.addon
    if configuration is None:  # in the background there is no keymap
        return
    keymap = configuration.keymaps.new(name="3D View", space_type="VIEW_3D")
    item = keymap.keymap_items.new("marionet.toggle_live", "M", "PRESS", ctrl=True, shift=True)
    _keymaps.append((keymap, item))


def _detach_keymap() -> None:
    for keymap, item in _keymaps:
        keymap.keymap_items.remove(item)
    _keymaps.clear()
