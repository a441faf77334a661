"""A job in memory, and how clients see it. stdlib, `blender_addon.wire` and its own room."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from backend.server.job_store import JobRecord
from blender_addon.wire.messages import JobInfo, JobProgress


@dataclass(slots=True)
class Job:
    """A job in memory: its record on disk, and what only matters while it runs.

    `digest` is the SHA-256 of the first `hashed_bytes` of an upload, None where this process did not see them all.
    """

    record: JobRecord
    progress: JobProgress | None = None
    chunk_count: int = 0
    frames: set[int] = field(default_factory=set)
    worker: str = ""
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
        )
