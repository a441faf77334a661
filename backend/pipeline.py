"""From a video file to motion clips: the backend's main path, readable as a table of contents.

May import every stage's room. One frame's way: `video` decodes it, `people` finds and follows the person, `camera`
says how the lens sees, `embedding` turns the person's landmarks into a pose, `world` puts the body on the floor and
plants its feet, `motion.smoothing` calms it, `motion.clip` writes it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import takewhile

import numpy as np

from backend.camera import choose_intrinsics
from backend.camera.edges import scene_edges
from backend.camera.feature_tracks import follow_features
from backend.camera.path import follow_camera, still_track, turned_poses
from backend.camera.travel import find_travel
from backend.embedding.augmented_views import ALL_VIEWS, ONE_VIEW, TWO_VIEWS, View
from backend.embedding.fit_terms import RefineSettings
from backend.embedding.model_files import SHIPPED, ModelFiles
from backend.embedding.part_retrieval import PartSettings
from backend.embedding.pose_model import TEMPORAL_SHARE, PoseModel, PoseOptions, load_model
from backend.errors import BadInputError, Cancelled, NoPersonError
from backend.people.choose import choose_tracks
from backend.people.networks import PeopleNetworks, load_people_networks
from backend.people.options import Choice, PeopleOptions
from backend.solving.cautions import PartlySeen, find_unseen
from backend.solving.checkpoint import Checkpoint, open_checkpoint
from backend.solving.clip_assembly import assemble_clip, with_details
from backend.solving.detail_pass import STOPPED_DETAILS, DetailNetworks, DetailPass, Details, load_details
from backend.solving.details import SolvedDetails, detail_figures, detail_warnings, solve_details
from backend.solving.device import choose_device, matrix_device
from backend.solving.outputs import check_output, write_clips
from backend.solving.preview import Previewer
from backend.solving.request import ChunkCallback, SolvedChunk, SolveQuality, SolveRequest, SolveResult
from backend.solving.video_pass import TrackedVideo, VideoPass, apart_at_cuts
from backend.types import (
    CancelToken,
    Frame,
    Intrinsics,
    PersonTrack,
    PoseTrack,
    Progress,
    ProgressCallback,
    SceneEdges,
)
from backend.video import VideoReader, open_video
from backend.world import PlacedPerson, WorldOptions, WorldTrack, place_people, size_travel
from blender_addon.motion.clip import ClipHeader, MotionClip
from blender_addon.motion.clip_warning import ClipWarning, WarningCode
from blender_addon.motion.quality import clip_figures
from blender_addon.motion.smoothing import PRESETS, smooth_clip

__all__ = ["ChunkCallback", "SolveModels", "SolveRequest", "SolveResult", "SolvedChunk", "load_models", "solve"]

log = logging.getLogger(__name__)

ASSUMED_HEIGHT_M = 1.70
_FEWEST_FRAMES = 3  # what `people` takes for a track
_TELL_FRAMES = 30  # progress is told as often while the camera is followed


@dataclass(frozen=True, slots=True)
class SolveModels:
    """The networks of one quality on one device, loaded once and usable for many solves."""

    quality: SolveQuality
    device: str
    people: PeopleNetworks
    poses: PoseModel
    files: ModelFiles = SHIPPED
    details: DetailNetworks = DetailNetworks()


def load_models(quality: SolveQuality, device: str = "auto", files: ModelFiles = SHIPPED) -> SolveModels:
    """Load what `solve` needs. Raises WeightsError and DeviceError."""
    chosen = choose_device(device)
    people = load_people_networks(PeopleOptions(quality=quality.landmark_network, device=chosen))
    return SolveModels(quality, chosen, people, load_model(matrix_device(chosen), files=files), files)


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
        tracks = _chosen(tracked, request)
    except NoPersonError:
        checkpoint.discard()  # there is nothing to go on with
        raise
    clips = solve_watched(watched, models, tracks, clock, (progress, cancel))
    stopped = tracked.stopped or (cancel.cancelled and (request.hands or request.face))
    if stopped and not tracked.stopped:
        clips = tuple(_stopped_in_details(clip) for clip in clips)
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


def _stopped_in_details(clip: MotionClip) -> MotionClip:
    """The clip of a person whose hands and face were not looked at to the end, which its header says."""
    stopped = ClipWarning(WarningCode.STOPPED_EARLY, STOPPED_DETAILS)
    return replace(clip, header=replace(clip.header, warnings=(*clip.header.warnings, stopped)))


@dataclass(frozen=True, slots=True)
class OpenedVideo:
    """A video that can be read, with its camera; the request's click is in the video's pixels."""

    request: SolveRequest
    reader: VideoReader
    intrinsics: Intrinsics


def open_request(request: SolveRequest) -> OpenedVideo:
    """Open a request's video. Raises VideoError, BadInputError."""
    reader = _open(request)
    request = replace(request, person=request.person.in_frame(reader.info.width, reader.info.height))
    return OpenedVideo(request, reader, choose_intrinsics(reader.info, request.camera))


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
        return _chosen(self.tracked, self.request)


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
        watcher = VideoPass(reader, checkpoint, _people_options(request, models), models.people)
        tracked = watcher.watch(*control, previewer.preview)
    clock.add("wait for decoder", tracked.waited_s)
    clock.add("previews", previewer.spent_s)
    return WatchedVideo(request, reader, tracked, intrinsics, checkpoint)


@dataclass(frozen=True, slots=True)
class _Job:
    """What the stages after watching share."""

    request: SolveRequest
    reader: VideoReader
    tracked: TrackedVideo
    intrinsics: Intrinsics
    models: SolveModels
    clock: StageClock
    progress: ProgressCallback


def _followed(job: _Job) -> TrackedVideo:
    """With the path of a moving camera: its turns, found in a second pass over the video, and in a third one its
    travel, where the turns leave something unexplained. As it is for a still one, and for one that cannot be followed.
    """
    tracked, intrinsics = job.tracked, job.intrinsics
    if not tracked.camera_moves or not len(tracked.frame_index):
        return tracked
    path = follow_camera(_again(job), tracked.tracks, intrinsics, tracked.cuts_s)
    if path.may_travel and not tracked.cuts_s:
        travel = find_travel(follow_features(_again(job), tracked.tracks, intrinsics))
        if travel is not None:
            return replace(tracked, camera_path=travel)
    return replace(tracked, camera_path=path) if path.turns_only else tracked


def _again(job: _Job) -> Iterator[Frame]:
    """The frames that were watched, once more."""
    last, count = int(job.tracked.frame_index[-1]), len(job.tracked.frame_index)
    for done, frame in enumerate(takewhile(lambda frame: frame.index <= last, job.reader.frames())):
        if done % _TELL_FRAMES == 0:
            job.progress(Progress("camera", min(done, count), count))
        yield frame


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
    job = _Job(watched.request, watched.reader, watched.tracked, watched.intrinsics, models, clock, control[0])
    with clock.stage("camera"):
        job = replace(job, tracked=_followed(job))
    with clock.stage("details"):
        details = watch_details(watched, models, tracks, control)
        details = details if add_details is None else add_details(tracks, details)
    return _solve_tracks(job, tracks, details)


def _solve_tracks(job: _Job, tracks: Sequence[PersonTrack], details: Sequence[Details]) -> tuple[MotionClip, ...]:
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
        job, options = _sized(job, [one.poses for one in solved], still, options)
        placed = place_people([one.poses for one in solved], still, job.intrinsics, options)
    with job.clock.stage("smooth"):
        clips = [_clip(job, person, track, placed[person], solved[person]) for person, track in enumerate(tracks)]
    job.progress(Progress("poses", len(tracks), len(tracks)))
    return tuple(clips)


def _sized(
    job: _Job, poses: Sequence[PoseTrack], still: Sequence[PersonTrack], options: WorldOptions
) -> tuple[_Job, WorldOptions]:
    """With the travel of the camera in metres; without it where no standing foot tells how large it is."""
    path = job.tracked.camera_path
    if path is None or path.eyes is None:
        return job, options
    options = size_travel(list(zip(poses, still, strict=True)), job.intrinsics, options, path.eyes)
    return replace(job, tracked=replace(job.tracked, camera_path=replace(path, eyes=options.eyes))), options


def _clip(job: _Job, person: int, track: PersonTrack, placed: PlacedPerson, solved: SolvedDetails) -> MotionClip:
    """One placed person as a smoothed clip."""
    world = placed.world
    header = replace(
        _header(job, person, track, world),
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
        return self.model.solve(track, self.intrinsics, self._options(draft=False))

    def previewer(self, on_chunk: ChunkCallback | None) -> Previewer:
        return Previewer(self._draft, self.request.person, on_chunk)

    def _draft(self, track: PersonTrack) -> PoseTrack:
        return self.model.solve(track, self.intrinsics, self._options(draft=True))

    def _options(self, draft: bool) -> PoseOptions:
        return pose_options(self.request, draft)


def pose_options(request: SolveRequest, draft: bool = False) -> PoseOptions:
    """How a request's poses are solved. A draft takes the towers' pose; `fast` climbs two steps, looks in two ways
    instead of four, and retrieves whole poses alone.
    """
    quality = request.quality
    views: tuple[View, ...] = ALL_VIEWS
    if draft:
        refine, views = RefineSettings(iterations=0), ONE_VIEW
    elif quality is SolveQuality.FAST:
        refine, views = RefineSettings(iterations=2), TWO_VIEWS
    else:
        refine = RefineSettings()
    whole = draft or quality is SolveQuality.FAST
    return PoseOptions(
        parts=None if whole else PartSettings(),
        retrieval_share=0.3 if whole else 0.5,
        height_m=request.height_m or ASSUMED_HEIGHT_M,
        gravity_camera=request.gravity_camera,
        views=views,
        temporal_share=0.0 if draft else TEMPORAL_SHARE,
        neighbours=100 if quality is SolveQuality.FAST else 200,
        refine=refine,
    )


@dataclass(slots=True)
class StageClock:
    """Adds up wall-clock seconds by stage."""

    stage_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.add(name, time.monotonic() - begun)

    def add(self, name: str, spent_s: float) -> None:
        """Seconds more of a stage."""
        self.stage_s[name] = self.stage_s.get(name, 0.0) + spent_s


def _open(request: SolveRequest) -> VideoReader:
    reader = open_video(request.video, request.video_options)
    exact, click = reader.info.frame_count_is_exact, request.person.click_frame
    if request.person.click_px is not None and exact and click >= reader.info.frame_count:
        raise _outside(click, f"the video, which has {reader.info.frame_count} frames")
    return reader


def _outside(frame: int, span: str) -> BadInputError:
    """The error for a click in a frame that is not there or not read."""
    return BadInputError(
        f"The click of --person lies in frame {frame}, outside {span}", "Frames count from 0, from the video's first"
    )


def fitting_models(models: SolveModels | None, request: SolveRequest) -> SolveModels:
    """The given models where they are what the request asks for, else newly loaded ones."""
    device = choose_device(request.device)
    wanted = (request.quality, device, request.model)
    if models is not None and (models.quality, models.device, models.files) == wanted:
        return models
    return load_models(*wanted)


def _people_options(request: SolveRequest, models: SolveModels) -> PeopleOptions:
    # `tracks` looks as often as this, so that its numbers are the same people's; and nobody who stays briefly is missed
    everyone = request.person.choice in (Choice.INDEX, Choice.ALL)
    seldom = request.quality is SolveQuality.FAST and not everyone
    return PeopleOptions(
        quality=request.quality.landmark_network,
        search_interval_s=2.0 if seldom else 0.5,
        max_people=request.max_people,
        selection=request.person,
        device=models.device,
    )


def _chosen(tracked: TrackedVideo, request: SolveRequest) -> list[PersonTrack]:
    if tracked.stopped and not tracked.tracks:
        raise Cancelled("Stopped before anyone was found", "Nothing was written; --resume goes on from here")
    if not tracked.tracks and len(tracked.frame_index) < _FEWEST_FRAMES:
        raise NoPersonError(
            f"In {len(tracked.frame_index)} frames no person can be tracked", f"Solve at least {_FEWEST_FRAMES} frames"
        )
    if not tracked.tracks and tracked.is_dark:
        raise NoPersonError(
            "No person was found in the video, which is dark", "Record with more light, or brighten the video"
        )
    click = request.person.click_frame
    indices = tracked.frame_index
    clicked = request.person.click_px is not None and not tracked.stopped
    if clicked and len(indices) and not indices[0] <= click <= indices[-1]:
        raise _outside(click, f"the part that is read, frames {indices[0]} to {indices[-1]}")
    return choose_tracks(tracked.tracks, request.person)


def _direction(request: SolveRequest) -> np.ndarray | None:
    return None if request.gravity_camera is None else np.asarray(request.gravity_camera, np.float64)


def _warnings(job: _Job, world: WorldTrack, unseen: PartlySeen) -> tuple[ClipWarning, ...]:
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
    return tuple(dict.fromkeys(warnings))


def _header(job: _Job, person: int, track: PersonTrack, world: WorldTrack) -> ClipHeader:
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


def _with_figures(clip: MotionClip) -> MotionClip:
    return replace(clip, header=replace(clip.header, figures=clip_figures(clip)))


def _ignore(_: Progress) -> None:
    return None
