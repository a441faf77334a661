"""The product's runner: a wire request becomes a `SolveRequest`, and the pipeline's chunks become previews.

May import `backend.pipeline`, `backend.multiview` and what its request is made of; runs inside a worker process only.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from backend.camera import CameraOptions
from backend.embedding.model_files import SHIPPED, ModelFiles
from backend.errors import BadInputError
from backend.people.networks import PeopleNetworks
from backend.pipeline import SolveRequest, solve
from backend.server.job_runner import JobOutcome, JobSink
from backend.server.live_jobs import run_live_job
from backend.server.take_jobs import run_take_job
from backend.server.worker_protocol import RunJob
from backend.solving.models import SolveModels, load_models
from backend.solving.option_parsing import RequestOptions, parse_quality, request_from_options
from backend.solving.people_listing import PeopleListingRequest, find_everyone, summarise, write_sheet
from backend.solving.request import SolveQuality
from backend.video import FrameRange, VideoOptions

CLIP_NAME = "clip.npz"


class SolveRunner:
    """Keeps the models of every quality that was asked for, so that only the first job of a quality waits."""

    def __init__(self, device: str, files: ModelFiles = SHIPPED) -> None:
        self._device, self._files = device, files
        self._models: dict[SolveQuality, SolveModels] = {}

    def warm_up(self) -> str:
        """Load the models of the default quality; the device they are on."""
        return self._load(SolveQuality.BEST).device

    def run(self, order: RunJob, sink: JobSink) -> JobOutcome:
        """Solve the order's video, or look who is in it. A second attempt goes on from the checkpoint of the first."""
        if order.live.kind:
            return run_live_job(order, sink, self._load(parse_quality(order.options.quality)))
        for source in [video.path for video in order.videos] or [order.source]:
            check_source(Path(source))
        if order.task == "people":
            models = self._load(parse_quality(order.options.quality))
            return find_people(order, sink, models.device, models.people)
        request = replace(request_of(order, self._device), model=self._files)
        if order.videos:
            return run_take_job(order, sink, request, self._load(request.quality))
        result = solve(
            request,
            progress=sink.progress,
            cancel=sink.cancel,
            on_chunk=sink.chunk,
            models=self._load(request.quality),
        )
        warnings = tuple(warning.text for warning in result.warnings)
        return JobOutcome(tuple(result.files), dict(result.figures), warnings, result.cancelled)

    def _load(self, quality: SolveQuality) -> SolveModels:
        if quality not in self._models:
            self._models[quality] = load_models(quality, self._device, self._files)
        return self._models[quality]


def check_source(path: Path) -> None:
    """Raise BadInputError for a pipe, a device or a socket: they may never end, or never begin."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise BadInputError(f"{path} is not a file", "Name a video file, a folder of images or a pattern")


def request_of(order: RunJob, device: str) -> SolveRequest:
    """The pipeline's request for an order. Raises BadInputError for options that it does not know."""
    options = order.options
    solve_options = RequestOptions(
        range=FrameRange(options.start_s, options.end_s),
        person=options.person,
        point_image_px=(options.picture_width_px, options.picture_height_px),
        max_people=options.max_people,
        height_m=options.height_m,
        camera=CameraOptions(fov_deg=options.fov_deg),
        gravity=options.gravity_camera,
        quality=options.quality,
        smoothing=options.smoothing,
        hands=options.hands,
        face=options.face,
        slow_motion=options.slow_motion,
        sequence_fps=options.sequence_fps,
    )
    output = Path(order.output_dir) / CLIP_NAME
    return request_from_options(Path(order.source), output, solve_options, device, order.attempt > 1, order.max_frames)


SHEET_NAME, LIST_NAME = "people.png", "people.json"


def find_people(order: RunJob, sink: JobSink, device: str, networks: PeopleNetworks) -> JobOutcome:
    """Carry out an order to look who is there, with loaded networks of the order's quality."""
    options = order.options
    request = PeopleListingRequest(
        Path(order.source),
        VideoOptions(range=FrameRange(options.start_s, options.end_s), sequence_fps=options.sequence_fps),
        parse_quality(options.quality),
        device,
        options.max_people,
        order.max_frames,
    )
    tracks = find_everyone(request, sink.progress, sink.cancel, networks)
    sheet, listed = Path(order.output_dir) / SHEET_NAME, Path(order.output_dir) / LIST_NAME
    write_sheet(request, tracks, sheet)
    rows = [asdict(summarise(place, track)) for place, track in enumerate(tracks)]
    listed.write_text(json.dumps(rows), encoding="utf-8")
    return JobOutcome((sheet, listed), {"people": float(len(tracks))})
