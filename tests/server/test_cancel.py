"""Cancel takes effect within one second, whatever the work does, and keeps the finished frames."""

from __future__ import annotations

import io
import time
import uuid
from pathlib import Path

import numpy as np
import psutil

from blender_addon.wire import messages as wire
from tests.server.harness import Backend, Peer, running, script, wait_for


def start(peer: Peer, video: Path) -> str:
    job_id = uuid.uuid4().hex
    peer.submit(job_id, video)
    wait_for(lambda: isinstance(peer.hear().message, wire.MotionChunk), "the first chunk")  # type: ignore[union-attr]
    return job_id


def cancel(peer: Peer, job_id: str) -> tuple[wire.JobCancelled, float]:
    asked = time.perf_counter()
    peer.ask(wire.Cancel(job_id))
    _, ending = peer.until_end(job_id)
    assert isinstance(ending, wire.JobCancelled)
    return ending, time.perf_counter() - asked


def test_running_job_stops_and_keeps_its_frames(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    worker = backend.worker_pid()
    job_id = start(peer, script(tmp_path, frames=3000, pace_s=0.005, chunk=10))
    ending, seconds = cancel(peer, job_id)
    assert seconds < 1.0
    assert ending.frames_kept >= 10
    if ending.finishing:  # a loaded machine
        ending = peer.until_end(job_id)[1]
    part = peer.ask(wire.Fetch(job_id, 0, 0, 1 << 20))
    with np.load(io.BytesIO(part.data.tobytes())) as clip:
        assert len(clip["rotations_wxyz"]) == ending.frames_kept
    with Peer(backend.info) as other:
        other.ask(wire.Watch(job_id))
        chunks, again = other.until_end(job_id)
    assert sum(len(chunk.frame_index) for chunk in chunks) == ending.frames_kept
    assert again == ending
    assert backend.worker_pid() == worker, "work that listens keeps its worker"


def test_work_that_does_not_look_is_dropped_and_keeps_its_worker(tmp_path: Path) -> None:
    with running(tmp_path / "backend", "--finish", "0") as backend, Peer(backend.info) as peer:
        peer.wait_until_ready()
        worker = backend.worker_pid()
        job_id = uuid.uuid4().hex
        peer.submit(job_id, script(tmp_path, frames=3000, deaf_from=20, pace_s=0.005))
        wait_for(lambda: job_chunks(peer, job_id) >= 3, "chunks")
        ending, seconds = cancel(peer, job_id)
        assert seconds < 1.0
        assert not ending.finishing
        assert ending.frames_kept == 10 * job_chunks(peer, job_id)
        solve_another(peer, tmp_path)
        assert backend.worker_pid() == worker
        assert not (backend.folder / "data" / "jobs" / job_id / "work").exists()


def test_what_was_finished_becomes_a_clip_after_the_stop_was_answered(
    backend: Backend, peer: Peer, tmp_path: Path
) -> None:
    worker = backend.worker_pid()
    job_id = start(peer, script(tmp_path, frames=3000, pace_s=0.005, finish_s=2.5))
    ending, seconds = cancel(peer, job_id)
    assert seconds < 1.0
    assert ending.finishing
    assert ending.files == ()
    with Peer(backend.info) as other:  # who comes later hears the same, in the same order
        other.ask(wire.Watch(job_id))
        assert other.until_end(job_id)[1] == ending
        assert other.until_end(job_id)[1].files
    finished = peer.until_end(job_id)[1]
    assert isinstance(finished, wire.JobCancelled)
    assert not finished.finishing
    assert finished.frames_kept == ending.frames_kept
    part = peer.ask(wire.Fetch(job_id, 0, 0, 1 << 20))
    with np.load(io.BytesIO(part.data.tobytes())) as clip:
        assert len(clip["rotations_wxyz"]) >= ending.frames_kept
    assert isinstance(peer.ask(wire.Release(job_id)), wire.Released)
    solve_another(peer, tmp_path)
    assert backend.worker_pid() == worker


def test_who_does_not_wait_for_the_finishing_gets_the_worker_back(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    job_id = start(peer, script(tmp_path, frames=3000, pace_s=0.005, finish_s=60.0))
    ending, _ = cancel(peer, job_id)
    assert ending.finishing
    assert isinstance(peer.ask(wire.Release(job_id)), wire.Released)
    began = time.monotonic()
    solve_another(peer, tmp_path)
    assert time.monotonic() - began < 10.0
    assert not (backend.folder / "data" / "jobs" / job_id).exists()


def test_a_finishing_that_fails_is_told(tmp_path: Path) -> None:
    with running(tmp_path / "backend", "--finish", "2.0") as backend, Peer(backend.info) as peer:
        peer.wait_until_ready()
        crashed = start(peer, script(tmp_path, frames=3000, pace_s=0.005, finish_s=60.0))
        assert cancel(peer, crashed)[0].finishing
        psutil.Process(backend.worker_pid()).kill()
        assert peer.until_end(crashed)[1] == wire.JobCancelled(crashed, 1, kept_of(peer, crashed))
        slow = start(peer, script(tmp_path, "slow.json", frames=3000, pace_s=0.005, finish_s=60.0))
        assert cancel(peer, slow)[0].finishing
        began = time.monotonic()
        ending = peer.until_end(slow)[1]
        assert not ending.finishing
        assert ending.files == ()
        assert time.monotonic() - began < 10.0
        solve_another(peer, tmp_path)


def test_a_server_that_is_killed_while_finishing_says_so_when_it_is_back(tmp_path: Path) -> None:
    with running(tmp_path / "backend") as backend:
        with Peer(backend.info) as peer:
            peer.wait_until_ready()
            job_id = start(peer, script(tmp_path, frames=3000, pace_s=0.005, finish_s=60.0))
            assert cancel(peer, job_id)[0].finishing
        psutil.wait_procs(backend.kill(), timeout=5)
        backend.start()
        with Peer(backend.info) as peer:
            peer.ask(wire.Watch(job_id))
            ending = peer.until_end(job_id)[1]
            assert isinstance(ending, wire.JobCancelled)
            assert not ending.finishing
            assert not (backend.folder / "data" / "jobs" / job_id / "work").exists()


def kept_of(peer: Peer, job_id: str) -> int:
    peer.ask(wire.Watch(job_id))
    return peer.until_end(job_id)[1].frames_kept


def test_work_stuck_in_a_native_call_costs_its_worker(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    worker = backend.worker_pid()
    job_id = uuid.uuid4().hex
    peer.submit(job_id, script(tmp_path, frames=3000, start_s=30))
    wait_for(lambda: peer.status().workers[0].state == "busy", "the start")
    ending, seconds = cancel(peer, job_id)
    assert seconds < 1.0
    assert ending.frames_kept == 0
    solve_another(peer, tmp_path)
    assert backend.worker_pid() != worker


def solve_another(peer: Peer, folder: Path) -> None:
    job_id = uuid.uuid4().hex
    peer.submit(job_id, script(folder, "after.json", frames=5))
    assert isinstance(peer.until_end(job_id)[1], wire.Done)


def job_chunks(peer: Peer, job_id: str) -> int:
    return next(job.chunk_count for job in peer.ask(wire.ListJobs()).jobs if job.job_id == job_id)


def test_waiting_job_is_cancelled_at_once(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    first = start(peer, script(tmp_path, frames=3000, pace_s=0.005))
    second = uuid.uuid4().hex
    peer.submit(second, script(tmp_path, "second.json", frames=5))
    ending, seconds = cancel(peer, second)
    assert seconds < 0.5
    assert ending.attempt == 0
    assert ending.files == ()
    cancel(peer, first)


def test_cancel_after_the_end_changes_nothing(peer: Peer, tmp_path: Path) -> None:
    job_id = uuid.uuid4().hex
    peer.submit(job_id, script(tmp_path, frames=5))
    _, done = peer.until_end(job_id)
    assert isinstance(done, wire.Done)
    assert peer.ask(wire.Cancel(job_id)).job.state == "done"
