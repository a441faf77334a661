"""The job book: every job, its state and its place in the queue. It decides; the disk and the workers carry out.

May import stdlib, `blender_addon.wire` and its own room. Times are `time.monotonic()` seconds unless they say unix.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from dataclasses import replace

from backend.server.config import Limits
from backend.server.job import Job
from backend.server.logs import log_event
from backend.server.orders import JobEnded, RunJob
from backend.server.refusal import Refusal
from backend.server.store import JobRecord, JobStore
from backend.server.workers import WorkerHandle, WorkerPool
from blender_addon.wire.codec import encode
from blender_addon.wire.messages import JobInfo, JobProgress, MotionChunk

# A job that was running when the server died is tried again; after this many deaths it is held to be the cause.
MAX_DEATHS = 3
# Ended jobs that wait to be taken, per unfinished job that is allowed.
_KEPT_PER_JOB = 32


class JobBook:
    """All jobs of a server. Methods that answer a client raise Refusal."""

    def __init__(self, store: JobStore, pool: WorkerPool, limits: Limits) -> None:
        self._store = store
        self._pool = pool
        self._limits = limits
        self._queue: deque[str] = deque()
        self.jobs: dict[str, Job] = {}
        for record in store.load():
            self._take_up(record)

    def _take_up(self, record: JobRecord) -> None:
        """A job found on disk at the start: what was under way goes back into the queue."""
        job = self.jobs[record.job_id] = Job(record, touched_s=time.monotonic())
        if record.state == "receiving":
            part = self._store.part_path(record.job_id)
            job.upload_offset = part.stat().st_size if part.exists() else 0
        elif record.state == "running" and record.deaths + 1 >= MAX_DEATHS:
            self._end(job, "failed", "server_died", f"The server ended {MAX_DEATHS} times during this job", "")
        elif not record.over:
            deaths = record.deaths + 1 if record.state == "running" else record.deaths
            self._keep(job, replace(record, state="queued", deaths=deaths))
            self._queue.append(record.job_id)
            log_event("job taken up again", job_id=record.job_id, attempt=record.attempt)
        else:
            self._store.drop_work(record.job_id)  # of a stopped job that was being finished
            self._store.drop_input(record)
            job.chunk_count = len(list((self._store.folder / record.job_id).glob("chunks/[0-9]*")))

    def find(self, owner: str, job_id: str) -> Job:
        """A client's own job; another's is as unknown as one that never was."""
        job = self.jobs.get(job_id)
        if job is None or job.record.owner != owner:
            raise Refusal("unknown_job", f"There is no job {job_id!r}", "It was released, or belongs to another client")
        return job

    def add(self, record: JobRecord) -> Job:
        """Take a new job in; the same request again is the same job."""
        known = self.jobs.get(record.job_id)
        if known is not None:
            kept = known.record
            same = (kept.owner, kept.source, kept.options, kept.task)
            if same != (record.owner, record.source, record.options, record.task):
                raise Refusal("job_conflict", f"The job id {record.job_id} is taken", "Use a new random id")
            return known
        self._check_room()
        job = Job(record, touched_s=time.monotonic())
        try:
            self._store.save(record)
        except OSError as fault:
            raise Refusal(
                "disk", f"The server cannot write to its disk ({fault.strerror})", "Free space on it"
            ) from fault
        self.jobs[record.job_id] = job
        if record.state == "queued":
            self._queue.append(record.job_id)
        log_event("job submitted", job_id=record.job_id, owner=record.owner, source=record.source.kind)
        return job

    def _check_room(self) -> None:
        unfinished = sum(1 for job in self.jobs.values() if not job.record.over)
        if unfinished >= self._limits.max_jobs:
            raise Refusal("queue_full", f"{unfinished} jobs are waiting or running", "Try again later", 1.0)
        if len(self.jobs) >= self._limits.max_jobs * _KEPT_PER_JOB:
            raise Refusal("queue_full", f"{len(self.jobs)} results wait to be taken", "Release some", 10.0)
        if self._store.free_bytes() < self._limits.free_disk_bytes:
            raise Refusal("disk", "The server's disk is full", "Free space on it, or release results", 10.0)

    def enqueue_upload(self, job: Job) -> None:
        """An upload is complete: the job may run."""
        self._set_state(job, "queued")
        self._queue.append(job.record.job_id)

    def cancel(self, job: Job) -> None:
        """Stop a job: at once while it waits; through its worker while it runs."""
        if job.record.state in ("receiving", "queued"):
            self._end(job, "cancelled", "cancelled", "Stopped before it began", "")
        elif job.record.state == "running" and not job.stop_reason:
            job.stop_reason = "cancelled"
            job.stop_by_s = time.monotonic() + self._limits.cancel_grace_s
            worker = self._pool.having(job.record.job_id)
            if worker is not None:
                worker.stop_job(job.record.job_id)

    def release(self, job: Job) -> None:
        """Delete a job that is over; one that is being finished is given up."""
        if not job.record.over:
            raise Refusal("not_finished", "The job is not over", "Cancel it first")
        if job.finishing:
            self._abandon(job)
        try:
            self._store.delete(job.record.job_id)
        except OSError as fault:
            raise Refusal("disk", f"The job cannot be deleted ({fault.strerror})") from fault
        del self.jobs[job.record.job_id]

    def assign(self) -> None:
        """Give waiting jobs to idle workers."""
        while self._queue and (worker := self._pool.idle()) is not None:
            job = self.jobs.get(self._queue.popleft())
            if job is not None and job.record.state == "queued":
                self._start(job, worker)

    def _start(self, job: Job, worker: WorkerHandle) -> None:
        record = job.record
        job.worker, job.chunk_count, job.progress = worker.worker_id, 0, None
        job.frames.clear()
        try:
            work = self._store.begin_attempt(record.job_id)
            self._keep(job, replace(record, state="running", attempt=record.attempt + 1))
        except OSError as fault:
            self._end(
                job, "failed", "disk", f"The server cannot write to its disk ({fault.strerror})", "Free space on it"
            )
            return
        path = str(self._store.upload_path(record)) if record.source.kind == "upload" else record.source.path
        attempt, most = job.record.attempt, self._limits.max_frames
        worker.order(RunJob(record.job_id, attempt, path, str(work), most, record.options, record.task))

    def on_progress(self, worker: WorkerHandle, message: JobProgress) -> None:
        """A worker's progress."""
        job = self.jobs.get(message.job_id)
        if job is not None and worker.job_id == message.job_id and (job.finishing or job.record.state == "running"):
            job.progress = replace(message, worker=worker.worker_id)

    def on_chunk(self, worker: WorkerHandle, message: MotionChunk) -> None:
        """Keep a chunk on disk; watchers are served from there."""
        job = self._running(worker, message.job_id)
        if job is None or message.index != job.chunk_count:
            return
        try:
            self._store.write_chunk(message.job_id, message.index, encode(message, "0"))
        except OSError as fault:
            log_event("chunk lost", logging.ERROR, job_id=message.job_id, reason=str(fault))
            return
        job.chunk_count += 1
        job.frames.update(message.frame_index.tolist())

    def on_ended(self, worker: WorkerHandle, message: JobEnded) -> None:
        """A job is over: its files become the result."""
        job = self._running(worker, message.job_id)
        finished = self.jobs.get(message.job_id)
        if finished is not None and finished.finishing and worker.job_id == message.job_id:
            worker.rest()
            self._end_finishing(finished, message)
            return
        worker.rest()
        if job is None:
            self._store.drop_work(message.job_id)  # it was abandoned: its end is known already
            return
        state = {"": "done", "cancelled": "cancelled"}.get(message.code, "failed")
        try:
            self._store.publish(message.job_id, message.files)
        except OSError as fault:
            self._end(
                job, "failed", "output", f"The result cannot be kept ({fault.strerror})", "Free space on the disk"
            )
            return
        job.record = replace(job.record, files=message.files, figures=message.figures, warnings=message.warnings)
        self._end(job, state, message.code, message.message, message.remedy)

    def on_worker_gone(self, worker: WorkerHandle, how: str) -> None:
        """A worker process ended: its job alone fails, or is cancelled if that is why it was ended."""
        job = self.jobs.get(worker.job_id)
        worker.job_id = ""
        if job is not None and job.finishing:
            self._end_finishing(job, None)
        if job is None or job.record.state != "running":
            return
        if job.stop_reason == "cancelled":
            self._end(job, "cancelled", "cancelled", "The work ended while it was being stopped", "")
        elif job.stop_reason == "memory":
            limit = f"{self._limits.memory_bytes / 2**30:.1f} GiB"
            self._end(
                job, "failed", "memory", f"The job needed more than {limit}", "Solve a shorter range, or raise --memory"
            )
        else:
            message = f"The worker process {how} during this job"
            self._end(
                job, "failed", "worker_crashed", message, "Submit it again; if it fails again, report the backend's log"
            )

    def fail_waiting(self, reason: str) -> None:
        """No worker can start: jobs that wait for one end with the reason instead of waiting for ever."""
        for job_id in list(self._queue):
            remedy = "Run: python -m backend doctor, and see the backend's log"
            self._end(self.jobs[job_id], "failed", "no_worker", f"No worker can start: it {reason}", remedy)

    def end_overdue(self, now_s: float) -> None:
        """End what does not stop in time or takes too much memory, and drop what nobody will finish or take."""
        self._pool.end_stubborn(now_s)
        for worker in self._pool.over_memory(self._limits.memory_bytes, now_s):
            job = self.jobs.get(worker.job_id)
            if job is not None and not job.stop_reason:
                job.stop_reason = "memory"
            log_event("worker over its memory", logging.WARNING, worker=worker.worker_id, bytes=worker.memory_bytes)
            worker.kill()
        for job in list(self.jobs.values()):
            if job.stop_by_s is not None and now_s >= job.stop_by_s:
                self._end_overdue_stop(job, now_s)
            elif job.finish_by_s is not None and now_s >= job.finish_by_s:
                self._abandon(job)
                self._end_finishing(job, None)
            elif job.record.state == "receiving" and now_s - job.touched_s > self._limits.upload_idle_s:
                self._end(job, "failed", "upload", "The upload stopped coming", "Submit it again")
            elif job.record.over and time.time() - job.record.ended_unix_s > self._limits.keep_s:
                log_event("result expired", job_id=job.record.job_id)
                self.release(job)

    def _end_overdue_stop(self, job: Job, now_s: float) -> None:
        """A stop that takes longer than a client waits: it is told, and the finished frames may still become a clip."""
        if job.frames and job.record.task == "solve" and self._limits.finish_s > 0:
            job.finish_by_s = now_s + self._limits.finish_s
            self._end(job, "cancelled", "cancelled", "Stopped; what was finished becomes a clip", "")
            return
        self._end(job, "cancelled", "cancelled", "The work did not stop by itself and was dropped", "")
        self._abandon(job)

    def _end_finishing(self, job: Job, message: JobEnded | None) -> None:
        """The clip of a stopped job's finished frames is there, or will not come (None)."""
        job.finish_by_s, job.progress = None, None
        try:
            if message is not None and message.files:
                self._store.publish(job.record.job_id, message.files)
                job.record = replace(
                    job.record, files=message.files, figures=message.figures, warnings=message.warnings
                )
            self._store.save(job.record)
            self._store.drop_work(job.record.job_id)
            self._store.drop_input(job.record)
        except OSError as fault:
            log_event("what was finished is lost", logging.ERROR, job_id=job.record.job_id, reason=str(fault))
        log_event("stopped job finished", job_id=job.record.job_id, files=len(job.record.files))

    def _abandon(self, job: Job) -> None:
        """Have a job's worker drop it, by force if it must."""
        worker = self._pool.having(job.record.job_id)
        if worker is not None:
            worker.abandon(job.record.job_id, time.monotonic() + self._limits.abandon_grace_s)

    def put_back(self) -> None:
        """At a graceful stop: running jobs return to the queue on disk and go on at the next start."""
        for job in self.jobs.values():
            if job.record.state == "running":
                self._set_state(job, "queued")

    def info(self, job: Job) -> JobInfo:
        """A job as clients see it."""
        job_id = job.record.job_id
        return job.info(self._queue.index(job_id) + 1 if job_id in self._queue else 0)

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        return dict(Counter(job.record.state for job in self.jobs.values()))

    def _running(self, worker: WorkerHandle, job_id: str) -> Job | None:
        job = self.jobs.get(job_id)
        return job if job is not None and worker.job_id == job_id and job.record.state == "running" else None

    def _set_state(self, job: Job, state: str) -> None:
        self._keep(job, replace(job.record, state=state))

    def _keep(self, job: Job, record: JobRecord) -> None:
        """On disk first: what a client was told survives this process."""
        self._store.save(record)
        job.record = record

    def _end(self, job: Job, state: str, code: str, message: str, remedy: str) -> None:
        """The one way a job ends. A disk that refuses the record must not keep the job alive in memory."""
        job.record = replace(
            job.record,
            state=state,
            code=code,
            message=message,
            remedy=remedy,
            frames_kept=len(job.frames),
            ended_unix_s=time.time(),
        )
        job.stop_by_s, job.progress, job.stop_reason = None, None, ""
        job.frames.clear()
        if job.record.job_id in self._queue:
            self._queue.remove(job.record.job_id)
        log_event("job ended", job_id=job.record.job_id, state=state, code=code, frames=job.record.frames_kept)
        try:
            self._store.save(job.record)
            if not job.finishing:
                self._store.drop_input(job.record)
        except OSError as fault:
            log_event("job's end cannot be written", logging.ERROR, job_id=job.record.job_id, reason=str(fault))
