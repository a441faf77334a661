"""What a clip of a take says about itself: its cameras, and the header of one video with what all views know."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from backend.multiview.take_person import SolvedPerson
from backend.multiview.types import CameraSource, Take
from backend.pipeline import WatchedVideo
from backend.solving.models import SolveModels
from backend.types import Array, VideoInfo
from blender_addon.motion.clip import ClipHeader
from blender_addon.motion.clip_cameras import ClipCamera
from blender_addon.motion.clip_warning import ClipWarning, WarningCode

_UNSURE_FOCAL = 0.1
_WORDS = {
    CameraSource.PEOPLE: "calibrated from the people in {count} videos",
    CameraSource.FILE: "calibration file, {count} videos",
    CameraSource.SETUP: "set-up of an earlier take, {count} videos",
}


def take_header(base: WatchedVideo, models: SolveModels, take: Take, number: int, solved: SolvedPerson) -> ClipHeader:
    """The header of one person's clip, without figures, cameras and the warnings of the take."""
    info, request, world = base.reader.info, base.request, solved.world
    camera = take.cameras[take.used[0]]
    assert camera is not None
    return ClipHeader(
        source=str(info.path),
        source_width=info.width,
        source_height=info.height,
        source_fps=info.fps,
        person=number,
        body_height_source="assumed" if request.height_m is None else "given",
        intrinsics_source=_WORDS[camera.source].format(count=len(take.used)),
        gravity_source=world.gravity_source,
        gravity_uncertainty_deg=round(world.gravity_uncertainty_deg, 1),
        cuts_s=solved.cuts_s,
        model=models.poses.name,
        quality=request.quality.value,
        settings={
            "range": str(request.range),
            "smoothing": request.smoothing,
            "slow_motion": f"{request.slow_motion:g}",
            "device": models.device,
            "landmarks": request.quality.landmark_network.value,
            "videos": str(len(take.used)),
            **{name: "on" for name in ("hands", "face") if getattr(request, name)},
        },
        warnings=_warnings(base, take, solved),
    )


def _warnings(base: WatchedVideo, take: Take, solved: SolvedPerson) -> tuple[ClipWarning, ...]:
    code = WarningCode
    found = [ClipWarning(code.VIDEO_DAMAGED, text) for text in base.reader.warnings]
    found += solved.world.warnings
    for view in take.used:
        camera = take.cameras[view]
        if camera is not None and camera.uncertainty.focal_share > _UNSURE_FOCAL:
            name = take.videos[view].name
            text = (
                f"the lens of {name} is known to {100 * camera.uncertainty.focal_share:.0f} % only: let people walk "
                "towards the cameras, or give --fov"
            )
            found.append(ClipWarning(code.CAMERA_ASSUMED, text))
    if solved.cuts_s:
        text = f"{len(solved.cuts_s)} cuts were found in the videos: nothing is joined across them. A take has none"
        found.append(ClipWarning(code.CUTS, text))
    return tuple(dict.fromkeys(found))


def clip_cameras(take: Take, infos: Sequence[VideoInfo], world_from_first: Array) -> tuple[ClipCamera, ...]:
    """Every video's camera in the world of the clip; times are the clip's, those of the first video used."""
    reference = take.offsets[take.used[0]]
    why = {one.view: one.text for one in take.excluded}
    out = []
    for view, info in enumerate(infos):
        camera, offset = take.cameras[view], take.offsets[view]
        rate = offset.rate / reference.rate
        start_s = (offset.start_s - reference.start_s) / reference.rate
        common = (str(info.path), info.width, info.height, info.fps)
        if camera is None:
            eye = _rows(np.eye(4))
            reason = why.get(view, "")
            out.append(ClipCamera(*common, 0.0, 1.0, _rows(np.eye(3)), (), eye, used=False, reason=reason))
            continue
        residual = camera.reprojection_px
        out.append(
            ClipCamera(
                *common,
                start_s,
                rate,
                _rows(camera.intrinsics.matrix),
                tuple(float(value) for value in camera.intrinsics.distortion),
                _rows(world_from_first @ np.linalg.inv(camera.camera_from_take)),
                round(camera.uncertainty.rotation_deg, 3),
                round(camera.uncertainty.position_m, 4),
                round(camera.uncertainty.focal_share, 4),
                round(residual, 2) if math.isfinite(residual) else 0.0,
                camera.source.value,
            )
        )
    return tuple(out)


def _rows(matrix: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in np.asarray(matrix))
