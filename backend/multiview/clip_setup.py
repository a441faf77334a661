"""The set-up of a take out of one of its clips, whose header has every camera. numpy, `motion.clip`, own room."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.errors import BadInputError
from backend.multiview.types import CameraEstimate, CameraSource, CameraUncertainty, Offset, OffsetSource, TakeSetup
from backend.types import Array, Intrinsics
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.clip_cameras import ClipCamera


def setup_of_clip(clip: MotionClip) -> TakeSetup:
    """Cameras, clocks, gravity and floor to use again, as `solve --save-setup` writes them.

    Raises BadInputError for a clip in which fewer than two cameras are known.
    """
    cameras = clip.header.cameras
    used = [camera for camera in cameras if camera.used]
    if len(used) < 2:
        raise BadInputError(
            f"{Path(clip.header.source).name} was solved from one video alone: there is no set-up to keep",
            "Solve it together with the videos of the other cameras",
        )
    world = used[0].pose
    down = -world[2, :3]
    return TakeSetup(
        tuple(Path(camera.source).name for camera in cameras),
        tuple(_estimate(camera, world) for camera in cameras),
        tuple(Offset(camera.start_s, camera.rate, 0.0, OffsetSource.SETUP) for camera in cameras),
        (float(down[0]), float(down[1]), float(down[2])),
        float(world[2, 3]),
    )


def _estimate(camera: ClipCamera, world_from_first: Array) -> CameraEstimate | None:
    if not camera.used:
        return None
    return CameraEstimate(
        Intrinsics(camera.intrinsics, camera.width, camera.height, camera.calibrated_from, camera.distortion),
        np.linalg.inv(camera.pose) @ world_from_first,
        CameraSource.SETUP,
        CameraUncertainty(camera.rotation_deg, camera.position_m, camera.focal_share),
        camera.reprojection_px,
    )
