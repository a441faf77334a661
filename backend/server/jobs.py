"""A job in memory, and how clients see it. stdlib, `blender_addon.wire` and its own room."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from itertools import count

from backend.server.job_store import JobRecord, JobStore
from backend.server.live_policy import salvaged
from backend.server.logs import log_event
from backend.server.worker_pool import WorkerHandle
from blender_addon.wire.messages import JobInfo, JobProgress, LiveFrame


@dataclass(slots=True)
class Job:
    """A job in memory: its record on disk, and what only matters while it runs.

    `upload_offset` counts in the source at place `upload_place`, of which `digest` is the SHA-256 of the first
    `hashed_bytes`, None where this process did not see them all.
    """

    record: JobRecord
    progress: JobProgress | None = None
    live: LiveFrame | None = None
    chunk_count: int = 0
    frames: set[int] = field(default_factory=set)
    worker: str = ""
    upload_place: int = 0
    upload_offset: int = 0
    digest: hashlib._Hash | None = None
    hashed_bytes: int = 0
    touched_s: float = 0.0
    ended_s: float = 0.0
    stop_by_s: float | None = None
    stop_reason: str = ""
    finish_by_s: float | None = None

    @property
    def finishing(self) -> bool:
        """Whether the job was cancelled, and its worker still makes a clip of the frames that were finished."""
        return self.finish_by_s is not None

    @property
    def missing_bytes(self) -> int:
        """Bytes of a job that receives that are still to come, as far as the uploads come in order."""
        sources = self.record.sources
        ahead = sum(sources[place].size_bytes for place in self.record.uploads if place >= self.upload_place)
        return ahead - self.upload_offset

    def stand_at(self, place: int | None, offset: int) -> None:
        """The upload at `place` (None: all are there) has `offset` bytes now."""
        self.upload_place = self.record.uploads[-1] if place is None else place
        self.upload_offset = self.record.sources[self.upload_place].size_bytes if place is None else offset

    def info(self, position: int) -> JobInfo:
        """As clients see it; `position` is its place in the queue, 0 when it is not there."""
        record, progress = self.record, self.progress
        return JobInfo(
            job_id=record.job_id,
            state=record.state,
            label=record.label[:200],
            submitted_unix_s=record.submitted_unix_s,
            position=position,
            attempt=record.attempt,
            chunk_count=self.chunk_count,
            upload_offset=self.upload_offset,
            worker=self.worker,
            stage=progress.stage if progress else "",
            done=progress.done if progress else 0,
            total=progress.total if progress else 0,
            remaining_s=progress.remaining_s if progress else None,
            upload_source=self.upload_place,
            video=progress.video if progress else 0,
        )


# A job that was running when the server died is tried again; after this many deaths it is held to be the cause.
MAX_DEATHS = 3
# A job whose worker ended is tried again by itself; after this many such ends it is held to be the cause.
MAX_CRASHES = 2
# Of the time between two runs of the server, as its clock tells it, no more than this counts as waiting: a clock that
# was wrong once must not let every result expire.
_MOST_GAP_S = 86_400.0
_MOST_OWNERS = 1024


class JobTable:
    """All jobs of a server, by id, and the ids that wait in order. Opened from the store."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.queue: deque[str] = deque()
        self.jobs: dict[str, Job] = {}
        self._turn = count(1)
        self._served: dict[str, int] = {}  # by client: the turn in which it got a worker last
        for record in store.load():
            self._take_up(record)

    def _take_up(self, record: JobRecord) -> None:
        """A job found on disk at the start: what was under way goes back into the queue."""
        job = self.jobs[record.job_id] = Job(record, touched_s=time.monotonic(), ended_s=time.monotonic())
        if record.state == "receiving" and (place := self._store.next_upload(record)) is not None:
            job.stand_at(place, self._store.received_bytes(record.job_id, place))
        elif not record.over and record.is_live:
            # a camera is never opened again by itself
            self.end_live(job, "server_died", "The server ended during this live capture")
        elif not record.over and not self._store.has_input(record):
            self.end(job, "failed", "upload", "The uploaded video was lost with the machine's power", "Submit it again")
        elif record.state == "running" and record.deaths + 1 >= MAX_DEATHS:
            self.end(job, "failed", "server_died", f"The server ended {MAX_DEATHS} times during this job", "")
        elif not record.over:
            deaths = record.deaths + 1 if record.state == "running" else record.deaths
            self._put_back(job, deaths)
            if record.uploads:
                job.stand_at(None, 0)
            self.queue.append(record.job_id)
            log_event("job taken up again", job_id=record.job_id, attempt=record.attempt)
        else:
            self.drop_work(record.job_id)  # of a stopped job that was being finished
            self._drop_input(record)
            self._take_up_waiting(job)
            job.chunk_count = len(list((self._store.folder / record.job_id).glob("chunks/[0-9]*")))

    def put_back_running(self) -> None:
        """Running jobs return to the queue on disk, to go on at the next start; results remember how long they wait."""
        for job in self.jobs.values():
            if job.record.state == "running":
                self._put_back(job, job.record.deaths)
            elif job.record.over:
                waited_s = self.waited_s(job, time.monotonic())
                self._keep_anyway(job, replace(job.record, waited_s=waited_s, seen_unix_s=time.time()))

    def try_again(self, job: Job) -> bool:
        """Resume a job whose worker ended, before all others of its client; False when it may not be retried."""
        if job.record.crashes + 1 >= MAX_CRASHES:
            return False
        self._keep_anyway(job, replace(job.record, state="queued", crashes=job.record.crashes + 1))
        job.stop_by_s, job.progress, job.stop_reason = None, None, ""
        self.queue.appendleft(job.record.job_id)
        log_event("job tried again", logging.WARNING, job_id=job.record.job_id, attempt=job.record.attempt)
        return True

    def waited_s(self, job: Job, now_s: float) -> float:
        """How long the result of an ended job has waited to be taken, by a clock that does not leap."""
        return job.record.waited_s + max(0.0, now_s - job.ended_s)

    def turns(self) -> list[str]:
        """The ids of waiting jobs in the order in which they get workers: clients take turns, each one's in order.

        A job's rank is the number of its client's jobs that run or wait before it; of equal ranks the client goes
        first that got a worker longest ago.
        """
        before = Counter(job.record.owner for job in self.jobs.values() if job.record.state == "running")
        ranked = []
        for place, job_id in enumerate(self.queue):
            owner = self.jobs[job_id].record.owner
            ranked.append((before[owner], self._served.get(owner, 0), place, job_id))
            before[owner] += 1
        return [job_id for *_, job_id in sorted(ranked)]

    def take_next(self) -> Job:
        """The waiting job whose turn it is, taken from the queue."""
        job = self.jobs[self.turns()[0]]
        self.queue.remove(job.record.job_id)
        self._served.pop(job.record.owner, None)
        self._served[job.record.owner] = next(self._turn)
        while len(self._served) > _MOST_OWNERS:
            del self._served[next(iter(self._served))]
        return job

    def _take_up_waiting(self, job: Job) -> None:
        """A result from before this start goes on waiting."""
        record, now_unix_s = job.record, time.time()
        seen_unix_s = record.seen_unix_s or record.ended_unix_s
        gap_s = min(max(0.0, now_unix_s - seen_unix_s), _MOST_GAP_S)
        self._keep_anyway(job, replace(record, waited_s=record.waited_s + gap_s, seen_unix_s=now_unix_s))

    def _put_back(self, job: Job, deaths: int) -> None:
        self._keep_anyway(job, replace(job.record, state="queued", deaths=deaths))

    def _keep_anyway(self, job: Job, record: JobRecord) -> None:
        """Keep a record; a disk that refuses to hold it must keep no server from starting, going on or ending."""
        try:
            self.keep(job, record)
        except OSError as fault:
            log_event("job's record cannot be written", logging.ERROR, job_id=record.job_id, reason=str(fault))
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
            seen_unix_s=time.time(),
            waited_s=0.0,
        )
        job.ended_s = time.monotonic()
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

    def end_live(self, job: Job, code: str, message: str) -> None:
        """A live capture whose worker or server ended: what was recorded until then is its result."""
        job_id = job.record.job_id
        files = salvaged(self._store.work_folder(job_id))
        try:
            self._store.publish(job_id, files)
        except OSError as fault:
            log_event("live capture is lost", logging.ERROR, job_id=job_id, reason=str(fault))
            files = ()
        job.record = replace(job.record, files=files)
        remedy = "The recording up to then is kept" if files else "Start it again"
        self.end(job, "failed", code, message, remedy)

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
