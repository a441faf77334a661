"""The camera: intrinsics from wherever they can be had, the lens, the virtual camera, and whether the camera moves.

May import numpy, OpenCV, `backend.types`, `backend.errors` and `blender_addon.motion`.
"""

from backend.camera.intrinsics import CameraOptions, choose_intrinsics
from backend.camera.lens import normalised_points, project_m
from backend.camera.motion import CameraMotionMeter

__all__ = ["CameraMotionMeter", "CameraOptions", "choose_intrinsics", "normalised_points", "project_m"]
