"""The table of jobs: every job, its state on disk and in memory, its place in the queue. No decisions.

May import stdlib and its own room. Times are `time.monotonic()` seconds unless they say unix.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import replace

from backend.server.job_store import JobRecord, JobStore
from backend.server.jobs import Job
from backend.server.logs import log_event
from backend.server.worker_pool import WorkerHandle

# A job that was running when the server died is tried again; after this many deaths it is held to be the cause.
MAX_DEATHS = 3


class JobTable:
    """All jobs of a server, by id, and the ids that wait in order. Opened from the store."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.queue: deque[str] = deque()
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
            self.end(job, "failed", "server_died", f"The server ended {MAX_DEATHS} times during this job", "")
        elif not record.over:
            deaths = record.deaths + 1 if record.state == "running" else record.deaths
            self._put_back(job, deaths)
            self.queue.append(record.job_id)
            log_event("job taken up again", job_id=record.job_id, attempt=record.attempt)
        else:
            self.drop_work(record.job_id)  # of a stopped job that was being finished
            self._drop_input(record)
            job.chunk_count = len(list((self._store.folder / record.job_id).glob("chunks/[0-9]*")))

    def put_back_running(self) -> None:
        """Running jobs return to the queue on disk, to go on at the next start."""
        for job in self.jobs.values():
            if job.record.state == "running":
                self._put_back(job, job.record.deaths)

    def _put_back(self, job: Job, deaths: int) -> None:
        """Back to the queue; a disk that refuses to hold that must keep no server from starting or ending."""
        record = replace(job.record, state="queued", deaths=deaths)
        try:
            self.keep(job, record)
        except OSError as fault:
            log_event("job's return cannot be written", logging.ERROR, job_id=record.job_id, reason=str(fault))
            job.record = record

    def running(self, worker: WorkerHandle, job_id: str) -> Job | None:
        """The job, if it runs and this worker has it."""
        job = self.jobs.get(job_id)
        return job if job is not None and worker.job_id == job_id and job.record.state == "running" else None

    def set_state(self, job: Job, state: str) -> None:
        """Another state, on disk and in memory."""
        self.keep(job, replace(job.record, state=state))

    def keep(self, job: Job, record: JobRecord) -> None:
        """On disk first: what a client was told survives this process."""
        self._store.save(record)
        job.record = record

    def end(self, job: Job, state: str, code: str, message: str, remedy: str) -> None:
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
        if job.record.job_id in self.queue:
            self.queue.remove(job.record.job_id)
        log_event("job ended", job_id=job.record.job_id, state=state, code=code, frames=job.record.frames_kept)
        try:
            self._store.save(job.record)
        except OSError as fault:
            log_event("job's end cannot be written", logging.ERROR, job_id=job.record.job_id, reason=str(fault))
        if not job.finishing:
            self._drop_input(job.record)

    def drop_work(self, job_id: str) -> None:
        """Remove what an abandoned attempt wrote, as far as the disk lets go of it."""
        try:
            self._store.drop_work(job_id)
        except OSError as fault:
            log_event("work cannot be removed", logging.WARNING, job_id=job_id, reason=str(fault))

    def _drop_input(self, record: JobRecord) -> None:
        try:
            self._store.drop_input(record)
        except OSError as fault:
            log_event("upload cannot be removed", logging.WARNING, job_id=record.job_id, reason=str(fault))
