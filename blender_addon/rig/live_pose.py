"""Show a retargeted clip on an armature without writing keys, and put the pose back afterwards. May import bpy.

The armature is looked up by name at every frame: undo and file loading make references stale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..retarget.baked_pose import BakedPose
from .bake_shapes import LiveShapes
from .object_place import local_place
from .rotation_modes import rotation_values
from .switches import read_switch, set_switch

Array = NDArray[np.floating]

_CHANNELS = ("location", "rotation_quaternion", "rotation_euler", "rotation_axis_angle", "scale")


@dataclass(frozen=True, slots=True)
class _BoneValues:
    """One channel of one bone over the clip: values (T, k) of `prop`."""

    bone: str
    prop: str
    values: Array


class LivePose:
    """Holds one armature to a `BakedPose`. `show` sets a time, `restore` puts back what was there before."""

    def __init__(self, armature: Any, pose: BakedPose) -> None:
        self.armature_name = armature.name
        self._uid = getattr(armature, "session_uid", None)
        self._times_s = np.asarray(pose.times_s, dtype=np.float64)
        self._channels = _bone_values(pose)
        moved = pose.object_motion
        self._object = None
        if moved is not None:
            bpy.context.view_layer.update()  # where its parent stands
            self._object = local_place(armature, np.asarray(moved.location_m), np.asarray(moved.rotation_wxyz))
        self._properties = pose.properties
        self._shapes = LiveShapes(pose)
        self._before = _snapshot(armature, {channel.bone for channel in self._channels}, pose)

    def replace(self, armature: Any, pose: BakedPose) -> None:
        """Show another pose on the same armature; what `restore` puts back stays the first state.

        What only the pose before held (other bones, the object, switches) goes back at once.
        """
        self.restore()
        self.__init__(armature, pose)  # type: ignore[misc]

    def feed(self, pose: BakedPose) -> None:
        """Hold another pose of the same bones: the next frame of a motion that comes bit by bit."""
        self._times_s = np.asarray(pose.times_s, dtype=np.float64)
        self._channels = _bone_values(pose)
        moved, armature = pose.object_motion, self._armature()
        if moved is not None and armature is not None:
            self._object = local_place(armature, np.asarray(moved.location_m), np.asarray(moved.rotation_wxyz))

    def show(self, time_s: float) -> bool:
        """Pose the armature as at a time of the clip; False when the armature is gone."""
        armature = self._armature()
        if armature is None:
            return False
        frame = int(np.abs(self._times_s - time_s).argmin())
        bones = armature.pose.bones
        for channel in self._channels:
            bone = bones.get(channel.bone)
            if bone is not None:
                setattr(bone, channel.prop, channel.values[frame])
        for switch in self._properties:
            if switch.bone in bones:
                set_switch(bones[switch.bone], switch.name, switch.value)
        if self._object is not None:
            location, turned = self._object
            armature.location = location[frame]
            prop, values = rotation_values(turned[frame : frame + 1], armature.rotation_mode)
            setattr(armature, prop, values[0])
        self._shapes.show(frame)
        armature.update_tag()  # assignments inside a handler are not always seen without it
        return True

    def _armature(self) -> Any:
        """The armature object, under a new name too; None when it is gone."""
        found = bpy.data.objects.get(self.armature_name)
        if found is None and self._uid is not None:
            found = next((thing for thing in bpy.data.objects if thing.session_uid == self._uid), None)
            if found is not None:
                self.armature_name = found.name
        return found if found is not None and found.type == "ARMATURE" else None

    def restore(self) -> bool:
        """Put the pose back as it was; False when the armature is gone."""
        armature = self._armature()
        if armature is None:
            return False
        for name, values in self._before.bones.items():
            bone = armature.pose.bones.get(name)
            if bone is not None:
                for prop, value in values.items():
                    setattr(bone, prop, value)
        for bone_name, switch, number in self._before.properties:
            if bone_name in armature.pose.bones:
                set_switch(armature.pose.bones[bone_name], switch, number)
        for prop, value in self._before.object.items():
            setattr(armature, prop, value)
        self._shapes.restore()
        armature.update_tag()
        return True


@dataclass(frozen=True, slots=True)
class _Before:
    bones: dict[str, dict[str, tuple[float, ...]]]
    properties: list[tuple[str, str, float]]
    object: dict[str, tuple[float, ...]]


def _bone_values(pose: BakedPose) -> list[_BoneValues]:
    channels = []
    for bone, mode, wxyz in zip(pose.bone_names, pose.rotation_modes, pose.rotations_wxyz, strict=True):
        prop, values = rotation_values(np.asarray(wxyz), mode)
        channels.append(_BoneValues(bone, prop, values))
    channels += [_BoneValues(moved.bone, "location", np.asarray(moved.location)) for moved in pose.locations]
    return channels


def _snapshot(armature: Any, bones: set[str], pose: BakedPose) -> _Before:
    kept = {
        name: {prop: tuple(getattr(armature.pose.bones[name], prop)) for prop in _CHANNELS}
        for name in bones
        if name in armature.pose.bones
    }
    switches = [
        (switch.bone, switch.name, value)
        for switch in pose.properties
        if switch.bone in armature.pose.bones
        and (value := read_switch(armature.pose.bones[switch.bone], switch.name)) is not None
    ]
    moved = {prop: tuple(getattr(armature, prop)) for prop in _CHANNELS} if pose.object_motion is not None else {}
    return _Before(kept, switches, moved)
