"""A take as a job of a worker. May import `backend.multiview`, `backend.pipeline` and its own room.

Uploaded videos lie on the server's disk under names of its own; what the user reads has the names that they gave.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backend.errors import MarionetError
from backend.files import write_whole
from backend.multiview.setup_file import read_setup, write_setup
from backend.multiview.solve_take import solve_take
from backend.multiview.take_request import CloseUp, TakeRequest, TakeResult
from backend.multiview.types import Offset, OffsetSource, TakeSetup
from backend.pipeline import SolveRequest
from backend.server.job_runner import JobOutcome, JobSink
from backend.server.worker_protocol import RunJob
from backend.solving.models import SolveModels
from backend.solving.outputs import write_clips
from blender_addon.motion.clip import ClipHeader, MotionClip
from blender_addon.motion.clip_cameras import ClipCamera

SETUP_NAME = "setup.json"
_GIVEN_NAME = "given.json"
_CALIBRATION_FOLDER = "calibration"
_GIVEN_UNCERTAINTY_S = 0.002


def run_take_job(order: RunJob, sink: JobSink, request: SolveRequest, models: SolveModels) -> JobOutcome:
    """Carry out the order of a take; `request` is that of its first video. A second attempt goes on from the
    checkpoints of the first. Raises what `solve_take` does.
    """
    names = _ShownNames(order)
    try:
        take = _request(order, request, names.names)
        result = solve_take(take, sink.progress, sink.cancel, models, sink.chunk)
    except MarionetError as fault:
        raise names.in_words(fault) from fault
    files = write_clips(names.in_clips(result.clips), take.output)
    warnings = tuple(names.in_text(warning.text) for warning in result.warnings)
    setup = _write_setup(result, names, Path(order.output_dir) / SETUP_NAME)
    return JobOutcome((*files, *setup), dict(result.figures), warnings, result.cancelled)


def _request(order: RunJob, request: SolveRequest, names: Sequence[str]) -> TakeRequest:
    """The request for the videos of the body and, last among the videos, the close-ups."""
    bodies, offsets = len(order.videos) - order.take.close_ups, _offsets(order)
    videos = [Path(video.path) for video in order.videos]
    return TakeRequest(
        _of_bodies(request, videos[:bodies]),
        request.output,
        offsets[:bodies] if any(offsets[1:bodies]) else (),
        _calibration(order),
        _setup(order),
        close_ups=tuple(CloseUp(*pair) for pair in zip(videos[bodies:], offsets[bodies:], strict=True)),
        names=tuple(names[:bodies]),
    )


def _of_bodies(request: SolveRequest, videos: Sequence[Path]) -> tuple[SolveRequest, ...]:
    """One request for each video. The given direction of gravity is in the first camera, and stays only with it."""
    first, *others = (replace(request, video=video) for video in videos)
    return (first, *(replace(video, gravity_camera=None) for video in others))


def _offsets(order: RunJob) -> tuple[Offset | None, ...]:
    """What is known of the clock of each video, the first of which is the clock."""
    known = {
        one.source: Offset(one.start_s, 1.0, _GIVEN_UNCERTAINTY_S, OffsetSource.GIVEN) for one in order.take.offsets
    }
    return (Offset(), *(known.get(place) for place in range(1, len(order.videos))))


def _calibration(order: RunJob) -> Path | None:
    """The calibration that came with the order: its one file, or the folder of its files."""
    files = order.take.calibration
    if not files:
        return None
    folder = Path(order.output_dir) / _CALIBRATION_FOLDER
    folder.mkdir(exist_ok=True)
    for file in files:
        write_whole(folder / file.name, "".join(file.text).encode())
    return folder / files[0].name if len(files) == 1 else folder


def _setup(order: RunJob) -> TakeSetup | None:
    """The set-up that came with the order. Raises BadInputError for a text that is none."""
    if not order.take.setup:
        return None
    path = Path(order.output_dir) / _GIVEN_NAME
    write_whole(path, "".join(order.take.setup).encode())
    return read_setup(path)


def _write_setup(result: TakeResult, names: _ShownNames, path: Path) -> tuple[Path, ...]:
    """The set-up of a take whose cameras are known, as a file; none otherwise."""
    if len(result.take.used) < 2:
        return ()
    of_bodies = names.names[: len(result.setup.cameras)]  # close-ups, which come last, are no cameras
    write_setup(replace(result.setup, names=of_bodies), path)
    return (path,)


class _ShownNames:
    """The user's names of the videos, in place of those that they have on the server's disk."""

    def __init__(self, order: RunJob) -> None:
        self.names = tuple(video.name or Path(video.path).name for video in order.videos)
        self._uploads = {
            video.path: name for video, name in zip(order.videos, self.names, strict=True) if video.kind == "upload"
        }
        # also of a path that the server has followed to where its link points
        paths = zip([Path(video.path) for video in order.videos], self.names, strict=True)
        files = {path.name: name for path, name in paths if path.suffix}  # a folder's name may be any word
        given = {str(Path(order.output_dir) / _GIVEN_NAME): "The given set-up"}
        folder = Path(order.output_dir) / _CALIBRATION_FOLDER
        given |= {str(folder / file.name): file.name for file in order.take.calibration}
        given |= {str(folder): "The given calibration"} if order.take.calibration else {}
        self._shown = {**self._uploads, **files, **given}
        longest_first = sorted(self._shown, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(text) for text in longest_first))

    def in_text(self, text: str) -> str:
        """A sentence for the user."""
        return self._pattern.sub(lambda match: self._shown[match[0]], text)

    def in_words(self, fault: MarionetError) -> MarionetError:
        """The same error in the user's names."""
        return type(fault)(self.in_text(fault.message), self.in_text(fault.remedy))

    def in_clips(self, clips: Sequence[MotionClip]) -> tuple[MotionClip, ...]:
        """The clips, their headers in the user's names."""
        return tuple(replace(clip, header=self._in_header(clip.header)) for clip in clips)

    def _in_header(self, header: ClipHeader) -> ClipHeader:
        return replace(
            header,
            source=self._uploads.get(header.source, header.source),
            cameras=tuple(self._in_camera(camera) for camera in header.cameras),
            warnings=tuple(replace(warning, text=self.in_text(warning.text)) for warning in header.warnings),
        )

    def _in_camera(self, camera: ClipCamera) -> ClipCamera:
        source = self._uploads.get(camera.source, camera.source)
        return replace(camera, source=source, reason=self.in_text(camera.reason))
