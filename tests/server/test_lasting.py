"""What must outlast clocks that leap, power cuts and a second server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from backend.server.job_runner import JobOutcome
from backend.server.job_store import JobRecord, JobStore
from backend.server.jobs import JobTable
from backend.server.upload_cache import UploadCache
from backend.server.worker_main import _ended
from backend.server.worker_protocol import RunJob
from blender_addon.wire import messages as wire
from blender_addon.wire.messages import ResultFile, SolveOptions, Source
from tests.server.harness import REPOSITORY, Backend, Peer, environment, running, script

EIGHT_DAYS_S = 8 * 86_400.0


def solved(peer: Peer, video: Path) -> str:
    job_id = uuid.uuid4().hex
    peer.submit(job_id, video)
    assert isinstance(peer.until_end(job_id)[1], wire.Done)
    return job_id


@pytest.mark.parametrize("leap_s", [EIGHT_DAYS_S, -EIGHT_DAYS_S])
def test_a_clock_that_leaps_deletes_no_results(tmp_path: Path, leap_s: float) -> None:
    backend = Backend(tmp_path / "backend", "--keep-days", "7").start()
    with Peer(backend.info) as peer:
        job_id = solved(peer, script(tmp_path, frames=5))
    backend.stop()
    with (
        running(tmp_path / "backend", "--keep-days", "7", "--leap", str(leap_s)) as backend,
        Peer(backend.info) as peer,
    ):
        other = solved(peer, script(tmp_path, "other.json", frames=5))
        time.sleep(0.5)
        jobs = {job.job_id: job for job in peer.ask(wire.ListJobs()).jobs}
        assert abs(jobs[other].submitted_unix_s - jobs[job_id].submitted_unix_s - leap_s) < 60.0, "the clock leapt"
        assert isinstance(peer.ask(wire.Fetch(job_id, 0, 0, 100)), wire.ResultPart)


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs", UploadCache(tmp_path / "uploads", 0.0, 0))


def done_job(store: JobStore, ended_unix_s: float) -> JobRecord:
    """A job with a result, on the disk as the server leaves it."""
    source = Source("path", "/v.mp4", "v.mp4")
    job_id = uuid.uuid4().hex
    record = JobRecord(job_id, "local", "running", source, SolveOptions(), ended_unix_s)
    store.save(record)
    work = store.begin_attempt(job_id)
    (work / "clip.npz").write_bytes(b"clip")
    files = (ResultFile("clip.npz", 4),)
    store.publish(job_id, files)
    record = JobRecord(job_id, "local", "done", source, SolveOptions(), ended_unix_s, ended_unix_s, files=files)
    store.save(record)
    return record


def test_an_upload_has_a_place_of_its_own_whatever_its_name_ends_with(store: JobStore) -> None:
    """`x.part` is no unfinished upload, and `x.1` is not the second video of a take."""
    names = ("a.part", "b.PART", "c.1", "d", "e.mp4")
    videos = tuple(Source("upload", "", name, 4, "0" * 64) for name in names)
    record = JobRecord(uuid.uuid4().hex, "local", "receiving", videos[0], SolveOptions(), 0.0, more_sources=videos[1:])
    places = range(len(names))
    paths = [store.upload_path(record, place) for place in places]
    assert len({*paths, *(store.part_path(record.job_id, place) for place in places)}) == 2 * len(names)
    assert [path.suffix for path in paths] == [Path(name).suffix.lower() or ".3" for name in names]


def test_a_figure_that_is_no_number_is_left_out_of_the_report(tmp_path: Path) -> None:
    order = RunJob(uuid.uuid4().hex, 1, "/v.mp4", str(tmp_path), 0, SolveOptions())
    report = _ended(order, JobOutcome((), {"good": 0.5, "bad": float("nan"), "worse": float("inf")}))
    assert report.figures == {"good": 0.5}


def test_a_result_that_waits_over_restarts_gets_old(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each start counts the time since the last one, a day at most; what was counted is kept."""
    begun = time.time()
    record = done_job(store, begun)
    now = [begun]
    monkeypatch.setattr(time, "time", lambda: now[0])
    ages = []
    for gap_s in (3600.0, 8 * 86_400.0, -7200.0, 3600.0):
        now[0] += gap_s
        register = JobTable(store)
        ages.append(register.waited_s(register.jobs[record.job_id], time.monotonic()))
        register.put_back_running()
    assert [round(age / 3600.0) for age in ages] == [1, 25, 25, 26]


class PowerCut:
    """The disk of a machine that loses its power: what was renamed but never synced is empty afterwards."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._synced: set[int] = set()
        self._renamed: list[Path] = []
        fsync, replace = os.fsync, os.replace

        def noting_fsync(descriptor: int) -> None:
            self._synced.add(os.fstat(descriptor).st_ino)
            fsync(descriptor)

        def noting_replace(source: Path, target: Path) -> None:
            replace(source, target)
            self._renamed.append(Path(target))

        monkeypatch.setattr(os, "fsync", noting_fsync)
        monkeypatch.setattr(os, "replace", noting_replace)

    def strike(self) -> list[Path]:
        """Empty what the disk has not; the files that were lost."""
        lost = [path for path in self._renamed if path.is_file() and path.stat().st_ino not in self._synced]
        for path in lost:
            path.write_bytes(b"")
        return lost


def test_a_power_cut_leaves_whole_records(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = PowerCut(monkeypatch)
    record = done_job(store, time.time())
    assert [path for path in cut.strike() if path.name == "job.json"] == []
    assert [kept.job_id for kept in store.load()] == [record.job_id]


def test_a_power_cut_leaves_whole_clips_keys_and_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from backend.solving.checkpoint import Checkpoint
    from blender_addon.motion.clip import write_clip
    from blender_addon.wire.connection_file import write_private_file
    from tests.contracts.test_clip import make_clip

    cut = PowerCut(monkeypatch)
    write_clip(make_clip(), tmp_path / "take.npz")
    write_private_file(tmp_path / "server.key.json", "{}")
    Checkpoint(tmp_path / "checkpoint", "key").save({"times_s": np.zeros(3)})
    assert cut.strike() == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"job_id": 1}'])
def test_a_job_without_a_readable_record_keeps_its_result(store: JobStore, content: str) -> None:
    record = done_job(store, time.time())
    (store.folder / record.job_id / "job.json").write_text(content)
    assert store.load() == []
    saved = store.folder.parent / "damaged" / f"{record.job_id}.0" / "result" / "clip.npz"
    assert saved.read_bytes() == b"clip"
    empty = store.folder / uuid.uuid4().hex
    empty.mkdir()
    (empty / "job.json").write_text(content)
    assert store.load() == []
    assert not empty.exists()


def test_an_upload_that_a_power_cut_took_fails_its_job(store: JobStore) -> None:
    source = Source("upload", "", "v.mp4", 100, "0" * 64)
    record = JobRecord(uuid.uuid4().hex, "anna", "queued", source, SolveOptions(), time.time())
    store.save(record)
    store.upload_path(record).write_bytes(b"")
    register = JobTable(store)
    job = register.jobs[record.job_id].record
    assert (job.state, job.code) == ("failed", "upload")
    assert not register.queue


def second_server(backend: Backend, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backend", "serve", "--data-dir", str(folder)]
    return subprocess.run(
        [*command, "--connection-file", str(backend.connection_file)],
        env=environment(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_second_server_leaves_the_first_one_s_connection_file(tmp_path: Path) -> None:
    with running(tmp_path / "backend") as backend:
        before = backend.connection_file.read_text()
        done = second_server(backend, tmp_path / "other")
        assert done.returncode == 8
        assert "--connection-file" in done.stderr
        assert backend.connection_file.read_text() == before
        with Peer(backend.info) as peer:
            assert isinstance(peer.ask(wire.Ping()), wire.Pong)


def test_a_server_removes_its_own_connection_file_only(tmp_path: Path) -> None:
    backend = Backend(tmp_path / "backend").start()
    record = json.loads(backend.connection_file.read_text()) | {"token": "f" * 64}
    backend.connection_file.write_text(json.dumps(record))
    assert backend.stop() == 0
    assert json.loads(backend.connection_file.read_text())["token"] == "f" * 64
    backend.start()
    assert backend.stop() == 0
    assert not backend.connection_file.exists()
