"""One capture as a state machine that a modal operator ticks: submit, follow, cancel, resume, fetch the result.

May import stdlib, numpy and `wire`. States in order: "preparing" (hashing an upload), "submitting", "uploading",
"queued", "running", "fetching", and the ends "done", "failed", "cancelled". A stopped job may be "finishing" before
its end: the stop was answered, and the backend makes a clip of the frames that were finished.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..wire import messages as wire
from .download import Download
from .job_state import JobRequest, JobSnapshot
from .link import BackendLink, LinkStatus
from .take_options import why_unsupported
from .upload import Upload, UploadError

__all__ = ["CaptureJob", "JobRequest", "JobSnapshot"]

FINISHING = "Finishing what was kept"
_DEAD_WAIT_S = 20.0
# A stop is answered within the server's grace; a backend that is still starting, or gone, is not waited for.
_STOP_WAIT_S = 0.9


class CaptureJob:
    """Tick it until `snapshot.over`. Give `job_id` to pick up a job that an earlier program or session began."""

    def __init__(self, link: BackendLink, request: JobRequest, job_id: str = "") -> None:
        self.job_id = job_id or uuid.uuid4().hex
        self.snapshot = JobSnapshot("submitting")
        self._link = link
        self._request = request
        self._resumed = bool(job_id)
        self._upload: Upload | None = None
        self._download: Download | None = None
        self._ending: wire.Done | wire.Failed | wire.JobCancelled | None = None
        self._chunks: list[wire.MotionChunk] = []
        self._live: wire.LiveFrame | None = None
        self._epoch = link.epoch
        self._key = 0
        self._attempt = 0
        self._next_chunk = 0
        self._cancelling = False
        self._stop_asked_s = 0.0
        self._retry_submit_s: float | None = None
        self._gone_s: float | None = None
        self._start()

    def tick(self, budget_s: float = 0.005) -> JobSnapshot:
        """Do what can be done now, within a time budget; the link is ticked along."""
        deadline = time.perf_counter() + budget_s
        if self.snapshot.over:
            return self.snapshot
        status = self._link.tick(budget_s)
        self._mind(status)
        if not self.snapshot.over and status.state == "open":
            try:
                self._advance(deadline)
            except UploadError as fault:
                self._fail(fault.code, fault.words, fault.remedy)
            except OSError as fault:
                self._fail_on_disk(fault)
        self._give_up_waiting()
        return self.snapshot

    def take_chunks(self) -> list[wire.MotionChunk]:
        """Preview frames that came since the last call, in order. A higher `attempt` starts the preview anew."""
        chunks, self._chunks = self._chunks, []
        return chunks

    def take_live(self) -> wire.LiveFrame | None:
        """The newest frame of a live job, if one came since the last call."""
        frame, self._live = self._live, None
        return frame

    def record(self) -> None:
        """Have a running live job recorded from now on."""
        self._ask_once(wire.LiveRecord(self.job_id))

    def cancel(self) -> None:
        """Ask for a stop; the end comes within a second, whatever the backend does, with the finished frames kept."""
        if self.snapshot.over or self._cancelling:
            return
        self._cancelling, self._stop_asked_s = True, time.monotonic()
        if self.snapshot.state in ("preparing", "submitting") and self._key == 0:
            self._finish(JobSnapshot("cancelled", code="cancelled", words="Stopped before it was sent"))
            return
        self.snapshot = replace(self.snapshot, words="Stopping")
        self._ask_once(wire.Cancel(self.job_id))

    def forget(self) -> None:
        """Do not wait for the finishing of a stopped job: the backend drops it."""
        if not self.snapshot.over:
            self._ask_once(wire.Release(self.job_id))
            self._finish(replace(self.snapshot, state="cancelled", words="The finishing was stopped"))

    def _give_up_waiting(self) -> None:
        """End a stop that nobody answers; the request to stop stays with the link, for when it opens."""
        waiting = self._cancelling and not self.snapshot.stopped and self.snapshot.state != "fetching"
        if waiting and time.monotonic() - self._stop_asked_s > _STOP_WAIT_S:
            words = "Stopped; the backend has not answered yet and drops the work when it does"
            self._finish(JobSnapshot("cancelled", code="cancelled", words=words))

    def _start(self) -> None:
        if self._resumed:
            self._follow()
            return
        if not self._request.upload:
            if self._request.more_videos:
                self._retry_submit_s = 0.0  # once it is known what the server can do
            else:
                self._submit(self._own_sources())
            return
        try:
            self._upload = Upload(self._request.videos)
            self.snapshot = JobSnapshot("preparing")
        except OSError as fault:
            name = f"{Path(fault.filename).name} " if fault.filename else ""
            self._fail("video", f"The video {name}cannot be read ({fault.strerror})", "Check that the file is there")

    def _submit(self, sources: tuple[wire.Source, ...]) -> None:
        self.snapshot = replace(self.snapshot, state="submitting")
        self._link.drop(self._key)
        first, *more = sources
        request = self._request
        submit = wire.Submit(self.job_id, first, request.options, request.task, tuple(more), request.take)
        self._key = self._link.ask(submit, self._on_message)

    def _follow(self) -> None:
        """Watch by id from where the preview stands: after a reconnect, a restart, or in a new program."""
        self._link.drop(self._key)
        self._key = self._link.ask(wire.Watch(self.job_id, self._attempt, self._next_chunk), self._on_message)

    def _mind(self, status: LinkStatus) -> None:
        """React to what became of the link."""
        if self._link.epoch != self._epoch:
            if self._epoch and self.snapshot.state not in ("preparing", "submitting", "fetching"):
                self._follow()
                if self._cancelling:
                    self._ask_once(wire.Cancel(self.job_id))
            self._epoch = self._link.epoch
        begins, lacking, instead = self._request.more_videos and self._key == 0, "", ""
        if status.state == "open" and begins:
            lacking, instead = why_unsupported(self._request.take, status.capabilities)
        if lacking:
            # it would solve less than is asked for, without a word
            words = f"The backend {status.server_version} {lacking}"
            self._fail("unsupported", words, f"Update the backend, or {instead}")
        elif status.state == "open":
            self._gone_s = None
        elif status.state == "dead":
            self._fail("backend_dead", status.words, status.remedy, status.log_lines)
        elif status.state == "closed":
            self._fail("backend_stopped", "The backend was stopped", "Connect to it again")
        elif status.state in ("refused", "lost"):
            self._gone_s = self._gone_s or time.monotonic()
            if time.monotonic() - self._gone_s > _DEAD_WAIT_S:
                self._fail("backend_lost", status.words, status.remedy)

    def _advance(self, deadline: float) -> None:
        """The work of the present state."""
        now = time.monotonic()
        if self._retry_submit_s is not None and now >= self._retry_submit_s:
            self._retry_submit_s = None
            self._start_again()
        if self._upload is not None:
            self._advance_upload(self._upload, deadline)
        if self._download is not None:
            self._download.step(self._link)
            if self._download.complete:
                self._finish_fetch(self._download)

    def _advance_upload(self, upload: Upload, deadline: float) -> None:
        if self.snapshot.state == "preparing":
            if upload.prepare(deadline):
                self._submit(upload.sources)
        elif self.snapshot.state == "uploading":
            upload.step(self._link, deadline)
            if upload.complete:
                self._close_upload()
                self.snapshot = replace(self.snapshot, state="queued", words="Waiting for a worker")
                return
            self.snapshot = replace(
                self.snapshot,
                stage="upload",
                done=upload.sent_bytes,
                total=upload.size_bytes,
                words=f"Sending video {upload.video}" if upload.video else "Sending the video",
                video=upload.video,
            )

    def _start_again(self) -> None:
        self._submit((self._upload.sources if self._upload is not None else ()) or self._own_sources())

    def _own_sources(self) -> tuple[wire.Source, ...]:
        if self._request.source is not None:
            return (self._request.source,)
        return tuple(wire.Source("path", str(video), video.name) for video in self._request.videos)

    def _on_message(self, message: Any) -> None:
        """Whatever answers the submit or the watch."""
        if isinstance(message, wire.Accepted):
            self._on_accepted(message.job)
        elif isinstance(message, wire.JobProgress):
            self._on_progress(message)
        elif isinstance(message, wire.MotionChunk):
            self._on_chunk(message)
        elif isinstance(message, wire.LiveFrame):
            self._live = message
            if self.snapshot.state in ("submitting", "queued"):
                self.snapshot = replace(self.snapshot, state="running", words="")
        elif isinstance(message, wire.Done | wire.Failed | wire.JobCancelled):
            self._on_ending(message)
        elif isinstance(message, wire.Refused):
            self._on_refused(message)

    def _on_accepted(self, job: wire.JobInfo) -> None:
        if job.state == "receiving" and self._upload is not None:
            self._upload.begin(job)
            self.snapshot = replace(self.snapshot, state="uploading")
        elif job.state == "receiving":
            self._fail("upload", "The upload of this job was not finished", "Submit the video again")
        elif job.state == "queued":
            self.snapshot = replace(self.snapshot, state="queued", words=f"Waiting, place {job.position}")
        elif job.state == "running":
            self.snapshot = replace(
                self.snapshot,
                state="running",
                stage=job.stage,
                done=job.done,
                total=job.total,
                words="",
                worker=job.worker,
                video=job.video,
            )

    def _on_progress(self, message: wire.JobProgress) -> None:
        self._close_upload()
        self._new_attempt(message.attempt)
        finishing = self.snapshot.state == "finishing"
        self.snapshot = replace(
            self.snapshot,
            state="finishing" if finishing else "running",
            stage=message.stage,
            done=message.done,
            total=message.total,
            remaining_s=message.remaining_s,
            words=FINISHING if finishing else "Stopping" if self._cancelling else "",
            worker=message.worker,
            video=message.video,
        )

    def _on_chunk(self, chunk: wire.MotionChunk) -> None:
        self._close_upload()
        self._new_attempt(chunk.attempt)
        if chunk.index == self._next_chunk:
            self._next_chunk += 1
            self._chunks.append(chunk)
            if not self.snapshot.stopped:
                self.snapshot = replace(self.snapshot, state="running")

    def _new_attempt(self, attempt: int) -> None:
        if attempt > self._attempt:
            self._attempt, self._next_chunk = attempt, 0

    def _on_ending(self, message: wire.Done | wire.Failed | wire.JobCancelled) -> None:
        """The work is over; its files, if any, are fetched before the job is."""
        self._close_upload()
        if isinstance(message, wire.JobCancelled) and message.finishing:
            self.snapshot = replace(
                self.snapshot, state="finishing", words=FINISHING, frames_kept=message.frames_kept, done=0, total=0
            )
            return
        self._ending = message
        if not message.files:
            self._ask_once(wire.Release(self.job_id))
            self._finish(self._final(message, ()))
            return
        self.snapshot = replace(self.snapshot, state="fetching", words="Fetching the result")
        try:
            self._download = Download(self.job_id, message.files, self._request.result_dir)
        except OSError as fault:
            self._fail("output", f"The result cannot be kept ({fault})", "The backend keeps it; choose another folder")

    def _finish_fetch(self, download: Download) -> None:
        if self._ending is not None:
            self._ask_once(wire.Release(self.job_id))
            self._finish(self._final(self._ending, download.paths))

    def _final(self, ending: wire.Done | wire.Failed | wire.JobCancelled, paths: tuple[Path, ...]) -> JobSnapshot:
        if isinstance(ending, wire.Done):
            return JobSnapshot(
                "done",
                paths=paths,
                figures=tuple(ending.figures.items()),
                warnings=ending.warnings,
                worker=ending.worker,
            )
        if isinstance(ending, wire.JobCancelled):
            words = f"Stopped; {ending.frames_kept} finished frames are kept"
            return JobSnapshot("cancelled", code="cancelled", words=words, paths=paths, frames_kept=ending.frames_kept)
        return JobSnapshot("failed", code=ending.code, words=ending.message, remedy=ending.remedy, paths=paths)

    def _on_refused(self, refusal: wire.Refused) -> None:
        if refusal.retry_after_s is not None and not self._cancelling:
            self._retry_submit_s = time.monotonic() + refusal.retry_after_s
            self.snapshot = replace(self.snapshot, words=refusal.message)
        elif self._cancelling and refusal.code == "unknown_job":
            self._finish(JobSnapshot("cancelled", code="cancelled", words="Stopped before it was taken"))
        else:
            self._fail(refusal.code, refusal.message, refusal.remedy)

    def _ask_once(self, message: Any) -> None:
        """A request whose reply matters only in that it comes."""
        key = self._link.ask(message, lambda reply: self._link.drop(key))

    def _fail_on_disk(self, fault: OSError) -> None:
        """A file of this computer: the video that is sent, or the result that is fetched."""
        if self._upload is not None:
            self._fail("video", f"The video cannot be read ({fault.strerror})", "Check that the file is there")
            return
        remedy = "The backend keeps the result; check the folder's rights and its free space"
        self._fail("output", str(fault), remedy)

    def _fail(self, code: str, words: str, remedy: str = "", log_lines: tuple[str, ...] = ()) -> None:
        self._finish(JobSnapshot("failed", code=code, words=words, remedy=remedy, log_lines=log_lines))

    def _finish(self, snapshot: JobSnapshot) -> None:
        self.snapshot = snapshot
        self._link.drop(self._key)
        self._close_upload()
        if self._download is not None:
            self._download.close(self._link)

    def _close_upload(self) -> None:
        if self._upload is not None:
            self._upload.close(self._link)
            self._upload = None
