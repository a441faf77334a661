"""The camera: intrinsics from wherever they can be had, the virtual crop camera, and whether the camera moves.

May import numpy, OpenCV, `backend.types`, `backend.errors` and `blender_addon.motion`.
"""

from backend.camera.crop import (
    look_at,
    normalised_points,
    pixel_rays,
    project_m,
    virtual_from_camera,
)
from backend.camera.intrinsics import CameraOptions, choose_intrinsics, field_of_view_deg
from backend.camera.motion import CameraMotionMeter

__all__ = [
    "CameraMotionMeter",
    "CameraOptions",
    "choose_intrinsics",
    "field_of_view_deg",
    "look_at",
    "normalised_points",
    "pixel_rays",
    "project_m",
    "virtual_from_camera",
]
