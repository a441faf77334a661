"""The clip in use on the chosen armature, with the panels' settings: retargeted, placed, baked. May import bpy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from bpy.types import Context

from ..motion.clip import MotionClip
from ..properties import settings
from ..rig.apply_clip import Retargeted, bake_prepared_clip, retarget_clip, scene_from_clip
from ..rig.bake import BakeReport
from . import session_state
from .clips import cleaned_clip
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


def world_matrix(context: Context, clip: MotionClip) -> Any:
    """The matrix (4, 4) from a prepared clip's world, in m, to the scene: to where the chosen armature stands, else as
    the clip has it.
    """
    chosen = settings(context).retarget
    if chosen.armature is None:
        return np.eye(4)
    return scene_from_clip(retarget_to_chosen(context, clip), retarget_options(chosen))


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
