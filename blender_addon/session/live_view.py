"""A live capture in the viewport: the skeleton, and the chosen character as it is retargeted. May import bpy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy
import numpy as np
from bpy.types import Context
from numpy.typing import NDArray

from ..client.partial_clip import frames_clip
from ..motion.body import canonical_body, forward_kinematics
from ..properties import settings
from ..retarget.baked_pose import Placement, RetargetOptions
from ..retarget.solve import MeasuredRig, measure_rig, retarget_with
from ..rig.apply_clip import detected_map
from ..rig.draw_skeleton import SkeletonOverlay
from ..rig.live_pose import LivePose
from ..rig.read_armature import read_armature
from ..wire.messages import LiveFrame
from .map_rows import chosen_map
from .options import retarget_options
from .previews import redraw_viewports

Array = NDArray[np.floating]


class LiveView:
    """Shows frame after frame; `close` puts the character's pose back."""

    def __init__(self, context: Context, with_character: bool) -> None:
        self._body = canonical_body()
        self._overlay = SkeletonOverlay(self._body)
        self._overlay.install()
        self._armature: Any = settings(context).retarget.armature if with_character else None
        self._measured: MeasuredRig | None = None
        self._pose: LivePose | None = None
        self._first: LiveFrame | None = None
        self._options = RetargetOptions()
        self._stands = np.zeros(3)
        if self._armature is not None:
            self._measure(context)

    def _measure(self, context: Context) -> None:
        chosen = settings(context).retarget
        if bpy.context.view_layer is not None:
            bpy.context.view_layer.update()
        rig = read_armature(self._armature)
        self._measured = measure_rig(rig, chosen_map(chosen) or detected_map(rig))
        self._options = replace(retarget_options(chosen), plant_feet=False)
        if Placement[chosen.placement] is Placement.CHARACTER:
            self._stands[:2] = self._armature.matrix_world.translation[:2]

    def show(self, frame: LiveFrame) -> None:
        """Show a frame with a person, or take the skeleton away where there is none."""
        if not np.isfinite(frame.root_m).all():
            self._overlay.show(None)
            redraw_viewports()
            return
        first = self._first
        if first is None or (first.state != "live" and frame.state == "live"):
            self._first = first = frame  # after the calibration the world is another
        root = np.asarray(frame.root_m, np.float64) - [*first.root_m[:2], 0.0] + self._stands
        joints, _ = forward_kinematics(self._body, np.asarray(frame.rotations_wxyz, np.float64), root)
        self._overlay.show(joints, np.full(len(joints), frame.confidence))
        if self._measured is not None:
            self._show_character(first, frame)
        redraw_viewports()

    def _show_character(self, first: LiveFrame, frame: LiveFrame) -> None:
        assert self._measured is not None
        clip = frames_clip((first, frame))
        baked = retarget_with(clip, self._measured, self._options)
        if self._pose is None:
            self._pose = LivePose(self._armature, baked)
        else:
            self._pose.feed(baked)
        if not self._pose.show(float(clip.times_s[-1])):
            self._measured = None  # the armature is gone

    def put_back(self) -> None:
        """Give the character its own pose, as for a save; the next frame shows the motion again."""
        if self._pose is not None:
            self._pose.restore()

    def close(self) -> None:
        """Take the skeleton out and put the character's pose back."""
        self._overlay.remove()
        if self._pose is not None:
            self._pose.restore()
            self._pose = None
        redraw_viewports()


def scene_of(name: str) -> Any:
    """The scene of that name, or the open one."""
    return bpy.data.scenes.get(name) or bpy.context.scene
