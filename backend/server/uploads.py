"""Uploaded videos: checked before the first byte, appended in order, believed only when the hash agrees. stdlib."""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import PurePosixPath

from backend.files import sha256_of
from backend.server.errors import RequestRefused
from backend.server.job_store import JobStore
from backend.server.jobs import Job
from blender_addon.wire.messages import Source, UploadPart
from blender_addon.wire.transport import MAX_PART_BYTES

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")
_SYNC_BYTES = 16 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_upload(source: Source, max_bytes: int) -> None:
    """Raise RequestRefused for an upload whose size, hash or file name is not accepted."""
    if not 0 < source.size_bytes <= max_bytes:
        raise RequestRefused(
            "too_large", f"An upload has 1 to {max_bytes} bytes, not {source.size_bytes}", "Trim the video"
        )
    if not _SHA256.fullmatch(source.sha256):
        raise RequestRefused("bad_source", "An upload needs the SHA-256 of its bytes")
    if "/" in source.name or "\\" in source.name or not _SUFFIX.fullmatch(PurePosixPath(source.name).suffix):
        raise RequestRefused("bad_source", f"{source.name!r} is not the name of a video file")
    if source.path:
        raise RequestRefused("bad_source", "An upload has no path")


def append_part(store: JobStore, job: Job, part: UploadPart) -> bool:
    """Append bytes; True when the upload is complete and its hash agrees. RequestRefused leaves it unchanged."""
    record = job.record
    if record.state != "receiving":
        raise RequestRefused("bad_offset", "The upload is complete", "Watch the job")
    if part.offset != job.upload_offset:
        raise RequestRefused("bad_offset", f"The upload stands at byte {job.upload_offset}", "Go on from there")
    if not 0 < len(part.data) <= MAX_PART_BYTES or part.offset + len(part.data) > record.source.size_bytes:
        raise RequestRefused("bad_request", f"A part has 1 to {MAX_PART_BYTES} bytes, within the announced size")
    path, data = store.part_path(record.job_id), part.data.tobytes()
    end = part.offset + len(data)
    try:
        with store.retry(path.open, "r+b" if path.exists() else "wb") as stream:
            stream.seek(part.offset)
            stream.write(data)
            stream.truncate()
            if end == record.source.size_bytes or end // _SYNC_BYTES > part.offset // _SYNC_BYTES:
                stream.flush()
                os.fsync(stream.fileno())  # as it comes: gigabytes at the end would hold everybody else up
        _hash_along(job, part.offset, data)
        complete = end == record.source.size_bytes and _complete(store, job)
    except OSError as fault:
        raise RequestRefused(
            "disk", f"The server cannot write to its disk ({fault.strerror})", "Free space on it", 10.0
        ) from fault
    job.upload_offset = end
    job.touched_s = time.monotonic()
    return complete


def _hash_along(job: Job, offset: int, data: bytes) -> None:
    """Hash as the bytes come in: four gigabytes at the end would keep everybody else waiting for seconds."""
    if offset == 0:
        job.digest, job.hashed_bytes = hashlib.sha256(), 0
    if job.digest is None or job.hashed_bytes != offset:  # begun before a restart, or sent twice
        job.digest = None
        return
    job.digest.update(data)
    job.hashed_bytes += len(data)


def _digest(store: JobStore, job: Job) -> str:
    if job.digest is not None:
        return job.digest.hexdigest()
    return sha256_of(store.part_path(job.record.job_id))


def _complete(store: JobStore, job: Job) -> bool:
    path, digest = store.part_path(job.record.job_id), _digest(store, job)
    if digest != job.record.source.sha256:
        path.unlink()
        job.upload_offset = 0
        raise RequestRefused(
            "bad_source", "The uploaded bytes do not have the announced SHA-256", "Upload again from byte 0"
        )
    os.replace(path, store.upload_path(job.record))
    return True
