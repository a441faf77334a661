"""What the server answers: one method per request. May import `blender_addon.wire` and its own room.

Each method returns the reply or raises RequestRefused; nothing here touches a socket.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from backend.server.auth import AllowList, path_within, token_matches
from backend.server.config import Limits
from backend.server.errors import RequestRefused
from backend.server.job_scheduler import JobScheduler
from backend.server.job_store import JOB_ID, JobRecord, JobStore
from backend.server.jobs import Job
from backend.server.live_policy import LivePolicy
from backend.server.logs import RefusalLedger, log_event
from backend.server.sessions import LOCAL_OWNER, Session
from backend.server.take_policy import check_down, check_take
from backend.server.uploads import append_part, check_upload
from backend.server.worker_pool import WorkerPool
from blender_addon.wire import messages as wire
from blender_addon.wire.codec import MAX_HEADER_BYTES, encode
from blender_addon.wire.transport import KEEP_ALIVE_S, MAX_PART_BYTES

MAX_LISTED = 256
_SHORT_LABEL = 40  # of which a list holds as many, whatever characters they are of
_ROOM_BYTES = 1024  # for what stands around a list
_MOST_NAME_CHARS = 255  # as of a file; labels, messages and warnings quote it, and their texts are bounded
TASKS = ("solve", "people")


@dataclass(frozen=True, slots=True)
class ServerPolicy:
    """What the handlers stands on. `roots` bound the paths that clients may name, None leaves them free."""

    version: str
    token: str
    allow_list: AllowList | None
    roots: tuple[Path, ...] | None
    limits: Limits
    live: LivePolicy = LivePolicy()


class RequestHandlers:
    """Answers requests. `stop_requested` turns true when a local client asks the backend to stop."""

    def __init__(
        self, policy: ServerPolicy, scheduler: JobScheduler, store: JobStore, pool: WorkerPool, ledger: RefusalLedger
    ) -> None:
        self._policy = policy
        self._scheduler = scheduler
        self._store = store
        self._pool = pool
        self._ledger = ledger
        self._started_s = time.monotonic()
        self.stop_requested = False
        self.memory_bytes: Callable[[], int] = lambda: 0
        self._answers: dict[type[Any], Callable[[Session, Any], Any]] = {
            wire.Hello: self._hello,
            wire.Ping: lambda session, request: wire.Pong(),
            wire.Status: self._status,
            wire.Submit: self._submit,
            wire.UploadPart: self._upload_part,
            wire.LiveRecord: self._live_record,
            wire.ListCameras: lambda session, request: wire.CameraList(policy.live.cameras(session.owner)),
            wire.Watch: lambda session, request: self._accepted(self._job(session, request)),
            wire.Cancel: self._cancel,
            wire.ListJobs: self._list_jobs,
            wire.Fetch: self._fetch,
            wire.Release: self._release,
            wire.Shutdown: self._shutdown,
        }

    def answer(self, session: Session, request: Any) -> Any:
        """The reply to a request. Raises RequestRefused."""
        allow_list = self._policy.allow_list
        if allow_list is not None and not allow_list.has_name(session.key_name):
            session.owner = ""  # the key was taken off the list while its connection stood
            raise RequestRefused("denied", "Denied")
        if not session.owner and not isinstance(request, wire.Hello):
            raise RequestRefused("hello_first", "Say hello first")
        return self._answers[type(request)](session, request)

    def _hello(self, session: Session, request: wire.Hello) -> wire.Welcome:
        policy = self._policy
        by_key = policy.allow_list is not None and bool(session.key_name)
        if not (by_key and not request.token) and not token_matches(policy.token, request.token):
            raise RequestRefused("denied", "Denied")
        if not session.owner:
            session.owner = session.key_name or LOCAL_OWNER
            log_event("client came in", owner=session.owner, client=request.client[:100])
        return wire.Welcome(
            server_version=policy.version,
            protocol_major=wire.PROTOCOL_MAJOR,
            protocol_minor=wire.PROTOCOL_MINOR,
            capabilities=(
                "path",
                "upload",
                "preview",
                *TASKS[1:],
                "hands",
                "face",
                *("take", "close_up", "calibration", "gravity"),
                *(("live",) if policy.live.offered else ()),
            ),
            devices=tuple(worker.device for worker in self._pool.workers.values()),
            max_jobs=policy.limits.max_jobs,
            max_frames=policy.limits.max_frames,
            max_part_bytes=MAX_PART_BYTES,
            max_upload_bytes=policy.limits.upload_bytes,
            keep_alive_s=KEEP_ALIVE_S,
        )

    def _status(self, session: Session, request: wire.Status) -> wire.ServerStatus:
        return wire.ServerStatus(
            uptime_s=time.monotonic() - self._started_s,
            memory_bytes=self.memory_bytes(),
            workers=tuple(worker.describe() for worker in self._pool.workers.values()),
            jobs=self._scheduler.counts(),
            refusals=dict(self._ledger.counts),
        )

    def _submit(self, session: Session, request: wire.Submit) -> wire.Accepted:
        if not JOB_ID.fullmatch(request.job_id):
            raise RequestRefused("bad_request", "A job id has 32 lower-case hexadecimal digits")
        if request.task not in TASKS:
            raise RequestRefused("unsupported", f"Unknown task {request.task!r}", f"Ask for {' or '.join(TASKS)}")
        check_down(request.options.gravity_camera)
        check_take(request, self._policy.limits.client_upload_bytes)
        source, *more = (
            self._checked(source, session, request.task) for source in (request.source, *request.more_sources)
        )
        state = "receiving" if "upload" in [one.kind for one in (source, *more)] else "queued"
        record = JobRecord(
            *(request.job_id, session.owner, state, source, request.options, time.time()),
            task=request.task,
            more_sources=tuple(more),
            take=request.take,
        )
        return self._accepted(self._scheduler.add(record))

    def _checked(self, source: wire.Source, session: Session, task: str) -> wire.Source:
        """The source as the job keeps it. Raises RequestRefused for one that this server does not read."""
        if len(source.name) > _MOST_NAME_CHARS:
            raise RequestRefused("bad_source", f"The name of a source has at most {_MOST_NAME_CHARS} characters")
        if source.kind == "path":
            return self._path_source(source)
        if source.kind == "live":
            return self._policy.live.checked(source, session.owner, task)
        if source.kind == "upload":
            check_upload(source, self._policy.limits.upload_bytes)
            return source
        raise RequestRefused("unsupported", f"Sources of kind {source.kind!r} are not offered", "See the capabilities")

    def _path_source(self, source: wire.Source) -> wire.Source:
        """The source with its path checked and, on a server with roots, pinned to the file that it names now."""
        roots = self._policy.roots
        if not Path(source.path).is_absolute():
            raise RequestRefused("bad_source", f"The path {source.path!r} is not absolute", "Give the whole path")
        if roots is None:
            return source
        resolved = path_within(source.path, roots)
        if resolved is None:
            raise RequestRefused("outside_roots", "This server does not read files there", "Upload the video instead")
        return wire.Source("path", str(resolved), source.name or Path(source.path).name)

    def _upload_part(self, session: Session, request: wire.UploadPart) -> wire.Accepted:
        job = self._job(session, request)
        if append_part(self._store, job, request):
            self._scheduler.enqueue_upload(job)
        return self._accepted(job)

    def _live_record(self, session: Session, request: wire.LiveRecord) -> wire.Accepted:
        job = self._job(session, request)
        worker = self._pool.having(job.record.job_id)
        if not job.record.is_live or job.record.state != "running" or worker is None:
            raise RequestRefused("bad_request", "The job is no live capture that runs", "Start one first")
        worker.record_job(job.record.job_id)
        return self._accepted(job)

    def _cancel(self, session: Session, request: wire.Cancel) -> wire.Accepted:
        job = self._job(session, request)
        self._scheduler.cancel(job)
        return self._accepted(job)

    def _list_jobs(self, session: Session, request: wire.ListJobs) -> wire.JobList:
        own = [job for job in self._scheduler.jobs.values() if job.record.owner == session.owner]
        return _that_fits(tuple(self._scheduler.info(job) for job in _listed(own)))

    def _fetch(self, session: Session, request: wire.Fetch) -> wire.ResultPart:
        record = self._job(session, request).record
        if not record.over:
            raise RequestRefused("not_finished", "The job is not over", "Wait for its end")
        if not 0 <= request.file < len(record.files):
            raise RequestRefused(
                "bad_request", f"The result has {len(record.files)} files; file {request.file} does not exist"
            )
        if request.offset < 0 or not 0 < request.size_bytes <= MAX_PART_BYTES:
            raise RequestRefused("bad_request", f"A part starts at 0 or later and has 1 to {MAX_PART_BYTES} bytes")
        try:
            data = self._store.read_result(
                record.job_id, record.files[request.file].name, request.offset, request.size_bytes
            )
        except OSError as fault:
            raise RequestRefused("disk", f"The result cannot be read ({fault.strerror})") from fault
        return wire.ResultPart(record.job_id, request.file, request.offset, np.frombuffer(data, dtype=np.uint8))

    def _release(self, session: Session, request: wire.Release) -> wire.Released:
        self._scheduler.release(self._job(session, request))
        return wire.Released(request.job_id)

    def _shutdown(self, session: Session, request: wire.Shutdown) -> wire.Goodbye:
        if self._policy.allow_list is not None:
            raise RequestRefused("not_local", "A server on the network is stopped on its own machine")
        self.stop_requested = True
        return wire.Goodbye("asked to stop")

    def _job(self, session: Session, request: Any) -> Job:
        return self._scheduler.find(session.owner, request.job_id)

    def _accepted(self, job: Job) -> wire.Accepted:
        return wire.Accepted(self._scheduler.info(job))


def _that_fits(jobs: tuple[wire.JobInfo, ...]) -> wire.JobList:
    """The jobs as a message that a client reads: labels are cut where all of them are too long together."""
    whole = wire.JobList(jobs)
    if len(encode(whole, "")[1]) < MAX_HEADER_BYTES - _ROOM_BYTES:
        return whole
    return wire.JobList(tuple(replace(job, label=job.label[:_SHORT_LABEL]) for job in jobs))


def _listed(jobs: Sequence[Job]) -> list[Job]:
    """The jobs that fit a list, oldest first: all that are not over (uploads go on by it), and the newest others."""
    waiting = [job for job in jobs if not job.record.over][-MAX_LISTED:]
    ended = [job for job in jobs if job.record.over]
    room = MAX_LISTED - len(waiting)
    kept = {job.record.job_id for job in (*waiting, *(ended[-room:] if room else ()))}
    return [job for job in jobs if job.record.job_id in kept]
