"""The tilt of the camera of a capture, taken from a camera of the scene. May import bpy."""

from __future__ import annotations

import math

import bpy
from bpy.types import Context
from mathutils import Vector

from ...motion.camera_tilt import tilt_from_down
from ...properties import settings
from .base import OperatorResult


class MARIONET_OT_tilt_from_camera(bpy.types.Operator):
    """Take pitch and roll of the next capture from the active camera of the scene, at the current frame"""

    bl_idname = "marionet.tilt_from_camera"
    bl_label = "Tilt from Scene Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if context.scene.camera is None:
            cls.poll_message_set("The scene has no active camera")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        camera = context.scene.camera
        if camera is None:
            return {"CANCELLED"}
        placed = camera.evaluated_get(context.evaluated_depsgraph_get()).matrix_world
        down = placed.to_quaternion().inverted() @ Vector((0.0, 0.0, -1.0))
        capture = settings(context).capture
        # Blender's cameras look along -Z with Y up
        capture.pitch_rad, capture.roll_rad = tilt_from_down((down.x, -down.y, -down.z))
        capture.camera_tilt = "SET"
        angles = (math.degrees(angle) for angle in (capture.pitch_rad, capture.roll_rad))
        self.report({"INFO"}, "{}: pitch {:.1f}, roll {:.1f} degrees".format(camera.name, *angles))
        return {"FINISHED"}


CLASSES = (MARIONET_OT_tilt_from_camera,)
