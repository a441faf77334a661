"""The server's loop: one ROUTER socket, the workers' inbox, the key judge; everything in one thread.

May import zmq, psutil, `blender_addon.wire` and its own room. `run` is the table of contents.
"""

from __future__ import annotations

import logging
import os
import time
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import zmq

from backend.errors import BadInputError, ServiceError
from backend.files import ConnectionFileLock, FolderLock
from backend.server.auth import AllowList, KeyPair, new_token, read_server_keys
from backend.server.config import BindAddress, ServerConfig, parse_bind
from backend.server.connections import Connections, connection_limit, raise_descriptor_limit
from backend.server.errors import RequestRefused
from backend.server.handlers import RequestHandlers, ServerPolicy
from backend.server.job_scheduler import JobScheduler
from backend.server.job_store import JobStore
from backend.server.job_supervisor import JobSupervisor
from backend.server.jobs import JobTable
from backend.server.live_policy import LivePolicy
from backend.server.logs import LOGGER, RefusalLedger, log_event
from backend.server.router import Arrival, RouterSocket, SendQueue
from backend.server.sessions import MAX_DENIALS, Session, Sessions
from backend.server.subscriptions import Subscriptions, subscription_of
from backend.server.upload_cache import UploadCache
from backend.server.worker_pool import WorkerPool, WorkerReport
from backend.server.worker_protocol import JobEnded, Ready
from blender_addon.wire import messages as wire
from blender_addon.wire.codec import FROM_CLIENT, Envelope, decode, decode_hello, encode, request_id_of
from blender_addon.wire.connection_file import (
    ConnectionFileError,
    ConnectionInfo,
    read_connection_file,
    write_connection_file,
)
from blender_addon.wire.errors import UnknownKindError, VersionError, WireError
from blender_addon.wire.interpreter import LAUNCH_ID_VARIABLE
from blender_addon.wire.transport import SESSION_LIFETIME_S

_IDLE_WAIT_MS = 50
_BUSY_WAIT_MS = 5
_BATCH = 64
_HOUSEKEEPING_S = 0.1
_NEWS = (wire.MotionChunk, wire.LiveFrame, wire.JobProgress, wire.Done, wire.Failed, wire.JobCancelled)


class Service:
    """A running backend. Make it, `run` it; `stop` may be called from a signal handler."""

    def __init__(self, config: ServerConfig, version: str) -> None:
        self._config = config
        self._version = version
        self._address = parse_bind(config.bind)
        self._keys, self._allow_list = _credentials(config, self._address)
        self._token = new_token()
        self._stopping = ""
        self._ids = count(1)
        self._next_housekeeping_s = 0.0
        self._lock = FolderLock(config.data_dir)
        try:
            self._file_lock = ConnectionFileLock(config.connection_file)
        except ServiceError:
            self._lock.release()
            raise
        self._context: zmq.Context[Any] = zmq.Context()
        self._ledger = RefusalLedger()
        self._sessions = Sessions()
        self._pool = WorkerPool(config.devices, config.worker_command, self._context)
        limits = config.limits
        self._kept = UploadCache(
            config.data_dir / "uploads", limits.keep_upload_s, limits.upload_bytes, limits.free_disk_bytes
        )
        self._kept.sweep(time.monotonic())  # what a killed server left must not keep this one from writing
        store = JobStore(config.data_dir / "jobs", self._kept)
        self._table = JobTable(store)
        self._scheduler = JobScheduler(self._table, store, self._pool, limits)
        self._supervisor = JobSupervisor(self._table, store, self._pool, limits)
        # without roots, only a server that nobody but its own user can reach reads every file of that user
        private = self._address.loopback and config.keys_dir is None
        roots = config.roots if config.roots or not private else None
        policy = ServerPolicy(
            version, self._token, self._allow_list, roots, limits, LivePolicy.of_server(config.live, private)
        )
        self._handlers = RequestHandlers(policy, self._scheduler, store, self._pool, self._ledger)
        self._handlers.memory_bytes = _own_memory_bytes
        self._subscriptions = Subscriptions(self._scheduler, store, self._send)
        connections = Connections(connection_limit(raise_descriptor_limit(), limits.max_connections))
        self._router = RouterSocket(self._context, self._keys, self._allow_list, self._ledger, connections)
        store.free_descriptors = self._router.free_descriptors
        self._send_queue = SendQueue(self._router.send)
        self._owner = _process(config.owner_pid)

    def stop(self, reason: str) -> None:
        """Ask the loop to end."""
        self._stopping = self._stopping or reason

    def run(self) -> None:
        """Listen until stopped; jobs under way are kept on disk and go on at the next start."""
        try:
            endpoint = self._router.open(self._address)
            self._announce(endpoint)
            waiting = False
            while not self._stopping:
                self._router.wait(self._pool.inbox, _BUSY_WAIT_MS if waiting else _IDLE_WAIT_MS)
                waiting = self._go_round()
        finally:
            self._close()

    def _go_round(self) -> bool:
        """One round of the loop; True when something waits.

        Neither what the system refuses for a while nor a bug ends the server: what failed was taken from its queue
        already, so that it does not fail again in the next round.
        """
        try:
            for identity in self._router.take_left():
                self._sessions.drop(identity)
            self._hear_workers()
            self._hear_clients()
            self._scheduler.assign()
            self._send_queue.flush()
            waiting = self._subscriptions.serve() or bool(self._send_queue)
            self._keep_house()
        except OSError as fault:
            log_event("the system refuses", logging.ERROR, reason=str(fault))
        except Exception:  # the loop's border
            LOGGER.exception("round failed")
        else:
            return waiting
        time.sleep(_IDLE_WAIT_MS / 1000.0)
        return True

    def _announce(self, endpoint: str) -> None:
        public_key = self._keys.public if self._keys else ""
        info = ConnectionInfo(
            endpoint,
            self._token,
            server_public_key=public_key,
            pid=os.getpid(),
            server_version=self._version,
            launch_id=os.environ.pop(LAUNCH_ID_VARIABLE, ""),  # of this process alone, not of what it starts
        )
        write_connection_file(info, self._config.connection_file)
        log_event("listening", endpoint=endpoint, encrypted=bool(public_key), version=self._version, pid=os.getpid())

    def _hear_clients(self) -> None:
        for _ in range(_BATCH):
            arrival = self._router.receive()
            if arrival is None:
                return
            self._handle(arrival)

    def _handle(self, arrival: Arrival) -> None:
        """One message in, one reply out: the border where everything that can be wrong becomes a refusal."""
        now_s = time.monotonic()
        identity, frames = arrival.identity, arrival.frames
        session = self._sessions.of(identity, arrival.key_name, now_s)
        try:
            session.spend(self._config.limits.rate_per_s, now_s)
            envelope = _read(frames, admitted=bool(session.owner))
            reply = self._handlers.answer(session, envelope.message)
            if isinstance(reply, wire.Welcome):
                self._router.admit(arrival)
            self._send(identity, envelope.message_id, reply)
            self._follow(identity, envelope.message_id, envelope.message)
        except WireError as fault:
            self._refuse(session, frames, RequestRefused(fault.code, fault.message, fault.remedy), fault)
        except RequestRefused as refusal:
            self._refuse(session, frames, refusal, None)
        except Exception as fault:  # the server's border: a bug refuses one message and ends nothing
            LOGGER.exception("message failed", extra={"fields": {"peer": identity.hex()}})
            words = f"Internal error: {type(fault).__name__}"
            self._refuse(session, frames, RequestRefused("internal", words, "Report this with the backend's log"), None)

    def _follow(self, identity: bytes, request_id: str, request: Any) -> None:
        if isinstance(request, wire.Submit):
            self._subscriptions.follow(subscription_of(identity, request_id), request.job_id)
        elif isinstance(request, wire.Watch):
            subscription = subscription_of(identity, request_id, request.attempt, request.next_chunk)
            self._subscriptions.follow(subscription, request.job_id)

    def _refuse(self, session: Session, frames: list[bytes], refusal: RequestRefused, fault: WireError | None) -> None:
        """Count, log and tell. Who has not come in learns nothing but the version, and soon not even that."""
        self._ledger.add(refusal.code, refusal.message, session.identity.hex())
        if not session.owner:
            session.denials += 1
            if session.denials > MAX_DENIALS:
                return
            if refusal.code not in ("denied", "hello_first") and not isinstance(fault, VersionError):
                refusal = RequestRefused("denied", "Denied")
        reply = wire.Refused(refusal.code, refusal.message[:2000], refusal.remedy, refusal.retry_after_s)
        self._send(session.identity, request_id_of(frames, admitted=bool(session.owner)), reply)

    def _send(self, identity: bytes, request: str, message: Any) -> bool:
        """Send without waiting; a reply to who is gone is dropped with their session, who may ask again."""
        frames = encode(message, str(next(self._ids)), request)
        is_news = isinstance(message, _NEWS)
        outcome = self._send_queue.news(identity, frames) if is_news else self._send_queue.reply(identity, frames)
        if outcome is None:
            self._sessions.drop(identity)
            return True
        if outcome:
            self._sessions.touch(identity, time.monotonic())
        if not outcome and not is_news:
            self._ledger.add("slow_client", "its queue is full", identity.hex())
        return outcome

    def _hear_workers(self) -> None:
        for _ in range(_BATCH):
            report = self._pool.receive()
            if report is None:
                return
            self._on_report(report)

    def _on_report(self, report: WorkerReport) -> None:
        worker, message = self._pool.workers[report.worker_id], report.message
        if message is None:
            how = worker.reap()
            log_event("worker ended", logging.WARNING, worker=worker.worker_id, how=how, job_id=worker.job_id)
            self._supervisor.on_worker_gone(worker, how)
            if self._pool.hopeless():
                self._supervisor.fail_waiting(how)
        elif isinstance(message, Ready):
            worker.device, worker.failures = message.device, 0
            worker.rest()
            log_event("worker ready", worker=worker.worker_id, device=message.device, warm_up_s=message.warm_up_s)
        elif isinstance(message, wire.JobProgress):
            self._supervisor.on_progress(worker, message)
        elif isinstance(message, wire.MotionChunk):
            self._supervisor.on_chunk(worker, message)
        elif isinstance(message, wire.LiveFrame):
            self._supervisor.on_live(worker, message)
        elif isinstance(message, JobEnded):
            self._supervisor.on_ended(worker, message)

    def _keep_house(self) -> None:
        now_s = time.monotonic()
        if now_s < self._next_housekeeping_s:
            return
        self._next_housekeeping_s = now_s + _HOUSEKEEPING_S
        refused = self._pool.start_due(now_s)
        if refused and self._pool.hopeless():
            self._supervisor.fail_waiting(refused)
        self._supervisor.end_overdue(now_s)
        self._kept.sweep(now_s)
        self._sessions.expire(SESSION_LIFETIME_S, now_s)
        self._subscriptions.drop_gone(self._sessions.known)
        self._ledger.tick(now_s)
        if self._handlers.stop_requested:
            self.stop("a client asked for it")
        if self._config.owner_pid and not _alive(self._owner):
            self.stop("the program that started it is gone")

    def _close(self) -> None:
        """End in order: tell who listens, end the workers, keep the jobs, remove the connection file."""
        log_event("stopping", reason=self._stopping or "error")
        for session in self._sessions:
            if session.owner:
                self._send(session.identity, "", wire.Goodbye(self._stopping or "error"))
        self._pool.stop()
        self._table.put_back_running()
        self._kept.clear()
        self._ledger.flush()
        self._router.close()
        _remove_own(self._config.connection_file, self._token)
        self._context.term()
        self._file_lock.release()
        self._lock.release()
        log_event("stopped", refusals=dict(self._ledger.counts))


def _credentials(config: ServerConfig, address: BindAddress) -> tuple[KeyPair | None, AllowList | None]:
    """Keys and allow-list; none on loopback unless a keys folder is named. Raises ServiceError, BadInputError."""
    if config.keys_dir is None:
        if not address.loopback:
            raise BadInputError(
                f"{address.endpoint} can be reached from other machines, which needs keys",
                "Run: python -m backend keys create, then serve with --keys DIR",
            )
        return None, None
    allow_list = AllowList(config.keys_dir)
    if not allow_list.clients():
        raise ServiceError(f"No client is allowed in {allow_list.path}", "Run: python -m backend keys add-client NAME")
    return read_server_keys(config.keys_dir), allow_list


def _read(frames: list[bytes], admitted: bool) -> Envelope:
    """The message in `frames`. Nothing but a hello is decoded for a client that is not admitted.

    Raises WireError, RequestRefused.
    """
    if admitted:
        return decode(frames, FROM_CLIENT)
    try:
        return decode_hello(frames)
    except UnknownKindError as fault:
        raise RequestRefused("hello_first", "Say hello first") from fault


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid) if pid else None
    except psutil.Error:
        return None


def _alive(process: psutil.Process | None) -> bool:
    try:
        return process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
    except OSError:
        return True  # the system has no descriptor to look with; it is asked again


def _own_memory_bytes() -> int:
    try:
        return int(psutil.Process().memory_info().rss)
    except (OSError, psutil.Error):
        return 0


def _remove_own(path: Path, token: str) -> None:
    """Remove the connection file, unless it is another server's by now."""
    try:
        if read_connection_file(path).token == token:
            path.unlink(missing_ok=True)
    except ConnectionFileError as fault:
        log_event("connection file is not this server's any more", logging.WARNING, reason=str(fault))
    except OSError as fault:
        log_event("connection file cannot be removed", logging.WARNING, reason=str(fault))
