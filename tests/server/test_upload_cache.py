"""A video that was uploaded to look for people is there for the capture: for its owner, and for a while."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.server.upload_cache import UploadCache
from blender_addon.wire import messages as wire
from tests.server.harness import Backend, Peer, running, wait_for

DATA = json.dumps({"frames": 7, "pace_s": 0.0}).encode()


def source(data: bytes = DATA, name: str = "video.json") -> wire.Source:
    return wire.Source("upload", "", name, len(data), hashlib.sha256(data).hexdigest())


def submit(peer: Peer, task: str, data: bytes = DATA, name: str = "video.json") -> wire.JobInfo:
    reply = peer.ask(wire.Submit(uuid.uuid4().hex, source(data, name), wire.SolveOptions(), task))
    assert isinstance(reply, wire.Accepted), reply
    return reply.job


def look_for_people(peer: Peer, data: bytes = DATA) -> str:
    """Upload, look, take the result and let the job go, as the add-on does."""
    job = submit(peer, "people", data)
    assert job.state == "receiving"
    peer.ask(wire.UploadPart(job.job_id, 0, np.frombuffer(data, np.uint8)))
    assert isinstance(peer.until_end(job.job_id)[1], wire.Done)
    assert peer.ask(wire.Release(job.job_id)) == wire.Released(job.job_id)
    return job.job_id


def kept_in(backend: Backend) -> list[Path]:
    return list((backend.folder / "data" / "uploads").iterdir())


def test_the_capture_after_a_search_sends_nothing(backend: Backend, peer: Peer) -> None:
    look_for_people(peer)
    assert [path.read_bytes() for path in kept_in(backend)] == [DATA]
    job = submit(peer, "solve", name="renamed.json")
    assert job.state in ("queued", "running")
    assert job.upload_offset == len(DATA)
    chunks, done = peer.until_end(job.job_id)
    assert isinstance(done, wire.Done)
    assert sum(len(chunk.frame_index) for chunk in chunks) == 7
    assert not kept_in(backend), "what was solved is not kept"
    left = {path.name for path in (backend.folder / "data" / "jobs" / job.job_id).iterdir()}
    assert left == {"job.json", "chunks", "result"}
    again = submit(peer, "solve")
    assert (again.state, again.upload_offset) == ("receiving", 0)
    peer.ask(wire.Cancel(again.job_id))


def test_another_video_is_sent(backend: Backend, peer: Peer) -> None:
    look_for_people(peer)
    other = submit(peer, "solve", DATA + b" ")
    assert other.state == "receiving"
    peer.ask(wire.Cancel(other.job_id))
    assert len(kept_in(backend)) == 1


def test_a_search_that_fails_leaves_nothing(backend: Backend, peer: Peer) -> None:
    before = kept_in(backend)
    data = json.dumps({"frames": 7, "fail_at": 1}).encode()
    job = submit(peer, "people", data)
    peer.ask(wire.UploadPart(job.job_id, 0, np.frombuffer(data, np.uint8)))
    assert isinstance(peer.until_end(job.job_id)[1], wire.Failed)
    assert kept_in(backend) == before


@pytest.mark.parametrize("seconds", ["0", "0.3"])
def test_the_server_keeps_it_as_long_as_it_is_told(tmp_path: Path, seconds: str) -> None:
    with running(tmp_path / "backend", "--keep-upload", seconds) as backend, Peer(backend.info) as peer:
        look_for_people(peer)
        if seconds == "0":
            assert not kept_in(backend)
        wait_for(lambda: not kept_in(backend), "the sweep")
        assert submit(peer, "solve").state == "receiving"


def test_it_outlives_a_crash_and_not_a_graceful_stop(tmp_path: Path) -> None:
    backend = Backend(tmp_path / "backend").start()
    with Peer(backend.info) as peer:
        look_for_people(peer)
    backend.kill()
    with running(tmp_path / "backend") as backend, Peer(backend.info) as peer:
        assert submit(peer, "people").state in ("queued", "running")
        wait_for(lambda: kept_in(backend), "the end of the search")
    assert not kept_in(backend)


@pytest.fixture
def kept(tmp_path: Path) -> UploadCache:
    return UploadCache(tmp_path / "uploads", keep_s=60.0, most_bytes=100)


def put(kept: UploadCache, folder: Path, owner: str, data: bytes, age_s: float = 0.0) -> wire.Source:
    path = folder / "upload.mp4"
    path.write_bytes(data)
    kept.put(owner, source(data), path)
    assert not path.exists()
    for place in (folder / "uploads").iterdir():
        if place.name.endswith(source(data).sha256):
            kept._since_s[place.name] -= age_s
    return source(data)


def test_only_the_owner_gets_it(kept: UploadCache, tmp_path: Path) -> None:
    video = put(kept, tmp_path, "anna", b"anna's video")
    assert not kept.take("ben", video, tmp_path / "bens.mp4")
    assert not (tmp_path / "bens.mp4").exists()
    assert kept.take("anna", video, tmp_path / "annas.mp4")
    assert (tmp_path / "annas.mp4").read_bytes() == b"anna's video"
    assert not kept.take("anna", video, tmp_path / "twice.mp4")


def test_an_owner_s_name_makes_no_path(kept: UploadCache, tmp_path: Path) -> None:
    video = put(kept, tmp_path, "../../anna", b"video")
    assert [place.parent for place in tmp_path.rglob("*") if place.is_file()] == [tmp_path / "uploads"]
    assert kept.take("../../anna", video, tmp_path / "annas.mp4")


def test_what_is_too_old_is_not_given_and_swept(kept: UploadCache, tmp_path: Path) -> None:
    video = put(kept, tmp_path, "anna", b"old", age_s=61.0)
    put(kept, tmp_path, "anna", b"young", age_s=50.0)
    assert not kept.take("anna", video, tmp_path / "annas.mp4")
    kept.sweep(1e9)
    assert [place.read_bytes() for place in (tmp_path / "uploads").iterdir()] == [b"young"]


def test_together_they_are_bounded(kept: UploadCache, tmp_path: Path) -> None:
    put(kept, tmp_path, "anna", b"a" * 60, age_s=20.0)
    second = put(kept, tmp_path, "anna", b"b" * 30, age_s=10.0)
    third = put(kept, tmp_path, "ben", b"c" * 50)
    sizes = sorted(place.stat().st_size for place in (tmp_path / "uploads").iterdir())
    assert sizes == [30, 50], "the oldest went"
    put(kept, tmp_path, "ben", b"d" * 101)
    assert len(list((tmp_path / "uploads").iterdir())) == 2, "what is larger than all may be is not kept"
    assert kept.take("anna", second, tmp_path / "b.mp4")
    assert kept.take("ben", third, tmp_path / "c.mp4")


def test_a_clock_that_leaps_drops_nothing(kept: UploadCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = put(kept, tmp_path, "anna", b"video")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 8 * 86_400.0)
    kept.sweep(1e9)
    assert kept.take("anna", video, tmp_path / "annas.mp4")


def test_one_client_s_videos_do_not_push_out_another_s(kept: UploadCache, tmp_path: Path) -> None:
    small = put(kept, tmp_path, "anna", b"a" * 30, age_s=50.0)
    for letter in (b"b", b"c", b"d", b"e"):
        put(kept, tmp_path, "ben", letter * 35, age_s=10.0)
    assert kept.take("anna", small, tmp_path / "a.mp4")


def test_none_is_kept_while_the_disk_is_nearly_full(tmp_path: Path) -> None:
    kept = UploadCache(tmp_path / "uploads", keep_s=60.0, most_bytes=100, least_free_bytes=1 << 62)
    put(kept, tmp_path, "anna", b"video")
    kept.sweep(0.0)
    assert not list((tmp_path / "uploads").iterdir())


def test_a_folder_that_somebody_removed_harms_nobody(backend: Backend, peer: Peer) -> None:
    video, other = DATA + b"\n", DATA + b"\n\n"
    look_for_people(peer, video)
    shutil.rmtree(backend.folder / "data" / "uploads")
    time.sleep(1.5)  # the sweep looks once a second
    again = submit(peer, "people", video)
    assert again.state == "receiving"
    peer.ask(wire.Cancel(again.job_id))
    look_for_people(peer, other)
    assert [path.read_bytes() for path in kept_in(backend)] == [other]


def test_what_does_not_belong_there_is_left_alone(kept: UploadCache, tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "uploads" / "notes").mkdir()
    os.utime(tmp_path / "uploads" / "notes", (0, 0))
    put(kept, tmp_path, "anna", b"old", age_s=61.0)
    kept.sweep(0.0)
    kept.clear()
    assert [place.name for place in (tmp_path / "uploads").iterdir()] == ["notes"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_disk_that_refuses_the_end_of_an_upload_fails_that_job_only(backend: Backend, peer: Peer) -> None:
    video = DATA + b"\t"
    doomed = submit(peer, "solve", video)
    assert doomed.state == "receiving"
    record = backend.folder / "data" / "jobs" / doomed.job_id / "job.json"
    record.unlink()
    record.mkdir()  # no file can take the name of a folder: the job's next state cannot be written
    peer.ask(wire.UploadPart(doomed.job_id, 0, np.frombuffer(video, np.uint8)))
    ending = peer.until_end(doomed.job_id)[1]
    assert isinstance(ending, wire.Failed)
    assert ending.code == "disk"
    look_for_people(peer, video)


def test_an_upload_that_cannot_be_completed_goes_on_once_it_can(backend: Backend, peer: Peer) -> None:
    video = DATA + b"\t\t"
    job = submit(peer, "solve", video)
    in_the_way = backend.folder / "data" / "jobs" / job.job_id / "upload.json"
    in_the_way.mkdir()  # what the whole upload is renamed to
    (in_the_way / "file").touch()
    part = wire.UploadPart(job.job_id, 0, np.frombuffer(video, np.uint8))
    refused = peer.ask(part)
    assert isinstance(refused, wire.Refused)
    assert refused.code == "disk"
    shutil.rmtree(in_the_way)
    assert isinstance(peer.ask(part), wire.Accepted)
    assert isinstance(peer.until_end(job.job_id)[1], wire.Done)
