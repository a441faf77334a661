"""One capture from Blender's side: the job, the preview that grows, and what to say. Free of bpy.

May import `client`, `wire`, `motion`. A modal operator, a timer or a blocking loop ticks it; it never waits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from ..motion.clip import MotionClip, write_clip
from ..motion.clip_warning import ClipWarning, WarningCode
from .job import CaptureJob, JobRequest, JobSnapshot
from .link import BackendLink
from .partial_clip import ChunkBuffer

TICK_BUDGET_S = 0.005
_PREVIEW_EVERY_S = 1.0
_MAX_TICKS_KEPT = 100_000
_ANSWER_REST_S = 0.0005

KEPT_PREVIEW = ClipWarning(
    WarningCode.PREVIEW_ONLY,
    "kept from the preview of a capture that did not end: floor and feet are rough, there is no camera",
)

STAGE_WORDS = {
    "upload": "Sending the video",
    "decode": "Reading the video",
    "people": "Finding people",
    "track": "Following the person",
    "embed": "Retrieving poses",
    "camera": "Following the camera",
    "travel": "Reconstructing the path of the camera",
    "details": "Following hands and face",
    "poses": "Retrieving poses",
    "solve": "Solving",
    "world": "Placing on the floor",
    "write": "Writing the clip",
}


@dataclass(frozen=True, slots=True)
class CaptureTicket:
    """What started a capture: the request, the scene that gets the clip, the body height for previews in m.

    `pose_s` is the time of the clip, in s after its start, whose pose goes onto the rig; None: the whole is captured.
    """

    request: JobRequest
    scene: str
    video: Path
    height_m: float
    pose_s: float | None = None


class CaptureRun:
    """Call `tick` until `over`. `partial` is the newest preview clip; `tick` returns whether it changed."""

    def __init__(self, link: BackendLink, ticket: CaptureTicket, job_id: str = "") -> None:
        self.ticket = ticket
        self.job = CaptureJob(link, ticket.request, job_id)
        self.tick_s: list[float] = []
        self.partial: MotionClip | None = None
        self.started_s = time.monotonic()
        self.stop_asked_s = self.ended_s = 0.0
        self.rough: Path | None = None  # what `keep_preview` wrote, which the backend's own clip replaces
        self._buffer = ChunkBuffer(ticket.height_m)
        self._previewed_s = 0.0
        self._stale = False

    @property
    def snapshot(self) -> JobSnapshot:
        """Where the job stands."""
        return self.job.snapshot

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.job.snapshot.over

    @property
    def stopped(self) -> bool:
        """Whether nothing more will happen that anybody has to wait for."""
        return self.job.snapshot.stopped

    def tick(self, budget_s: float = TICK_BUDGET_S) -> bool:
        """Do what can be done now; True when `partial` became newer."""
        begun = time.perf_counter()
        self.job.tick(budget_s)
        # A stop takes a few round trips of a millisecond each, and a tick comes only as often as the window is drawn:
        # as many of them as fit are made in one.
        while self._is_ending and time.perf_counter() - begun < budget_s:
            time.sleep(_ANSWER_REST_S)
            self.job.tick(budget_s)
        if self.stopped and not self.ended_s:
            self.ended_s = time.monotonic()
        for chunk in self.job.take_chunks():
            self._stale = self._buffer.add(chunk) or self._stale
        fresh = self._stale and (time.monotonic() - self._previewed_s > _PREVIEW_EVERY_S or self.over)
        if fresh:
            self.partial = self._buffer.clip()
            self._stale, self._previewed_s = False, time.monotonic()
        if len(self.tick_s) < _MAX_TICKS_KEPT:
            self.tick_s.append(time.perf_counter() - begun)
        return fresh

    def keep_preview(self) -> Path | None:
        """Write what the preview has as a clip, for a capture that ended without a file; None when there is nothing.

        Raises OSError when the disk refuses.
        """
        clip = self._buffer.clip()
        if clip is None:
            return None
        kept = replace(clip.header, source=str(self.ticket.video), warnings=(*clip.header.warnings, KEPT_PREVIEW))
        path = self.ticket.request.result_dir / "preview.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(replace(clip, header=kept), path)
        self.rough = path
        return path

    @property
    def _is_ending(self) -> bool:
        return not self.stopped and (bool(self.stop_asked_s) or self.snapshot.state == "fetching")

    def cancel(self) -> None:
        """Ask for a stop, and send it off; finished frames are kept."""
        self.stop_asked_s = self.stop_asked_s or time.monotonic()
        self.job.cancel()
        self.job.tick(0.0)

    def fraction(self) -> float:
        """Progress 0..1 of the present stage; 0 while it is unknown."""
        snapshot = self.snapshot
        if snapshot.state == "done":
            return 1.0
        return min(snapshot.done / snapshot.total, 1.0) if snapshot.total > 0 else 0.0

    def text(self) -> str:
        """The progress bar's words: stage, count, time left."""
        snapshot = self.snapshot
        what = snapshot.words or STAGE_WORDS.get(snapshot.stage, snapshot.stage) or snapshot.state.capitalize()
        if snapshot.video and not snapshot.words:
            what = f"{what} (video {snapshot.video})"
        if snapshot.over or snapshot.total <= 1:  # one of one is no count
            return what
        parts = [f"{what} {snapshot.done}/{snapshot.total}"]
        if snapshot.remaining_s is not None:
            parts.append(f"{duration_text(snapshot.remaining_s)} left")
        return ", ".join(parts)


def duration_text(seconds: float) -> str:
    """Seconds for people: "12 s", "3 min 05 s", "1 h 20 min"."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
