"""A live capture as a job of a worker. May import `backend.live`, `backend.pipeline` and its own room."""

from __future__ import annotations

import threading
from pathlib import Path

from backend.camera import CameraOptions
from backend.live.addresses import parse_source
from backend.live.calibration import CalibrationSettings
from backend.live.cameras import ImageSettings
from backend.live.control import LiveControl
from backend.live.request import LiveRequest
from backend.live.session import run_live
from backend.server.job_runner import JobOutcome, JobSink
from backend.server.worker_protocol import RunJob
from backend.solving.models import SolveModels
from backend.solving.option_parsing import direction_of, parse_quality

_WATCH_S = 0.1


def run_live_job(order: RunJob, sink: JobSink, models: SolveModels) -> JobOutcome:
    """Carry out a live order in a worker: it ends when it is stopped, with the clip and the recording as its files."""
    source, options = order.live, order.options
    request = LiveRequest(
        source=parse_source(source.path),
        folder=Path(order.output_dir),
        record=source.record,
        image=ImageSettings(source.width_px or None, source.height_px or None, source.fps or None),
        quality=parse_quality(options.quality),
        height_m=options.height_m,
        camera=CameraOptions(fov_deg=options.fov_deg),
        calibration=CalibrationSettings(gravity_camera=direction_of(options.gravity_camera)),
    )
    control, over = LiveControl(sink.cancel), threading.Event()
    threading.Thread(target=_pass_on_record, args=(sink.record, control, over), name="record", daemon=True).start()
    try:
        result = run_live(request, models, sink.live, control)
    finally:
        over.set()
    clips = () if result.clip is None else (result.clip,)
    figures = {
        "poses": float(result.poses),
        "captured": float(result.captured),
        "dropped": float(result.dropped),
        "recorded": float(result.recorded),
    }
    return JobOutcome((*clips, *result.recordings), figures, result.warnings)


def _pass_on_record(record: threading.Event, control: LiveControl, over: threading.Event) -> None:
    while not over.is_set():
        if record.wait(_WATCH_S):
            record.clear()
            control.record()
