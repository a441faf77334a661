"""The product's runner: a wire request becomes a `SolveRequest`, and the pipeline's chunks become previews.

May import `backend.pipeline` and what its request is made of; runs inside a worker process only.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from backend.camera import CameraOptions
from backend.embedding.model_files import SHIPPED, ModelFiles
from backend.errors import BadInputError
from backend.people.options import Selection
from backend.pipeline import SolvedChunk, SolveModels, SolveRequest, load_models, solve
from backend.server.job_runner import JobOutcome, JobSink, PreviewChunk
from backend.server.people_runner import find_people
from backend.server.worker_protocol import RunJob
from backend.solving.person import parse_person
from backend.solving.request import SolveQuality
from backend.video import FrameRange
from blender_addon.wire.messages import SolveOptions

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
        check_source(Path(order.source))
        if order.task == "people":
            models = self._load(quality_of(order))
            return find_people(order, sink, models.device, models.people)
        request = replace(request_of(order, self._device), model=self._files)
        result = solve(
            request,
            progress=sink.progress,
            cancel=sink.cancel,
            on_chunk=lambda chunk: sink.chunk(_preview(chunk)),
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


def quality_of(order: RunJob) -> SolveQuality:
    """The quality that an order names. Raises BadInputError for one that there is not."""
    qualities = [quality.value for quality in SolveQuality]
    if order.options.quality not in qualities:
        raise BadInputError(f"Unknown quality {order.options.quality!r}", f"Choose from {', '.join(qualities)}")
    return SolveQuality(order.options.quality)


def request_of(order: RunJob, device: str) -> SolveRequest:
    """The pipeline's request for an order. Raises BadInputError for options that it does not know."""
    options = order.options
    return SolveRequest(
        video=Path(order.source),
        output=Path(order.output_dir) / CLIP_NAME,
        range=FrameRange(options.start_s, options.end_s),
        person=_person(options),
        max_people=options.max_people,
        height_m=options.height_m,
        camera=CameraOptions(fov_deg=options.fov_deg),
        quality=quality_of(order),
        device=device,
        smoothing=options.smoothing,
        slow_motion=options.slow_motion,
        sequence_fps=options.sequence_fps,
        resume=order.attempt > 1,
        max_frames=order.max_frames,
    )


def _person(options: SolveOptions) -> Selection:
    size = options.picture_width_px, options.picture_height_px
    return replace(parse_person(options.person), click_in_px=size if min(size) > 0 else None)


def _preview(chunk: SolvedChunk) -> PreviewChunk:
    return PreviewChunk(
        person=chunk.person,
        space="camera",
        frame_index=chunk.frame_index,
        times_s=chunk.times_s,
        rotations_wxyz=chunk.rotations_wxyz,
        root_m=chunk.root_camera_m,
        joints_camera_m=chunk.joints_camera_m,
        confidence=chunk.confidence,
    )
