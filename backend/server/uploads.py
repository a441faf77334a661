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
    """Append bytes; True when all uploads are complete and their hashes agree. RequestRefused leaves it unchanged."""
    record, place = job.record, job.upload_place
    if record.state != "receiving":
        raise RequestRefused("bad_offset", "The upload is complete", "Watch the job")
    if (part.source, part.offset) != (place, job.upload_offset):
        where = f" of video {place + 1}" if record.more_sources else ""
        raise RequestRefused("bad_offset", f"The upload stands at byte {job.upload_offset}{where}", "Go on from there")
    size = record.sources[place].size_bytes
    if not 0 < len(part.data) <= MAX_PART_BYTES or part.offset + len(part.data) > size:
        raise RequestRefused("bad_request", f"A part has 1 to {MAX_PART_BYTES} bytes, within the announced size")
    path, data = store.part_path(record.job_id, place), part.data.tobytes()
    end = part.offset + len(data)
    try:
        with store.retry(path.open, "r+b" if path.exists() else "wb") as stream:
            stream.seek(part.offset)
            stream.write(data)
            stream.truncate()
            if end == size or end // _SYNC_BYTES > part.offset // _SYNC_BYTES:
                stream.flush()
                os.fsync(stream.fileno())  # as it comes: gigabytes at the end would hold everybody else up
        _hash_along(job, part.offset, data)
        whole = end == size and _complete(store, job)
        following = store.next_upload(record) if whole else place
    except OSError as fault:
        raise RequestRefused(
            "disk", f"The server cannot write to its disk ({fault.strerror})", "Free space on it", 10.0
        ) from fault
    job.stand_at(following, 0 if whole else end)
    job.touched_s = time.monotonic()
    return following is None


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
    return sha256_of(store.part_path(job.record.job_id, job.upload_place))


def _complete(store: JobStore, job: Job) -> bool:
    place = job.upload_place
    path, digest, source = store.part_path(job.record.job_id, place), _digest(store, job), job.record.sources[place]
    if digest != source.sha256:
        path.unlink()
        job.upload_offset = 0
        what = f"The uploaded bytes of {source.name}" if job.record.more_sources else "The uploaded bytes"
        raise RequestRefused("bad_source", f"{what} do not have the announced SHA-256", "Upload again from byte 0")
    os.replace(path, store.upload_path(job.record, place))
    return True
