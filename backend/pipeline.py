"""From a video file to motion clips: the backend's main path, readable as a table of contents.

May import every stage's room. One frame's way: `video` decodes it, `people` finds and follows the person, `camera`
says how the lens sees, `embedding` turns the person's landmarks into a pose, `world` puts the body on the floor and
plants its feet, `motion.smoothing` calms it, `motion.clip` writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.camera.edges import scene_edges
from backend.camera.path import still_track, turned_poses
from backend.embedding.pose_model import PoseModel
from backend.errors import NoPersonError
from backend.solving.checkpoint import Checkpoint, open_checkpoint
from backend.solving.choosing import chosen_people
from backend.solving.clip_assembly import assemble_clip, with_details
from backend.solving.clip_header import clip_header
from backend.solving.detail_pass import STOPPED_DETAILS, DetailPass, Details, load_details
from backend.solving.details import SolvedDetails, detail_figures, detail_warnings, solve_details
from backend.solving.job import SolveJob
from backend.solving.models import SolveModels, fitting_models, people_options, pose_options
from backend.solving.moving_camera import with_camera_path, with_travel_in_metres
from backend.solving.opening import OpenedVideo, open_request
from backend.solving.outputs import check_output, write_clips
from backend.solving.preview import Previewer
from backend.solving.request import ChunkCallback, SolvedChunk, SolveRequest, SolveResult
from backend.solving.stage_clock import StageClock
from backend.solving.video_pass import TrackedVideo, VideoPass, apart_at_cuts
from backend.types import (
    CancelToken,
    Intrinsics,
    PersonTrack,
    PoseTrack,
    Progress,
    ProgressCallback,
    SceneEdges,
)
from backend.video import VideoReader
from backend.world import PlacedPerson, WorldOptions, place_people
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.clip_warning import ClipWarning, WarningCode
from blender_addon.motion.quality import clip_figures
from blender_addon.motion.smoothing import PRESETS, smooth_clip

__all__ = ["ChunkCallback", "SolveRequest", "SolveResult", "SolvedChunk", "solve"]


def solve(
    request: SolveRequest,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    on_chunk: ChunkCallback | None = None,
    models: SolveModels | None = None,
) -> SolveResult:
    """Solve a video into clip files.

    `on_chunk` gets previews while the video is tracked. A cancel while the video is tracked ends the watching; the
    frames seen so far are solved and written, and the checkpoint stays for a request with `resume`. Raises VideoError,
    NoPersonError, BadInputError, WeightsError, DeviceError, OutputError; Cancelled when nothing was done by then.
    """
    clock = StageClock()
    progress, cancel = progress or _ignore, cancel or CancelToken()
    with clock.stage("open"):
        check_output(request.output)
        opened = open_request(request)
    with clock.stage("load"):
        models = fitting_models(models, request)
    watched = watch_video(opened, models, clock, (progress, cancel), on_chunk)
    request, tracked, checkpoint = watched.request, watched.tracked, watched.checkpoint
    try:
        tracks = chosen_people(tracked, request)
    except NoPersonError:
        checkpoint.discard()  # there is nothing to go on with
        raise
    clips = solve_watched(watched, models, tracks, clock, (progress, cancel))
    if cancel.cancelled and (request.hands or request.face) and not tracked.stopped:
        clips = tuple(_stopped_in_details(clip) for clip in clips)
    stopped = any(stopped_early(clip) for clip in clips)
    with clock.stage("write"):
        files = write_clips(clips, request.output)
    if not stopped:
        checkpoint.discard()
    return SolveResult(
        clips=clips,
        files=files,
        figures=clips[0].header.figures,
        warnings=tuple(dict.fromkeys(warning for clip in clips for warning in clip.header.warnings)),
        cancelled=stopped,
        frames=len(tracked.frame_index),
        stage_s=clock.stage_s,
        device=models.device,
    )


def stopped_early(clip: MotionClip) -> bool:
    """Whether the user cancelled before the clip was whole."""
    return any(warning.code is WarningCode.STOPPED_EARLY for warning in clip.header.warnings)


def _stopped_in_details(clip: MotionClip) -> MotionClip:
    """The clip of a person whose hands and face were not looked at to the end, which its header says."""
    stopped = ClipWarning(WarningCode.STOPPED_EARLY, STOPPED_DETAILS)
    return replace(clip, header=replace(clip.header, warnings=(*clip.header.warnings, stopped)))


@dataclass(frozen=True, slots=True)
class WatchedVideo:
    """A video after one pass over it: who was seen where, and what it was asked for (a click in the video's pixels)."""

    request: SolveRequest
    reader: VideoReader
    tracked: TrackedVideo
    intrinsics: Intrinsics
    checkpoint: Checkpoint

    def edges(self) -> SceneEdges:
        """Straight edges of the scene, people left out."""
        return scene_edges(self.tracked.segments, self.tracked.tracks, self.intrinsics)

    def chosen(self) -> list[PersonTrack]:
        """The people that the request asks for. Raises NoPersonError, BadInputError; Cancelled where nobody was seen
        before a stop.
        """
        return chosen_people(self.tracked, self.request)


def watch_video(
    opened: OpenedVideo,
    models: SolveModels,
    clock: StageClock,
    control: tuple[ProgressCallback, CancelToken],
    on_chunk: ChunkCallback | None = None,
) -> WatchedVideo:
    """Follow the people in a video, from the checkpoint where the request resumes. `control` tells the progress and can
    stop the pass. Raises VideoError.
    """
    request, reader, intrinsics = opened.request, opened.reader, opened.intrinsics
    with clock.stage("load"):
        checkpoint = open_checkpoint(request, reader.info, models.device)
    with clock.stage("watch"):
        previewer = _Poses(models.poses, intrinsics, request).previewer(on_chunk)
        watcher = VideoPass(reader, checkpoint, people_options(request, models), models.people)
        tracked = watcher.watch(*control, previewer.preview)
    clock.add("wait for decoder", tracked.waited_s)
    clock.add("previews", previewer.spent_s)
    return WatchedVideo(request, reader, tracked, intrinsics, checkpoint)


AddDetails = Callable[[Sequence[PersonTrack], Sequence[Details]], tuple[Details, ...]]
"""Takes the people who are solved with their details, and gives these with more."""


def watch_details(
    watched: WatchedVideo,
    models: SolveModels,
    tracks: Sequence[PersonTrack],
    control: tuple[ProgressCallback, CancelToken],
) -> tuple[Details, ...]:
    """Hands and faces of some of the people of a video that was watched, where its request asks for them, from the
    checkpoint where there is one. Raises VideoError.
    """
    request = watched.request
    if not (request.hands or request.face) or watched.tracked.stopped:
        return tuple(Details() for _ in tracks)
    networks = models.details
    if (networks.hands is not None, networks.face is not None) != (request.hands, request.face):
        networks = load_details(request.hands, request.face, models.device)
    return DetailPass(watched.reader, watched.tracked, networks, watched.checkpoint).watch(tracks, *control)


def solve_watched(
    watched: WatchedVideo,
    models: SolveModels,
    tracks: Sequence[PersonTrack],
    clock: StageClock,
    control: tuple[ProgressCallback, CancelToken],
    add_details: AddDetails | None = None,
) -> tuple[MotionClip, ...]:
    """Clips of some of the people of a video that was watched; `control` as in `watch_video`. `add_details` gives the
    people's details with what other videos show.
    """
    job = SolveJob(watched.request, watched.reader, watched.tracked, watched.intrinsics, models, clock, control[0])
    with clock.stage("camera"):
        job = with_camera_path(job, control[1])
    with clock.stage("details"):
        details = watch_details(watched, models, tracks, control)
        details = details if add_details is None else add_details(tracks, details)
    return _solve_tracks(job, tracks, details)


def _solve_tracks(job: SolveJob, tracks: Sequence[PersonTrack], details: Sequence[Details]) -> tuple[MotionClip, ...]:
    """Poses of each person, all of them in one world, and smoothing."""
    solver = _Poses(job.models.poses, job.intrinsics, job.request)
    path = job.tracked.camera_path
    options = WorldOptions(
        gravity_camera=_direction(job.request),
        edges=scene_edges(job.tracked.segments, job.tracked.tracks, job.intrinsics, path),
        camera_moves=job.tracked.camera_moves,
        camera_turns=path is not None,
        right=None if path is None else path.turns[0, :, 0],
        own_px={} if path is None else {track.track_id: track.keypoints_px for track in tracks},
    )
    still = [track if path is None else still_track(track, path, job.intrinsics) for track in tracks]
    still = [apart_at_cuts(track, job.tracked.cuts_s) for track in still]
    solved: list[SolvedDetails] = []
    for person, track in enumerate(tracks):
        job.progress(Progress("poses", person, len(tracks)))
        with job.clock.stage("poses"):
            poses = solver.solve(still[person])
            if path is not None:  # hands are seen in each frame's own axes
                poses = turned_poses(poses, path.turns[path.rows(track.frame_index)].swapaxes(-1, -2))
            found = solve_details(details[person], track, poses, job.intrinsics, job.tracked.cuts_s)
            if path is not None:
                found = replace(found, poses=turned_poses(found.poses, path.turns[path.rows(track.frame_index)]))
            solved.append(found)
    with job.clock.stage("world"):
        job, options = with_travel_in_metres(job, [one.poses for one in solved], still, options)
        placed = place_people([one.poses for one in solved], still, job.intrinsics, options)
    with job.clock.stage("smooth"):
        clips = [_clip(job, person, track, placed[person], solved[person]) for person, track in enumerate(tracks)]
    job.progress(Progress("poses", len(tracks), len(tracks)))
    return tuple(clips)


def _clip(job: SolveJob, person: int, track: PersonTrack, placed: PlacedPerson, solved: SolvedDetails) -> MotionClip:
    """One placed person as a smoothed clip."""
    world = placed.world
    header = replace(
        clip_header(job, person, track, world),
        figures={**world.figures, **detail_figures(solved)},
        gravity_source=world.gravity_source,
        gravity_uncertainty_deg=round(world.gravity_uncertainty_deg, 1),
        body_height_source="given" if placed.poses.height_m == job.request.height_m else "assumed",
    )
    header = replace(header, warnings=(*header.warnings, *detail_warnings(solved)))
    clip = assemble_clip(job.tracked, track, placed.poses, world, job.intrinsics, header)
    clip = with_details(clip, job.tracked.frame_index, track, solved.hands, solved.face)
    return _with_figures(smooth_clip(clip, PRESETS[job.request.smoothing]))


@dataclass(frozen=True, slots=True)
class _Poses:
    """The pose model with everything but the track filled in."""

    model: PoseModel
    intrinsics: Intrinsics
    request: SolveRequest

    def solve(self, track: PersonTrack) -> PoseTrack:
        return self.model.solve(track, self.intrinsics, pose_options(self.request))

    def previewer(self, on_chunk: ChunkCallback | None) -> Previewer:
        return Previewer(self._draft, self.request.person, on_chunk)

    def _draft(self, track: PersonTrack) -> PoseTrack:
        return self.model.solve(track, self.intrinsics, pose_options(self.request, draft=True))


def _direction(request: SolveRequest) -> np.ndarray | None:
    return None if request.gravity_camera is None else np.asarray(request.gravity_camera, np.float64)


def _with_figures(clip: MotionClip) -> MotionClip:
    return replace(clip, header=replace(clip.header, figures=clip_figures(clip)))


def _ignore(_: Progress) -> None:
    return None
