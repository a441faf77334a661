"""kill -9 of the worker, the server and the client: the job ends with a reason or goes on, and nobody is left over."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

from blender_addon.wire import messages as wire
from tests.server.harness import REPOSITORY, Backend, Peer, environment, kill_hard, running, script, wait_for


def start(peer: Peer, video: Path) -> str:
    job_id = uuid.uuid4().hex
    peer.submit(job_id, video)
    wait_for(lambda: isinstance(peer.hear().message, wire.MotionChunk), "the first chunk")  # type: ignore[union-attr]
    return job_id


def half_files(backend: Backend) -> list[Path]:
    """Temporary files and folders anywhere in the store."""
    return list((backend.folder / "data" / "jobs").rglob(".*"))


def test_killed_worker_s_job_goes_on_by_itself(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    worker = backend.worker_pid()
    struck = start(peer, script(tmp_path, frames=400, pace_s=0.005))
    waiting = uuid.uuid4().hex
    peer.submit(waiting, script(tmp_path, "next.json", frames=20))
    kill_hard(worker)
    chunks, done = peer.until_end(struck)
    assert isinstance(done, wire.Done)
    assert done.attempt == 2
    frames = [frame for chunk in chunks if chunk.attempt == 2 for frame in chunk.frame_index.tolist()]
    assert frames == list(range(400))
    assert isinstance(peer.until_end(waiting)[1], wire.Done)
    assert backend.worker_pid() != worker
    assert half_files(backend) == []


def test_worker_that_is_killed_twice_fails_its_job_only(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    doomed = start(peer, script(tmp_path, frames=3000, pace_s=0.005))
    waiting = uuid.uuid4().hex
    peer.submit(waiting, script(tmp_path, "next.json", frames=20))
    for attempt in (1, 2):
        wait_for(lambda count=attempt: running_attempt(peer, doomed) == count, f"attempt {attempt}")
        kill_hard(backend.worker_pid())
    _, failed = peer.until_end(doomed)
    assert isinstance(failed, wire.Failed)
    assert failed.code == "worker_crashed"
    assert "signal 9" in failed.message
    assert failed.remedy
    assert isinstance(peer.until_end(waiting)[1], wire.Done)


def running_attempt(peer: Peer, job_id: str) -> int:
    """The attempt of a job that is running, 0 while it is not."""
    jobs = {job.job_id: job for job in peer.ask(wire.ListJobs()).jobs}
    return jobs[job_id].attempt if jobs[job_id].state == "running" else 0


def test_worker_that_crashes_by_itself(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    job_id, once = uuid.uuid4().hex, uuid.uuid4().hex
    peer.submit(job_id, script(tmp_path, frames=30, chunk=10, crash_at=25))
    chunks, failed = peer.until_end(job_id)
    assert failed.code == "worker_crashed"
    assert [(chunk.attempt, chunk.index) for chunk in chunks] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    peer.submit(once, script(tmp_path, "once.json", frames=30, crash_at=25, crash_once=True))
    assert isinstance(peer.until_end(once)[1], wire.Done)
    peer.wait_until_ready()


def test_killed_client_leaves_the_job_running(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    """The client dies between submit and end; another picks the job up by its id."""
    job_id = uuid.uuid4().hex
    code = (
        "import sys, time; from pathlib import Path; from tests.server.harness import Peer; "
        "from blender_addon.wire.connection_file import read_connection_file as read; "
        "peer = Peer(read(Path(sys.argv[1]))); peer.submit(sys.argv[2], Path(sys.argv[3])); print('in', flush=True); "
        "time.sleep(60)"
    )
    video = script(tmp_path, frames=100, pace_s=0.005)
    command = [sys.executable, "-c", code, str(backend.connection_file), job_id, str(video)]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), cwd=REPOSITORY)
    with client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"in\n"
        client.kill()
    assert job_id in [job.job_id for job in peer.ask(wire.ListJobs()).jobs]
    peer.ask(wire.Watch(job_id))
    chunks, done = peer.until_end(job_id)
    assert isinstance(done, wire.Done)
    assert [chunk.index for chunk in chunks] == list(range(10))


def test_killed_server_takes_its_worker_along_and_goes_on_with_the_jobs(tmp_path: Path) -> None:
    backend = Backend(tmp_path / "backend").start()
    with Peer(backend.info) as peer:
        running_job = start(peer, script(tmp_path, frames=200, pace_s=0.005))
        waiting = uuid.uuid4().hex
        peer.submit(waiting, script(tmp_path, "next.json", frames=20))
    old_token = backend.info.token
    family = backend.kill()
    _, alive = psutil.wait_procs(family, timeout=2)
    assert alive == [], "orphans"
    (backend.folder / "data" / "jobs" / "rubbish").mkdir()
    (backend.folder / "data" / "jobs" / running_job / ".job.json.new").write_text("{half")
    with running_again(backend), Peer(backend.info) as peer:
        assert backend.info.token != old_token
        peer.ask(wire.Watch(running_job, attempt=1, next_chunk=1))
        chunks, done = peer.until_end(running_job)
        assert isinstance(done, wire.Done)
        assert done.attempt == 2
        frames = [frame for chunk in chunks if chunk.attempt == 2 for frame in chunk.frame_index.tolist()]
        assert frames == list(range(200))
        peer.ask(wire.Watch(waiting))
        assert isinstance(peer.until_end(waiting)[1], wire.Done)
        assert half_files(backend) == []
        assert {path.name for path in backend.job_folders()} == {running_job, waiting}


class running_again:
    """The same folder, a new server."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __enter__(self) -> None:
        self._backend.start()

    def __exit__(self, *reason: object) -> None:
        family = self._backend.family()
        assert self._backend.stop() == 0
        assert psutil.wait_procs(family, timeout=5)[1] == []


def test_a_server_killed_while_it_publishes_a_result_starts_again(tmp_path: Path) -> None:
    backend = Backend(tmp_path / "backend").start()
    with Peer(backend.info) as peer:
        job_id = start(peer, script(tmp_path, frames=200, pace_s=0.005))
    psutil.wait_procs(backend.kill(), timeout=2)
    half_made = backend.folder / "data" / "jobs" / job_id / ".result.new"
    half_made.mkdir()
    (half_made / "clip.npz").touch()
    with running_again(backend), Peer(backend.info) as peer:
        peer.ask(wire.Watch(job_id))
        assert isinstance(peer.until_end(job_id)[1], wire.Done)
        assert half_files(backend) == []


def test_a_job_that_kills_the_server_again_and_again_is_given_up(tmp_path: Path) -> None:
    backend = Backend(tmp_path / "backend")
    video = script(tmp_path, frames=3000, pace_s=0.005)
    job_id = uuid.uuid4().hex
    for _ in range(3):
        backend.start()
        with Peer(backend.info) as peer:
            peer.submit(job_id, video)
            wait_for(lambda: peer.ask(wire.ListJobs()).jobs[0].state == "running", "the start")
        psutil.wait_procs(backend.kill(), timeout=2)
    with running_again(backend), Peer(backend.info) as peer:
        peer.ask(wire.Watch(job_id))
        _, failed = peer.until_end(job_id)
    assert failed.code == "server_died"


def test_graceful_stop_keeps_the_running_job(tmp_path: Path) -> None:
    backend = Backend(tmp_path / "backend").start()
    with Peer(backend.info) as peer:
        job_id = start(peer, script(tmp_path, frames=200, pace_s=0.005))
        family = backend.family()
        started = time.monotonic()
        assert backend.stop() == 0
        assert time.monotonic() - started < 2.0
        goodbye = next(
            message for message in iter(lambda: peer.hear(1.0), None) if isinstance(message.message, wire.Goodbye)
        )
        assert "signal 15" in goodbye.message.reason
    assert psutil.wait_procs(family, timeout=2)[1] == []
    assert not backend.connection_file.exists()
    record = json.loads((backend.folder / "data" / "jobs" / job_id / "job.json").read_text())
    assert record["state"] == "queued"
    with running_again(backend), Peer(backend.info) as peer:
        peer.ask(wire.Watch(job_id))
        assert isinstance(peer.until_end(job_id)[1], wire.Done)


def test_shutdown_by_a_local_client(tmp_path: Path) -> None:
    backend = Backend(tmp_path / "backend").start()
    with Peer(backend.info) as peer:
        assert isinstance(peer.ask(wire.Shutdown()), wire.Goodbye)
    assert backend.process is not None
    assert backend.process.wait(5) == 0


def test_memory_limit_fails_the_job_only(tmp_path: Path) -> None:
    with running(tmp_path / "backend", "--memory", "400M") as backend, Peer(backend.info) as peer:
        greedy, modest = uuid.uuid4().hex, uuid.uuid4().hex
        peer.submit(greedy, script(tmp_path, frames=3000, pace_s=0.005, eat_mb=600))
        peer.submit(modest, script(tmp_path, "modest.json", frames=5))
        _, failed = peer.until_end(greedy)
        assert failed.code == "memory"
        assert "--memory" in failed.remedy
        assert isinstance(peer.until_end(modest)[1], wire.Done)


def test_workers_that_cannot_start_fail_the_waiting_jobs(tmp_path: Path) -> None:
    with running(tmp_path / "backend", "--broken-worker") as backend, Peer(backend.info) as peer:
        job_id = uuid.uuid4().hex
        peer.submit(job_id, script(tmp_path, frames=5))
        _, failed = peer.until_end(job_id)
        assert failed.code == "no_worker"
        assert "exit code 7" in failed.message


def test_one_server_per_data_folder(backend: Backend) -> None:
    command = [sys.executable, "-m", "backend", "serve", "--data-dir", str(backend.folder / "data")]
    done = subprocess.run(
        [*command, "--connection-file", str(backend.folder / "second.json")],
        env=environment(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 8
    assert "Another backend uses the data folder" in done.stderr
    assert not (backend.folder / "second.json").exists()


@pytest.mark.parametrize("stay", [False, True])
def test_backend_ends_with_its_owner_unless_it_is_to_stay(tmp_path: Path, stay: bool) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    options = ["--owner-pid", str(owner.pid), *(["--stay"] if stay else [])]
    backend = Backend(tmp_path / "backend", *options).start()
    family = backend.family()
    owner.kill()
    owner.wait()
    assert backend.process is not None
    if stay:
        time.sleep(1.0)
        assert backend.process.poll() is None
        assert backend.stop() == 0
    else:
        assert backend.process.wait(5) == 0
    assert psutil.wait_procs(family, timeout=5)[1] == []
