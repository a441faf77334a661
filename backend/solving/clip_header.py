"""The header of a person's clip and its warnings.

May import `blender_addon.motion`, `backend.world` and its own room.
"""

from __future__ import annotations

from backend.solving.cautions import PartlySeen, find_unseen
from backend.solving.job import SolveJob
from backend.types import PersonTrack
from backend.world import WorldTrack
from blender_addon.motion.clip import ClipHeader
from blender_addon.motion.clip_warning import ClipWarning, WarningCode


def clip_header(job: SolveJob, person: int, track: PersonTrack, world: WorldTrack) -> ClipHeader:
    """The header of a placed person; figures, gravity and body height are for the caller to fill in."""
    info, request, tracked = job.reader.info, job.request, job.tracked
    unseen = find_unseen(track, info.width, info.height)
    return ClipHeader(
        source=str(info.path),
        source_width=info.width,
        source_height=info.height,
        source_fps=info.fps,
        person=person,
        intrinsics_source=job.intrinsics.source,
        camera_moves=tracked.camera_moves,
        cuts_s=tracked.cuts_s,
        unseen_parts=unseen.never,
        model=job.models.poses.name,
        quality=request.quality.value,
        settings={
            "range": str(request.range),
            "smoothing": request.smoothing,
            "slow_motion": f"{request.slow_motion:g}",
            "device": job.models.device,
            "landmarks": request.quality.landmark_network.value,
            **{name: "on" for name in ("hands", "face") if getattr(request, name)},
        },
        warnings=_warnings(job, world, unseen),
    )


def _warnings(job: SolveJob, world: WorldTrack, unseen: PartlySeen) -> tuple[ClipWarning, ...]:
    tracked, code = job.tracked, WarningCode
    warnings = [ClipWarning(code.VIDEO_DAMAGED, text) for text in job.reader.warnings]
    warnings += world.warnings
    warnings += [ClipWarning(code.UNSEEN_PARTS, text) for text in unseen.warnings]
    if job.intrinsics.is_assumed:
        text = f"the camera is not known ({job.intrinsics.source}): distances may be off; give --fov"
        warnings.append(ClipWarning(code.CAMERA_ASSUMED, text))
    if tracked.is_dark:
        text = "The video is dark: people are followed less exactly. Record with more light, or brighten the video"
        warnings.append(ClipWarning(code.VIDEO_DARK, text))
    if tracked.cuts_s:
        warnings.append(ClipWarning(code.CUTS, f"{len(tracked.cuts_s)} cuts were found: nothing is joined across them"))
    if tracked.stopped:
        text = f"stopped early, after {len(tracked.frame_index)} of about {job.reader.expected_frames} frames"
        warnings.append(ClipWarning(code.STOPPED_EARLY, text))
    warnings += [ClipWarning(code.STOPPED_EARLY, text) for text in job.cautions]
    return tuple(dict.fromkeys(warnings))
