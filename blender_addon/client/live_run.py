"""A live capture from Blender's side: the job, its newest frame, and what is left at its end. Free of bpy.

May import `client`, `wire`, `motion`. A timer ticks it; it never waits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..wire import messages as wire
from .capture_run import CaptureRun, CaptureTicket
from .job import CaptureJob, JobRequest, JobSnapshot
from .link import BackendLink

CAPABILITY = "live"
TICK_BUDGET_S = 0.002
_MOST_TICKS_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class LiveTicket:
    """What started a live capture: the request, the scene that gets the clip, and the options of the full solve."""

    request: JobRequest
    scene: str
    height_m: float


class LiveRun:
    """Call `tick` until `over`; `newest` is the last frame that came, with or without a person."""

    def __init__(self, link: BackendLink, ticket: LiveTicket, job_id: str = "") -> None:
        self.ticket = ticket
        self.job = CaptureJob(link, ticket.request, job_id)
        self.newest: wire.LiveFrame | None = None
        self.recording = bool(ticket.request.source and ticket.request.source.record)
        self.tick_s: list[float] = []
        self.ticked_s = 0.0
        self.shown = 0

    @property
    def snapshot(self) -> JobSnapshot:
        """Where the job stands."""
        return self.job.snapshot

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.job.snapshot.over

    def tick(self, budget_s: float = TICK_BUDGET_S) -> wire.LiveFrame | None:
        """Do what can be done now; the newest frame where one came."""
        self.job.tick(budget_s)
        frame = self.job.take_live()
        if frame is not None:
            self.newest = frame
        return frame

    def note_tick(self, seconds: float) -> None:
        """Keep how long a tick took that showed a frame."""
        if len(self.tick_s) < _MOST_TICKS_KEPT:
            self.tick_s.append(seconds)

    def record(self) -> None:
        """Record from now on, to the end."""
        if not self.recording:
            self.recording = True
            self.job.record()

    def stop(self) -> None:
        """End the capture; what was recorded comes as files."""
        self.job.cancel()

    def lines(self) -> tuple[str, str, str]:
        """What the panel says: the state in words, rate with latency, and how much is recorded; short, for one line."""
        frame = self.newest
        if frame is None or self.over or self.snapshot.state in ("fetching", "finishing"):
            return self.snapshot.words or self.snapshot.state.capitalize(), "", ""
        state = frame.message or {"live": "Live", "no_person": "Nobody in sight"}.get(frame.state, frame.state)
        rate = f"{frame.fps:.0f} poses/s of {frame.source_fps:.0f}, {frame.latency_s * 1000.0:.0f} ms"
        return state, rate, f"{frame.recorded} images recorded" if frame.recorded >= 0 else ""

    @property
    def in_trouble(self) -> bool:
        """Whether the source gives no images just now."""
        return self.newest is not None and self.newest.state == "stalled"

    @property
    def clip_path(self) -> Path | None:
        """The clip of the live poses, once the files are there."""
        return next((path for path in self.snapshot.paths if path.suffix == ".npz"), None)

    @property
    def recordings(self) -> tuple[Path, ...]:
        """The recorded videos in the order of their time, once the files are there."""
        found = (path for path in self.snapshot.paths if path.suffix == ".mkv")
        return tuple(sorted(found, key=lambda path: (len(path.name), path.name)))  # x.mkv, x.1.mkv, x.10.mkv

    def full_solves(self, link: BackendLink, upload: bool, wanted: wire.SolveOptions) -> tuple[CaptureRun, ...]:
        """The solve of each recording, with the quality, hands and face of `wanted`.

        The clip of the only one takes the place of the live one; of several, which a source leaves that changes its
        kind of video, each has a clip of its own: the live one holds all of them.
        """
        if self.clip_path is None:
            return ()
        request, runs = self.ticket.request, []
        options = replace(request.options, quality=wanted.quality, hands=wanted.hands, face=wanted.face)
        for number, video in enumerate(self.recordings):
            solve = JobRequest(video, request.result_dir / (f"full.{number}" if number else "full"), options, upload)
            runs.append(CaptureRun(link, CaptureTicket(solve, self.ticket.scene, video, self.ticket.height_m)))
        if len(runs) == 1:
            runs[0].rough = self.clip_path
        return tuple(runs)


class LostRecordings:
    """Asks the backend once for live captures that ended with their backend or their Blender: `job_ids`, oldest first,
    is None until the answer came.
    """

    def __init__(self, link: BackendLink) -> None:
        self.job_ids: tuple[str, ...] | None = None
        self._link = link
        self._key = link.ask(wire.ListJobs(), self._on_reply)

    def _on_reply(self, message: object) -> None:
        self._link.drop(self._key)
        jobs = message.jobs if isinstance(message, wire.JobList) else ()
        live = [job for job in jobs if job.label.startswith("camera:") or "://" in job.label]
        self.job_ids = tuple(job.job_id for job in live if job.state in ("failed", "done", "cancelled"))


class CameraListing:
    """Asks the backend once for its cameras; `cameras` is None until the answer came."""

    def __init__(self, link: BackendLink) -> None:
        self.cameras: tuple[wire.CameraInfo, ...] | None = None
        self.message = ""
        self._link = link
        self._key = link.ask(wire.ListCameras(), self._on_reply)

    def _on_reply(self, message: object) -> None:
        self._link.drop(self._key)
        if isinstance(message, wire.CameraList):
            self.cameras = message.cameras
            self.message = "" if message.cameras else "No camera is connected, or the system shows none to the backend"
        elif isinstance(message, wire.Refused):
            self.message = message.message


def has_pose(frame: wire.LiveFrame) -> bool:
    """Whether a frame shows a person."""
    return bool(np.isfinite(frame.root_m).all())


def wall_s() -> float:
    """The clock that ticks are timed by."""
    return time.perf_counter()
