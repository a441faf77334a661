"""From several videos of one performance to motion clips: the way of `backend.pipeline` with many eyes.

Each video is watched once, as by itself; quick poses of everybody say when and from where each was recorded; then each
person is solved from all views together. A video that cannot take part is named and left out; with one left, the take
is solved as that video alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.errors import BadInputError
from backend.multiview.clip_header import clip_cameras, take_header
from backend.multiview.close_ups import WatchedCloseUp, check_close_ups, watch_close_ups
from backend.multiview.find_take import FoundTake
from backend.multiview.guard import solve_guarded
from backend.multiview.identities import find_take_and_people
from backend.multiview.joint_poses import JointOptions
from backend.multiview.take_details import CloseUpsOfOne, PersonDetails, asked_for, watch_take
from backend.multiview.take_inputs import camera_source, camera_view, known_beforehand, open_take, solvable
from backend.multiview.take_news import about_video, choice_elsewhere, person_in, tell_poses
from backend.multiview.take_person import clip_of
from backend.multiview.take_request import TakeRequest, TakeResult
from backend.multiview.take_scale import heights_m, in_scale_of
from backend.multiview.types import (
    CameraView,
    PersonInViews,
    Take,
    TakeSetup,
)
from backend.people.choose import choose_tracks
from backend.pipeline import WatchedVideo, solve_watched, stopped_early, watch_video
from backend.solving.detail_pass import STOPPED_DETAILS
from backend.solving.models import SolveModels, fitting_models, pose_options
from backend.solving.outputs import check_output, write_clips
from backend.solving.request import ChunkCallback
from backend.solving.stage_clock import StageClock
from backend.types import Array, CancelToken, PersonTrack, Progress, ProgressCallback, SceneEdges
from backend.world import Gravity, RootSettings, WorldOptions, WorldTrack
from backend.world.gravity import world_axes
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.clip_warning import ClipWarning, WarningCode
from blender_addon.motion.quality import clip_figures
from blender_addon.motion.smoothing import PRESETS, smooth_clip

log = logging.getLogger(__name__)

# several views see the depth of the pelvis: it may accelerate as it does across the image
_ROOT = RootSettings(depth_m_s2=10.0, keypoint_sigma_m=0.03)
_STOPPED_ALONE = "stopped early: these poses are from the first video alone"
_STOPPED_TAKE = "stopped early: not everybody was solved"


def solve_take(
    request: TakeRequest,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    models: SolveModels | None = None,
    on_chunk: ChunkCallback | None = None,
) -> TakeResult:
    """Solve several videos of one performance into clip files.

    The clip has the frames of the first video that takes part. `on_chunk` gets previews of the first video while it is
    tracked, and the common poses at the end. After a cancel the frames that were seen are solved from the first video,
    or, where the cameras are known by then, from all; the checkpoints stay for a request with `resume`. Raises
    VideoError, NoPersonError, BadInputError, WeightsError, DeviceError, OutputError; Cancelled when nothing was done
    by then.
    """
    clock = StageClock()
    progress, cancel = progress or _ignore, cancel or CancelToken()
    with clock.stage("open"):
        check_output(request.output)
        opened = open_take(request)
        check_close_ups(request.close_ups, request.videos[0])
    with clock.stage("load"):
        models = fitting_models(models, request.videos[0])
    watched = []
    for place, one in enumerate(opened):
        control = about_video(progress, place), cancel
        watched.append(solvable(watch_video(one, models, clock, control, None if place else on_chunk)))
        if cancel.cancelled:
            break
    with clock.stage("details"):
        first = replace(request.videos[0], output=request.output)
        close_ups: tuple[WatchedCloseUp, ...] = ()
        if not cancel.cancelled:
            close_ups = watch_close_ups(request.close_ups, first, models, (progress, cancel), len(watched))
    watched = asked_for(watched, close_ups)
    result = solve_watched_take(request, watched, models, clock, (progress, cancel), close_ups)
    if not result.cancelled:
        for close_up in close_ups:
            close_up.checkpoint.discard()
    if on_chunk is not None:
        tell_poses(result, watched, on_chunk)
    return result


def solve_watched_take(
    request: TakeRequest,
    watched: Sequence[WatchedVideo],
    models: SolveModels,
    clock: StageClock,
    control: tuple[ProgressCallback, CancelToken],
    close_ups: Sequence[WatchedCloseUp] = (),
) -> TakeResult:
    """The clips of a take whose videos were all watched, with cameras as `open_take` gives them; `control` tells the
    progress and can stop the work: what is known of the take by then is used, at least the first video.
    """
    progress, cancel = control
    if len(watched) == 1 and len(request.videos) == 1:
        return _finish(request, _alone(request, watched[0], models, clock, control, close_ups), watched, models, clock)
    with clock.stage("take"):
        views = []
        for place, one in enumerate(watched):
            if not cancel.cancelled:
                views.append(camera_view(one, models, about_video(progress, place), place))
    if cancel.cancelled:
        first = watched[0]
        solved = replace(_alone(request, first, models, clock, control), stopped=_STOPPED_ALONE)
        return _finish(request, solved, watched, models, clock)
    with clock.stage("take"):
        known = known_beforehand(request, views)
        apart, found = find_take_and_people(views, known, camera_source(request))
        watched = [_with_tracks(one, view) for one, view in zip(watched, apart, strict=True)]
    for excluded in found.take.excluded:
        log.warning("%s", excluded.text)
    if len(found.take.used) < 2:
        if not found.take.used:
            texts = "; ".join(one.text for one in found.take.excluded)
            raise BadInputError(f"No video can be used: {texts}", "Record with cameras that stand still")
        only = _alone(request, watched[found.take.used[0]], models, clock, control, close_ups)
        return _finish(request, replace(only, found=found), watched, models, clock)
    seen = _Watched(watched, apart, close_ups)
    return _finish(request, _together(request, found, seen, models, clock, control), watched, models, clock)


def _with_tracks(watched: WatchedVideo, view: CameraView) -> WatchedVideo:
    """The video with the tracks of the view."""
    return replace(watched, tracked=replace(watched.tracked, tracks=view.tracks))


@dataclass(frozen=True, slots=True)
class _Solved:
    """Clips, what they were found from, the last person's world, a sentence about what was left out after a stop (empty
    where nothing was), and which close-ups were left out.
    """

    clips: tuple[MotionClip, ...]
    found: FoundTake
    world: WorldTrack | None = None
    stopped: str = ""
    notes: tuple[ClipWarning, ...] = ()


def _alone(
    request: TakeRequest,
    watched: WatchedVideo,
    models: SolveModels,
    clock: StageClock,
    control: tuple[ProgressCallback, CancelToken],
    close_ups: Sequence[WatchedCloseUp] = (),
) -> _Solved:
    """One video of the take by itself, with close-ups; it is asked for who the first one is asked for."""
    of_first = watched.request.video == request.videos[0].video
    watched = replace(watched, request=replace(watched.request, person=person_in(request, 0 if of_first else 1)))
    beside = CloseUpsOfOne(close_ups, watched, of_first)
    clips = solve_watched(watched, models, watched.chosen(), clock, control, beside.add)
    asked = watched.request.hands or watched.request.face or bool(request.close_ups)
    stopped = STOPPED_DETAILS if asked and control[1].cancelled and not watched.tracked.stopped else ""
    return _Solved(clips, FoundTake(Take((), (), (), ())), stopped=stopped, notes=tuple(beside.notes))


@dataclass(frozen=True, slots=True)
class _Watched:
    """All videos of a take after one pass over each, and the same as views with each one's own quick poses."""

    videos: Sequence[WatchedVideo]
    views: Sequence[CameraView]
    close_ups: Sequence[WatchedCloseUp]


def _together(
    request: TakeRequest,
    found: FoundTake,
    seen: _Watched,
    models: SolveModels,
    clock: StageClock,
    control: tuple[ProgressCallback, CancelToken],
) -> _Solved:
    (progress, cancel), watched, reference = control, seen.videos, found.take.used[0]
    base = watched[reference]
    people = _people(request, found.take, base)
    found = in_scale_of(found, people)
    take = found.take
    options = _world_options(request, found, watched)
    poses = replace(pose_options(base.request), gravity_camera=None)
    tall_m = heights_m(poses.height_m, base.request.height_m is not None, found, people)
    tracked = {view: watched[view].tracked for view in take.used}
    with clock.stage("details"):
        details = watch_take(take, people, watched, models, control, seen.close_ups)
    stopped = STOPPED_DETAILS if details is not None and cancel.cancelled else ""
    clips: list[MotionClip] = []
    world: WorldTrack | None = None
    for number, person in enumerate(people):
        if clips and cancel.cancelled:
            return _Solved(tuple(clips), found, world, stopped=_STOPPED_TAKE)
        progress(Progress("poses", number, len(people)))
        with clock.stage("poses"):
            own = None if details is None else PersonDetails(take, person, watched, details)
            of_size = replace(poses, height_m=tall_m[number])
            solved, told = solve_guarded(
                models.poses, take, person, (tracked, seen.views), (JointOptions(of_size), options), own
            )
        with clock.stage("smooth"):
            if options.world_from_camera is None:  # everybody stands in the first person's world
                options = replace(
                    options, world_from_camera=solved.world.world_from_camera[0], gravity=solved.world.gravity
                )
            world = solved.world
            camera = take.cameras[reference]
            assert camera is not None
            header = take_header(base, models, take, number, solved)
            header = replace(header, warnings=(*header.warnings, *told))
            clip = smooth_clip(
                clip_of(solved, base.tracked, camera.intrinsics, header), PRESETS[base.request.smoothing]
            )
            clips.append(replace(clip, header=replace(clip.header, figures=clip_figures(clip))))
    progress(Progress("poses", len(people), len(people)))
    return _Solved(tuple(clips), found, world, stopped, () if details is None else details.close_ups.notes)


def _people(request: TakeRequest, take: Take, base: WatchedVideo) -> list[PersonInViews]:
    """The people that the request asks for, by the first view's tracks."""
    chosen: list[PersonTrack] = choose_tracks(base.tracked.tracks, person_in(request, take.used[0]))
    by_track = {person.tracks[take.used[0]]: person for person in take.people}
    found = []
    for track in chosen:
        place = next(place for place, one in enumerate(base.tracked.tracks) if one is track)
        alone = PersonInViews(place, tuple(place if view == take.used[0] else None for view in range(len(take.videos))))
        found.append(by_track.get(place, alone))
    return found


def _world_options(request: TakeRequest, found: FoundTake, watched: Sequence[WatchedVideo]) -> WorldOptions:
    """Gravity of all views together, and the set-up's floor where it is known."""
    setup, take = request.setup, found.take
    if setup is not None and setup.down is not None and setup.floor_m is not None and take.used[0] == 0:
        return WorldOptions(world_from_camera=_setup_pose(setup), root=_ROOT)
    rays, lengths, frames = [], [], 0
    for view in take.used:
        camera = take.cameras[view]
        assert camera is not None
        edges = watched[view].edges()
        rays.append(edges.rays @ camera.rotation)
        lengths.append(edges.length)
        frames += edges.frames
    edges = SceneEdges(np.concatenate(rays), np.concatenate(lengths), frames)
    gravity = None if found.down is None else Gravity(found.down, found.down_deg)
    return WorldOptions(gravity=gravity, edges=edges, root=_ROOT)


def _setup_pose(setup: TakeSetup) -> Array:
    assert setup.down is not None
    assert setup.floor_m is not None
    pose = np.eye(4)
    pose[:3, :3] = world_axes(np.asarray(setup.down))
    pose[2, 3] = setup.floor_m
    return pose


def _told(solved: _Solved, watched: Sequence[WatchedVideo]) -> tuple[ClipWarning, ...]:
    """What the user has to know of the videos together; of one video alone its own clip says the rest."""
    take = solved.found.take
    told = tuple(ClipWarning(WarningCode.VIEW_EXCLUDED, one.text) for one in take.excluded)
    told += tuple(ClipWarning(WarningCode.CALIBRATION_MISFIT, note) for note in solved.found.notes)
    told += solved.notes
    dark = [take.videos[view].name for view in take.used if watched[view].tracked.is_dark]
    if dark and len(take.used) > 1:
        text = (
            f"{', '.join(dark)}: dark, so that people are followed less exactly. Record with more light, or brighten it"
        )
        told += (ClipWarning(WarningCode.VIDEO_DARK, text),)
    if solved.stopped:
        told += (ClipWarning(WarningCode.STOPPED_EARLY, solved.stopped),)
    return told


def _finish(
    request: TakeRequest, solved: _Solved, watched: Sequence[WatchedVideo], models: SolveModels, clock: StageClock
) -> TakeResult:
    """Warnings and cameras into the clips, files, checkpoints away."""
    take = solved.found.take
    told = (*_told(solved, watched), *choice_elsewhere(request, take.used))
    infos = tuple(one.reader.info for one in watched)
    clips = []
    for clip in solved.clips:
        warnings = tuple(dict.fromkeys((*clip.header.warnings, *told)))
        cameras = clip_cameras(take, infos, clip.world_from_camera[0]) if take.videos else ()
        clips.append(replace(clip, header=replace(clip.header, warnings=warnings, cameras=cameras)))
    with clock.stage("write"):
        files = write_clips(clips, request.output)
    stopped = any(one.tracked.stopped for one in watched) or any(stopped_early(clip) for clip in clips)
    if not stopped:
        for one in watched:
            one.checkpoint.discard()
    return TakeResult(
        clips=tuple(clips),
        files=files,
        take=take,
        setup=_setup(solved),
        figures=clips[0].header.figures,
        warnings=tuple(dict.fromkeys(warning for clip in clips for warning in clip.header.warnings)),
        cancelled=stopped,
        frames=sum(len(one.tracked.frame_index) for one in watched),
        stage_s=clock.stage_s,
        device=models.device,
        infos=infos,
        view_times_s=tuple(one.tracked.times_s for one in watched),
    )


def _setup(solved: _Solved) -> TakeSetup:
    """Cameras, clocks, gravity and floor to use again."""
    take = solved.found.take
    names = tuple(video.name for video in take.videos)
    if solved.world is None:
        return TakeSetup(names, take.cameras, take.offsets)
    pose = solved.world.world_from_camera[0]
    down = -pose[2, :3]
    return TakeSetup(
        names,
        take.cameras,
        take.offsets,
        (float(down[0]), float(down[1]), float(down[2])),
        float(pose[2, 3]),
    )


def _ignore(_: Progress) -> None:
    return None
