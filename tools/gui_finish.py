"""Steps of `gui_scenario.py` for a finished motion: a loop, contacts moved on the timeline, offsets, root motion.

Runs inside a real, windowed Blender, on the sample that `install` has loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy
from gui_hands import call, note, pause, require, screenshot, state, until


def loop_in_the_preview() -> Iterator[None]:
    """A loop is found while the live retarget runs, which follows."""
    kept = bpy.context.scene.marionet
    require(call(bpy.ops.marionet.toggle_live) == {"FINISHED"}, f"no live retarget: {state().last_error}")
    kept.cleanup.loop = "FIND"
    loaded = state().clips[kept.clips[kept.clip_index].filepath]
    yield from until(lambda: loaded.cleaned.header.is_cyclic, "the loop in the preview")
    note("loop", start_s=float(loaded.cleaned.times_s[0]), end_s=float(loaded.cleaned.times_s[-1]))
    yield from pause(3)
    screenshot("7_loop")
    kept.cleanup.loop = "OFF"
    yield from until(lambda: not loaded.cleaned.header.is_cyclic, "the whole clip")


def contacts_on_the_timeline() -> Iterator[None]:
    """A contact's key is moved in the Dope Sheet, and the running preview plants the foot anew."""
    kept = bpy.context.scene.marionet
    require(call(bpy.ops.marionet.edit_contacts) == {"FINISHED"}, f"no contacts: {state().last_error}")
    sheet = next(area for area in bpy.context.screen.areas if area.type == "DOPESHEET_EDITOR")
    sheet.spaces.active.ui_mode = "DOPESHEET"
    yield from pause(4)
    screenshot("8_contacts")
    thing = kept.clips[kept.clip_index].contacts
    loaded = state().clips[kept.clips[kept.clip_index].filepath]
    before = loaded.cleaned.contacts.copy()
    move_a_key(thing)
    yield from until(lambda: (loaded.cleaned.contacts != before).any(), "the preview after a moved key")
    yield from pause(2)
    screenshot("9_contacts_moved")
    note("contacts", frames_changed=int((loaded.cleaned.contacts != before).any(axis=1).sum()))
    call(bpy.ops.marionet.reset_contacts)
    call(bpy.ops.marionet.toggle_live)


def move_a_key(thing: Any) -> None:
    """Move the first key that ends a contact by ten frames, as a drag in the Dope Sheet does."""
    for curve in thing.animation_data.action.fcurves:
        for key in curve.keyframe_points:
            if key.co.x > 1.0 and key.co.y < 0.5:
                key.co.x += 10.0
                curve.update()
                thing.animation_data.action.update_tag()
                return


def offsets_and_root() -> Iterator[None]:
    """Bake, add a layer, bake again below it, merge, and extract the root's motion where there is a root bone."""
    kept = bpy.context.scene.marionet
    rig = kept.retarget.armature
    require(call(bpy.ops.marionet.bake) == {"FINISHED"}, f"no bake: {state().last_error}")
    require(call(bpy.ops.marionet.add_offsets) == {"FINISHED"}, f"no layer: {state().last_error}")
    offsets = rig.animation_data.action.name
    yield from pause(3)
    screenshot("10_offsets")
    kept.cleanup.preset = "medium"
    require(call(bpy.ops.marionet.bake) == {"FINISHED"}, f"no second bake: {state().last_error}")
    require(rig.animation_data.action.name == offsets, "the offsets are gone after a second bake")
    require(call(bpy.ops.marionet.merge_offsets) == {"FINISHED"}, f"not merged: {state().last_error}")
    note("offsets", action=rig.animation_data.action.name)
    call(bpy.ops.ed.undo)


FINISH = (loop_in_the_preview, contacts_on_the_timeline, offsets_and_root)
