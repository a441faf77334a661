"""Who follows which job, and how far they were served. May import `blender_addon.wire` and its own room.

Nothing is queued per subscription: a subscription is a cursor into the job's chunks on disk, so that a client that is
slow or away costs no memory and misses nothing. Progress is only ever the latest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backend.server.job_scheduler import JobScheduler
from backend.server.job_store import JobRecord, JobStore
from backend.server.jobs import Job
from blender_addon.wire.codec import FROM_SERVER, decode
from blender_addon.wire.messages import Done, Failed, JobCancelled, JobProgress, LiveFrame

# Chunks to one subscription in one round, so that one long clip does not keep the others waiting.
_CHUNKS_PER_ROUND = 8

# Sends one message to a connection as the answer to a request; False when its queue is full.
Sender = Callable[[bytes, str, Any], bool]


@dataclass(slots=True)
class Subscription:
    """One client's view of one job: the request to answer, and what it has already."""

    identity: bytes
    request: str
    attempt: int
    next_chunk: int
    progress: JobProgress | None = None
    live: LiveFrame | None = None
    told_end: bool = False


class Subscriptions:
    """All subscriptions."""

    def __init__(self, scheduler: JobScheduler, store: JobStore, send: Sender) -> None:
        self._scheduler = scheduler
        self._store = store
        self._send = send
        self._subscriptions: dict[tuple[bytes, str], Subscription] = {}

    def follow(self, subscription: Subscription, job_id: str) -> None:
        """Serve this job's news from now on; a second watch of the same client replaces its first."""
        self._subscriptions[(subscription.identity, job_id)] = subscription

    def drop_gone(self, known: Callable[[bytes], bool]) -> None:
        """Forget the subscriptions of connections that are gone."""
        for key in [key for key in self._subscriptions if not known(key[0])]:
            del self._subscriptions[key]

    def serve(self) -> bool:
        """Send what is new; True when something still waits for a full queue or for the next round."""
        waiting = False
        for key, subscription in list(self._subscriptions.items()):
            job = self._scheduler.jobs.get(key[1])
            if job is None:
                del self._subscriptions[key]
                continue
            served, more = self._serve_one(subscription, job)
            waiting |= more
            if served and job.record.over and not job.finishing:
                self._subscriptions.pop(key, None)
        return waiting

    def _serve_one(self, subscription: Subscription, job: Job) -> tuple[bool, bool]:
        """(everything was sent, something waits)."""
        if subscription.attempt != job.record.attempt:
            subscription.attempt, subscription.next_chunk = job.record.attempt, 0
        last = min(job.chunk_count, subscription.next_chunk + _CHUNKS_PER_ROUND)
        while subscription.next_chunk < last:
            chunk = self._chunk(job, subscription.next_chunk)
            if chunk is not None and not self._send(subscription.identity, subscription.request, chunk):
                return False, True
            subscription.next_chunk += 1
        if subscription.next_chunk < job.chunk_count:
            return False, True
        if job.live is not None and job.live is not subscription.live and not job.record.over:
            # the newest pose only: one that finds the queue full is dropped
            self._send(subscription.identity, subscription.request, job.live)
            subscription.live = job.live
        if job.record.over and not (job.finishing and subscription.told_end):
            sent = self._send(
                subscription.identity, subscription.request, ending_of(job.record, job.worker, job.finishing)
            )
            subscription.told_end = sent
            return sent, not sent
        if job.progress is not None and job.progress is not subscription.progress:
            if not self._send(subscription.identity, subscription.request, job.progress):
                return False, True
            subscription.progress = job.progress
        return True, False

    def _chunk(self, job: Job, index: int) -> Any:
        """A chunk from disk; None when the disk lost it, which a later chunk or the clip makes good."""
        try:
            return decode(self._store.read_chunk(job.record.job_id, index), FROM_SERVER).message
        except (OSError, ValueError):
            return None


def ending_of(record: JobRecord, worker: str, finishing: bool = False) -> Done | Failed | JobCancelled:
    """The message that ends a job."""
    if record.state == "done":
        return Done(record.job_id, record.attempt, record.files, record.figures, record.warnings, worker)
    if record.state == "cancelled":
        return JobCancelled(record.job_id, record.attempt, record.frames_kept, record.files, finishing)
    return Failed(record.job_id, record.attempt, record.code, record.message, record.remedy, record.files)


def subscription_of(identity: bytes, request: str, attempt: int = 0, next_chunk: int = 0) -> Subscription:
    """A subscription that has the chunks before `next_chunk` of `attempt`."""
    return Subscription(identity, request, attempt, max(0, next_chunk))
