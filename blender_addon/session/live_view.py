"""A live capture in the viewport: the skeleton, and the chosen character as it is retargeted. May import bpy."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import bpy
import numpy as np
from bpy.types import Context
from numpy.typing import NDArray

from ..client.partial_clip import frames_clip
from ..motion.body import canonical_body, forward_kinematics
from ..properties import settings
from ..retarget.baked_pose import BakedPose, Placement, RetargetOptions
from ..retarget.solve import MeasuredRig, measure_rig, retarget_in_steps
from ..rig.apply_clip import detected_map
from ..rig.draw_skeleton import SkeletonOverlay
from ..rig.live_pose import LivePose
from ..rig.read_armature import read_armature
from ..wire.messages import LiveFrame
from .map_rows import chosen_map
from .options import retarget_options
from .previews import redraw_viewports

Array = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Joints (J, 3) in the world and their confidence (J,); None where nobody is in sight."""

    joints_m: Array | None
    confidence: Array | float = 1.0


_NOBODY = Skeleton(None)


class LiveView:
    """Shows frame after frame; `shown` counts those that the character followed. `close` puts its own pose back."""

    def __init__(self, context: Context, with_character: bool) -> None:
        self._body = canonical_body()
        self._overlay = SkeletonOverlay(self._body)
        self._overlay.install()
        armature: Any = settings(context).retarget.armature if with_character else None
        # looked up by name at its first pose: undo and file loading make references stale
        self._armature_name: str = armature.name if armature is not None else ""
        self._measured: MeasuredRig | None = None
        self._pose: LivePose | None = None
        self._first: LiveFrame | None = None
        self._options = RetargetOptions()
        self._stands = np.zeros(3)
        self._wanted: tuple[LiveFrame, LiveFrame] | None = None
        self._newest, self._coming = _NOBODY, _NOBODY
        self._steps: Generator[None, None, BakedPose] | None = None
        self.shown = 0
        if armature is not None:
            self._measure(context, armature)

    def _measure(self, context: Context, armature: Any) -> None:
        chosen = settings(context).retarget
        if bpy.context.view_layer is not None:
            bpy.context.view_layer.update()
        rig = read_armature(armature)
        self._measured = measure_rig(rig, chosen_map(chosen) or detected_map(rig))
        self._options = replace(retarget_options(chosen), plant_feet=False)
        if Placement[chosen.placement] is Placement.CHARACTER:
            self._stands[:2] = armature.matrix_world.translation[:2]

    def show(self, frame: LiveFrame) -> None:
        """Show a frame with a person, or take the skeleton away where there is none."""
        if not np.isfinite(frame.root_m).all():
            self._wanted = self._steps = None
            self._draw(_NOBODY)
            return
        first = self._first
        if first is None or (first.state != "live" and frame.state == "live"):
            self._first = first = frame  # after the calibration the world is another
        root = np.asarray(frame.root_m, np.float64) - [*first.root_m[:2], 0.0] + self._stands
        joints, _ = forward_kinematics(self._body, np.asarray(frame.rotations_wxyz, np.float64), root)
        self._wanted = first, frame
        self._newest = Skeleton(joints, np.full(len(joints), frame.confidence))
        if self._measured is None:
            self._draw(self._newest)

    def step(self) -> bool:
        """Bring the character a few milliseconds nearer to the newest frame; False when there is nothing to do.

        One retarget takes longer than a tick of the interface may, so it goes on from tick to tick.
        """
        if self._measured is None or (self._steps is None and self._wanted is None):
            return False
        if self._steps is None and self._wanted is not None:
            clip, self._wanted = frames_clip(self._wanted), None
            self._coming = self._newest
            self._steps = retarget_in_steps(clip, self._measured, self._options)
        try:
            if self._steps is not None:
                next(self._steps)
        except StopIteration as done:
            self._steps = None
            self._pose_character(done.value)
        return True

    def _pose_character(self, baked: BakedPose) -> None:
        armature: Any = bpy.data.objects.get(self._armature_name)
        if self._pose is not None:
            self._pose.feed(baked)
        elif armature is not None and armature.type == "ARMATURE":
            self._pose = LivePose(armature, baked)
        if self._pose is None or not self._pose.show(float(baked.times_s[-1])):
            self._measured = None  # the armature is gone
        self.shown += 1
        self._draw(self._coming)

    def _draw(self, skeleton: Skeleton) -> None:
        """Skeleton and character are drawn once, together: drawing is what takes longest."""
        self._overlay.show(skeleton.joints_m, skeleton.confidence)
        redraw_viewports()

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
