"""The supervisor: what workers tell about jobs, and jobs that take too long, too much, or are wanted no more.

May import stdlib, `blender_addon.wire` and its own room. Times are `time.monotonic()` seconds unless they say unix.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from backend.server.config import Limits
from backend.server.job_store import JobStore
from backend.server.jobs import Job, JobTable
from backend.server.live_policy import salvaged
from backend.server.logs import log_event
from backend.server.worker_pool import WorkerHandle, WorkerPool
from backend.server.worker_protocol import JobEnded
from blender_addon.wire.codec import encode
from blender_addon.wire.messages import JobProgress, LiveFrame, MotionChunk


class JobSupervisor:
    """Turns the reports of workers, and the passing of time, into states of jobs."""

    def __init__(self, table: JobTable, store: JobStore, pool: WorkerPool, limits: Limits) -> None:
        self._table = table
        self._store = store
        self._pool = pool
        self._limits = limits

    def on_progress(self, worker: WorkerHandle, message: JobProgress) -> None:
        """A worker's progress."""
        job = self._table.jobs.get(message.job_id)
        if job is not None and worker.job_id == message.job_id and (job.finishing or job.record.state == "running"):
            job.progress = replace(message, worker=worker.worker_id)

    def on_live(self, worker: WorkerHandle, message: LiveFrame) -> None:
        """The newest pose of a live job; watchers get it or a later one."""
        job = self._table.running(worker, message.job_id)
        if job is not None:
            job.live = message

    def on_chunk(self, worker: WorkerHandle, message: MotionChunk) -> None:
        """Keep a chunk on disk; watchers are served from there."""
        job = self._table.running(worker, message.job_id)
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
        job = self._table.running(worker, message.job_id)
        finished = self._table.jobs.get(message.job_id)
        if finished is not None and finished.finishing and worker.job_id == message.job_id:
            worker.rest()
            self._end_finishing(finished, message)
            return
        worker.rest()
        if job is None:
            self._table.drop_work(message.job_id)  # it was abandoned: its end is known already
            return
        state = {"": "done", "cancelled": "cancelled"}.get(message.code, "failed")
        try:
            self._store.publish(message.job_id, message.files)
        except OSError as fault:
            self._table.end(
                job, "failed", "output", f"The result cannot be kept ({fault.strerror})", "Free space on the disk"
            )
            return
        job.record = replace(job.record, files=message.files, figures=message.figures, warnings=message.warnings)
        self._table.end(job, state, message.code, message.message, message.remedy)

    def on_worker_gone(self, worker: WorkerHandle, how: str) -> None:
        """A worker process ended: its job goes on with another one once, unless it was ended for the job's own sake."""
        job = self._table.jobs.get(worker.job_id)
        worker.job_id = ""
        if job is not None and job.finishing:
            self._end_finishing(job, None)
        if job is None or job.record.state != "running":
            return
        if job.record.is_live:
            code = job.stop_reason if job.stop_reason in ("memory", "stalled") else "worker_crashed"
            self._table.end_live(job, code, f"The worker process {how} during the live capture")
        elif job.stop_reason == "cancelled":
            self._table.end(job, "cancelled", "cancelled", "The work ended while it was being stopped", "")
        elif job.stop_reason == "memory":
            limit = f"{self._limits.memory_bytes / 2**30:.1f} GiB"
            self._table.end(
                job, "failed", "memory", f"The job needed more than {limit}", "Solve a shorter range, or raise --memory"
            )
        elif job.stop_reason == "stalled":
            self._table.end(
                job,
                "failed",
                "stalled",
                f"The video gave no data for {self._limits.stall_s:g} s",
                "Check that its disk or network share answers and that it is a file, not a pipe",
            )
        elif not self._table.try_again(job):
            message = f"The worker process {how} during this job, as one did before"
            self._table.end(
                job, "failed", "worker_crashed", message, "Submit it again; if it fails again, report the backend's log"
            )

    def fail_waiting(self, reason: str) -> None:
        """No worker can start: jobs that wait for one end with the reason instead of waiting for ever."""
        for job_id in list(self._table.queue):
            remedy = "Run: python -m backend doctor, and see the backend's log"
            self._table.end(
                self._table.jobs[job_id], "failed", "no_worker", f"No worker can start: it {reason}", remedy
            )

    def end_overdue(self, now_s: float) -> None:
        """End what does not stop in time or takes too much memory, and drop what nobody will finish or take."""
        self._pool.end_stubborn(now_s)
        for worker, how in self._pool.lost(now_s):
            self.on_worker_gone(worker, how)
        for worker in self._pool.stalled(self._limits.stall_s, now_s):
            job = self._table.jobs.get(worker.job_id)
            if job is not None and not job.stop_reason:
                job.stop_reason = "stalled"
            log_event("worker stalled", logging.WARNING, worker=worker.worker_id, job_id=worker.job_id)
            worker.kill()
        for worker in self._pool.over_memory(self._limits.memory_bytes, now_s):
            job = self._table.jobs.get(worker.job_id)
            if job is not None and not job.stop_reason:
                job.stop_reason = "memory"
            log_event("worker over its memory", logging.WARNING, worker=worker.worker_id, bytes=worker.memory_bytes)
            worker.kill()
        for job in list(self._table.jobs.values()):
            if job.stop_by_s is not None and now_s >= job.stop_by_s:
                self._end_overdue_stop(job, now_s)
            elif job.finish_by_s is not None and now_s >= job.finish_by_s:
                self._abandon(job)
                self._end_finishing(job, None)
            elif job.record.state == "receiving" and now_s - job.touched_s > self._limits.upload_idle_s:
                self._table.end(job, "failed", "upload", "The upload stopped coming", "Submit it again")
            elif job.record.over and self._table.waited_s(job, now_s) > self._limits.keep_s:
                self._expire(job)

    def _expire(self, job: Job) -> None:
        """Delete a result that nobody took; where the disk refuses, the next start tries again."""
        log_event("result expired", job_id=job.record.job_id)
        if job.finishing:
            self._abandon(job)
        del self._table.jobs[job.record.job_id]
        try:
            self._store.delete(job.record.job_id)
        except OSError as fault:
            log_event("result cannot be deleted", logging.ERROR, job_id=job.record.job_id, reason=str(fault))

    def _end_overdue_stop(self, job: Job, now_s: float) -> None:
        """A stop that takes longer than a client waits: it is told, and the finished frames may still become a clip."""
        kept = job.frames or job.record.is_live
        if kept and job.record.task == "solve" and self._limits.finish_s > 0:
            job.finish_by_s = now_s + self._limits.finish_s
            self._table.end(job, "cancelled", "cancelled", "Stopped; what was finished becomes a clip", "")
            return
        self._table.end(job, "cancelled", "cancelled", "The work did not stop by itself and was dropped", "")
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
            elif message is None and job.record.is_live:
                files = salvaged(self._store.work_folder(job.record.job_id))
                self._store.publish(job.record.job_id, files)
                job.record = replace(job.record, files=files)
            self._store.save(job.record)
            self._store.drop_work(job.record.job_id)
            self._store.drop_input(job.record)
        except OSError as fault:
            log_event("what was finished is lost", logging.ERROR, job_id=job.record.job_id, reason=str(fault))
        log_event("stopped job finished", job_id=job.record.job_id, files=len(job.record.files))

    def _abandon(self, job: Job) -> None:
        self._pool.abandon(job.record.job_id, self._limits.abandon_grace_s)
