"""An upload's hash is taken as its bytes come in, and of the file where this process did not see them all."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.server.errors import RequestRefused
from backend.server.job_store import JobRecord, JobStore
from backend.server.jobs import Job
from backend.server.upload_cache import UploadCache
from backend.server.uploads import append_part
from blender_addon.wire import messages as wire

DATA = bytes(range(256)) * 40
ID = "a" * 32


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs", UploadCache(tmp_path / "uploads", 60.0, 1 << 20))


@pytest.fixture
def read_back(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read again for their hash."""
    read: list[str] = []
    way = hashlib.file_digest

    def told(stream: Any, name: str) -> Any:
        read.append(stream.name)
        return way(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", told)
    return read


def new_job(store: JobStore, sha256: str = "") -> Job:
    source = wire.Source("upload", "", "video.mp4", len(DATA), sha256 or hashlib.sha256(DATA).hexdigest())
    record = JobRecord(ID, "anna", "receiving", source, wire.SolveOptions(), time.time())
    store.save(record)
    return Job(record)


def send(store: JobStore, job: Job, start: int, end: int) -> bool:
    return append_part(store, job, wire.UploadPart(ID, start, np.frombuffer(DATA[start:end], np.uint8)))


def test_a_whole_upload_is_not_read_again(store: JobStore, read_back: list[str]) -> None:
    job = new_job(store)
    assert [send(store, job, at, at + 2048) for at in range(0, len(DATA), 2048)] == [False] * 4 + [True]
    assert store.upload_path(job.record).read_bytes() == DATA
    assert not read_back


def test_one_that_began_before_a_restart_is(store: JobStore, read_back: list[str]) -> None:
    assert not send(store, new_job(store), 0, 4000)
    again = Job(new_job(store).record, upload_offset=4000)
    assert not send(store, again, 4000, 8000)
    assert send(store, again, 8000, len(DATA))
    assert len(read_back) == 1


def test_bytes_with_another_hash_are_refused_and_may_come_again(store: JobStore, read_back: list[str]) -> None:
    job = new_job(store, hashlib.sha256(DATA[::-1]).hexdigest())
    send(store, job, 0, 5000)
    with pytest.raises(RequestRefused, match="do not have the announced SHA-256"):
        send(store, job, 5000, len(DATA))
    assert job.upload_offset == 0
    backwards = np.frombuffer(DATA[::-1], np.uint8)
    assert append_part(store, job, wire.UploadPart(ID, 0, backwards))
    assert not read_back


def test_a_last_part_that_came_twice_is_hashed_as_it_lies_on_the_disk(store: JobStore, read_back: list[str]) -> None:
    job = new_job(store)
    send(store, job, 0, 5000)
    store.upload_path(job.record).mkdir()  # in the way of the whole upload
    with pytest.raises(RequestRefused, match="cannot write"):
        send(store, job, 5000, len(DATA))
    store.upload_path(job.record).rmdir()
    other = np.frombuffer(DATA[: len(DATA) - 5000], np.uint8)
    with pytest.raises(RequestRefused, match="do not have the announced SHA-256"):
        append_part(store, job, wire.UploadPart(ID, 5000, other))
    assert len(read_back) == 1
