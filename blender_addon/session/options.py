"""From the panels' settings to the frozen options that the plain functions take. May import bpy."""

from __future__ import annotations

import math
from typing import Any

from bpy.types import Context

from ..motion.looping import Loop
from ..properties import active_clip, settings
from ..retarget.baked_pose import Controls, Placement, RetargetOptions, RootMode, Travel
from ..retarget.body_parts import BodyPart
from ..retarget.unseen_keys import UnseenJoints
from ..rig.apply_clip import ApplyOptions
from ..rig.bake import BakeInto, BakeOptions
from ..rig.prepare_clip import PART_FIELDS, PrepareSettings, part_settings
from ..rig.prop_targets import HandProp
from .map_rows import chosen_map
from .session_state import scene_fps


def prepare_settings(cleanup: Any) -> PrepareSettings:
    """The clean-up panel's settings as `prepare_clip` takes them."""
    strengths = {part: getattr(cleanup, part) for part in PART_FIELDS}
    smooth = part_settings(strengths, spikes=cleanup.spikes, gap_s=cleanup.gap_s)
    trim = (cleanup.trim_start_s, cleanup.trim_end_s) if cleanup.use_trim else None
    return PrepareSettings(
        smooth,
        cleanup.ground,
        trim,
        math.degrees(cleanup.straighten),
        mirror=cleanup.mirror,
        loop=Loop[cleanup.loop],
    )


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
        relax_hands=chosen.relax_hands,
    )


def apply_options(context: Context) -> ApplyOptions:
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
        kept.retarget.use_face,
        kept.retarget.face_table,
        UnseenJoints[bake.unseen],
    )


def hand_props(chosen: Any) -> tuple[HandProp, ...]:
    """The objects that the panel gives the hands."""
    found = []
    for hand, prop in (("left_wrist", chosen.left_prop), ("right_wrist", chosen.right_prop)):
        if prop.thing is not None:
            span = (prop.first, prop.last) if prop.use_range else (None, None)
            found.append(HandProp(hand, prop.thing.name, *span))
    return tuple(found)
