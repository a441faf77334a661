"""The job scheduler: what clients may do with jobs, and which job is next. The disk and the workers carry out.

May import stdlib, `blender_addon.wire` and its own room. What workers tell is the supervisor's.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from backend.server.config import Limits
from backend.server.errors import RequestRefused
from backend.server.job_store import JobRecord, JobStore
from backend.server.jobs import Job, JobTable
from backend.server.logs import log_event
from backend.server.worker_pool import WorkerHandle, WorkerPool
from backend.server.worker_protocol import RunJob
from blender_addon.wire.codec import MAX_HEADER_BYTES, encode
from blender_addon.wire.messages import JobInfo, Source

# Ended jobs that wait to be taken, per unfinished job that is allowed.
_KEPT_PER_JOB = 32


class JobScheduler:
    """All jobs of a server, as clients meet them. Methods that answer a client raise RequestRefused."""

    def __init__(self, table: JobTable, store: JobStore, pool: WorkerPool, limits: Limits) -> None:
        self._table = table
        self._store = store
        self._pool = pool
        self._limits = limits

    @property
    def jobs(self) -> dict[str, Job]:
        """Every job by its id, oldest first."""
        return self._table.jobs

    def find(self, owner: str, job_id: str) -> Job:
        """A client's own job; another's is as unknown as one that never was."""
        job = self._table.jobs.get(job_id)
        if job is None or job.record.owner != owner:
            raise RequestRefused(
                "unknown_job", f"There is no job {job_id!r}", "It was released, or belongs to another client"
            )
        return job

    def add(self, record: JobRecord) -> Job:
        """Take a new job in; the same request again is the same job."""
        known = self._table.jobs.get(record.job_id)
        if known is not None:
            kept = known.record
            if _asked(kept) != _asked(record):
                raise RequestRefused("job_conflict", f"The job id {record.job_id} is taken", "Use a new random id")
            return known
        self._check_size(record)
        self._check_share(record)
        self._check_room(record)
        job = Job(record, touched_s=time.monotonic())
        try:
            self._store.save(record)
        except OSError as fault:
            raise RequestRefused("disk", _cannot_write(fault), "Free space on it") from fault
        self._table.jobs[record.job_id] = job
        if record.state == "queued":
            self._table.queue.append(record.job_id)
        elif record.state == "receiving":
            self._begin_receiving(job)
        log_event("job submitted", job_id=record.job_id, owner=record.owner, source=record.source.kind)
        return job

    def _begin_receiving(self, job: Job) -> None:
        """Uploads that were kept are there already; the first that is not is waited for."""
        kept = self._store.take_kept(job.record)
        if kept:
            log_event("upload used again", job_id=job.record.job_id, videos=kept)
        place = self._store.next_upload(job.record)
        job.stand_at(place, 0)
        if place is None:
            self.enqueue_upload(job)

    def _check_size(self, record: JobRecord) -> None:
        """Raise RequestRefused where a worker could not read the order: it says more than the request did."""
        order = encode(self._order_of(record, self._store.work_folder(record.job_id)), "0")
        if len(order[1]) > MAX_HEADER_BYTES:
            raise RequestRefused("too_large", "The texts of the job are too long together", "Give shorter names")

    def _check_share(self, record: JobRecord) -> None:
        """Raise RequestRefused where a client's own jobs and uploads would take more than its share."""
        own = [job.record for job in self._table.jobs.values() if job.record.owner == record.owner]
        unfinished = [kept for kept in own if not kept.over]
        if len(unfinished) >= self._limits.client_jobs:
            raise RequestRefused(
                "queue_full", f"{len(unfinished)} of your jobs are waiting or running", "Try again later", 1.0
            )
        if len(own) >= self._limits.client_jobs * _KEPT_PER_JOB:
            raise RequestRefused("queue_full", f"{len(own)} of your results wait to be taken", "Release some", 10.0)
        announced = sum(kept.upload_bytes for kept in (*unfinished, record))
        if record.uploads and announced > self._limits.client_upload_bytes:
            raise RequestRefused(
                "queue_full",
                f"Uploads for your jobs would take {announced} bytes, {self._limits.client_upload_bytes} are allowed",
                "Wait for the end of a job",
                10.0,
            )

    def _check_room(self, record: JobRecord) -> None:
        unfinished = sum(1 for job in self._table.jobs.values() if not job.record.over)
        if unfinished >= self._limits.max_jobs:
            raise RequestRefused("queue_full", f"{unfinished} jobs are waiting or running", "Try again later", 1.0)
        if len(self._table.jobs) >= self._limits.max_jobs * _KEPT_PER_JOB:
            raise RequestRefused(
                "queue_full", f"{len(self._table.jobs)} results wait to be taken", "Release some", 10.0
            )
        needed = self._limits.free_disk_bytes + self._still_to_come(record)
        if self._store.free_bytes() < needed:
            self._store.kept.clear()
        if self._store.free_bytes() < needed:
            raise RequestRefused("disk", "The server's disk is full", "Free space on it, or release results", 10.0)

    def _still_to_come(self, record: JobRecord) -> int:
        """Bytes that uploads were promised room for, the new one's among them."""
        receiving = [job for job in self._table.jobs.values() if job.record.state == "receiving"]
        return sum(job.missing_bytes for job in receiving) + record.upload_bytes

    def enqueue_upload(self, job: Job) -> None:
        """An upload is complete: the job may run, or fails where the disk refuses to say so."""
        try:
            self._table.set_state(job, "queued")
        except OSError as fault:
            self._table.end(job, "failed", "disk", _cannot_write(fault), "Free space on it")
            return
        self._table.queue.append(job.record.job_id)

    def cancel(self, job: Job) -> None:
        """Stop a job: at once while it waits; through its worker while it runs."""
        if job.record.state in ("receiving", "queued"):
            self._table.end(job, "cancelled", "cancelled", "Stopped before it began", "")
        elif job.record.state == "running" and not job.stop_reason:
            job.stop_reason = "cancelled"
            job.stop_by_s = time.monotonic() + self._limits.cancel_grace_s
            worker = self._pool.having(job.record.job_id)
            if worker is not None:
                worker.stop_job(job.record.job_id)

    def release(self, job: Job) -> None:
        """Delete a job that is over; one that is being finished is given up."""
        if not job.record.over:
            raise RequestRefused("not_finished", "The job is not over", "Cancel it first")
        if job.finishing:
            self._pool.abandon(job.record.job_id, self._limits.abandon_grace_s)
        try:
            self._store.delete(job.record.job_id)
        except OSError as fault:
            raise RequestRefused("disk", f"The job cannot be deleted ({fault.strerror})") from fault
        del self._table.jobs[job.record.job_id]

    def assign(self) -> None:
        """Give waiting jobs to idle workers; clients take turns."""
        while self._table.queue and (worker := self._pool.idle()) is not None:
            job = self._table.take_next()
            if job.record.state == "queued":
                self._start(job, worker)

    def _start(self, job: Job, worker: WorkerHandle) -> None:
        record = job.record
        job.worker, job.chunk_count, job.progress = worker.worker_id, 0, None
        job.frames.clear()
        try:
            work = self._store.begin_attempt(record.job_id)
            self._table.keep(job, replace(record, state="running", attempt=record.attempt + 1))
        except OSError as fault:
            self._table.end(job, "failed", "disk", _cannot_write(fault), "Free space on it")
            return
        worker.order(self._order_of(job.record, work))

    def _order_of(self, record: JobRecord, work: Path) -> RunJob:
        """What a worker is told of a job."""
        path, attempt, most = self._store.input_path(record), record.attempt, self._limits.max_frames
        live = record.source if record.is_live else Source("")
        order = RunJob(record.job_id, attempt, path, str(work), most, record.options, record.task, live)
        if record.more_sources:
            videos = tuple(
                replace(source, path=self._store.input_path(record, place))
                for place, source in enumerate(record.sources)
            )
            order = replace(order, videos=videos, take=record.take)
        return order

    def info(self, job: Job) -> JobInfo:
        """A job as clients see it."""
        job_id = job.record.job_id
        return job.info(self._table.turns().index(job_id) + 1 if job_id in self._table.queue else 0)

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        return dict(Counter(job.record.state for job in self._table.jobs.values()))


def _asked(record: JobRecord) -> tuple[object, ...]:
    """What makes two submits the same job."""
    return record.owner, record.sources, record.options, record.task, record.take


def _cannot_write(fault: OSError) -> str:
    return f"The server cannot write to its disk ({fault.strerror})"
