"""Inputs that never answer: their job ends in time and the queue goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import zmq

from backend.errors import BadInputError
from backend.server.solve_runner import check_source
from backend.server.worker_pool import WorkerHandle, WorkerPool
from backend.server.worker_protocol import RunJob
from blender_addon.wire import messages as wire
from tests.server.harness import Peer, running, script, wait_for


def test_a_stalled_input_ends_its_job_only(tmp_path: Path) -> None:
    with running(tmp_path / "backend", "--stall", "2") as backend, Peer(backend.info) as peer:
        peer.wait_until_ready()
        stalled, waiting = uuid.uuid4().hex, uuid.uuid4().hex
        peer.submit(stalled, script(tmp_path, frames=50, stall_at=25))
        peer.submit(waiting, script(tmp_path, "next.json", frames=20))
        begun = time.monotonic()
        _, failed = peer.until_end(stalled)
        assert isinstance(failed, wire.Failed)
        assert failed.code == "stalled"
        assert "2 s" in failed.message
        assert failed.remedy
        assert 1.5 < time.monotonic() - begun < 10.0
        assert isinstance(peer.until_end(waiting)[1], wire.Done)


def test_a_worker_that_computes_without_a_word_is_not_stalled(tmp_path: Path) -> None:
    with running(tmp_path / "backend", "--stall", "2") as backend, Peer(backend.info) as peer:
        job_id = uuid.uuid4().hex
        peer.submit(job_id, script(tmp_path, frames=5, busy_s=5.0))
        assert isinstance(peer.until_end(job_id)[1], wire.Done)


def test_a_process_that_cannot_be_killed_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that waits for a dead disk. The fault is injected: SIGKILL does not reach this one."""
    context: zmq.Context[Any] = zmq.Context()
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    pool = WorkerPool(("cpu",), command, context)
    worker = pool.workers["w0"]
    kill = subprocess.Popen.kill
    try:
        worker.start()
        stuck = worker._process
        assert stuck is not None
        worker.order(RunJob("0" * 32, 1, "/dead", "/tmp", 1, wire.SolveOptions()))
        monkeypatch.setattr("backend.server.worker_pool._KILL_GRACE_S", 0.2)
        monkeypatch.setattr(subprocess.Popen, "kill", lambda self: None)
        worker.kill()
        assert pool.lost(time.monotonic()) == []
        time.sleep(0.3)
        assert [lost.job_id for lost, _ in pool.lost(time.monotonic())] == ["0" * 32]
        assert worker.state == "down"
        worker.restart_at_s = 0.0
        pool.start_due(time.monotonic())
        assert worker.state == "starting"
        assert worker.pid not in (0, stuck.pid)
        assert pool.receive() is None
    finally:
        monkeypatch.setattr(subprocess.Popen, "kill", kill)
        kill(stuck)
        stuck.wait()
        pool.stop()
        context.term()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_no_video(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    with pytest.raises(BadInputError, match="not a file"):
        check_source(pipe)
    check_source(tmp_path)
    check_source(tmp_path / "not_there_####.png")


def test_a_root_that_does_not_answer_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault is injected: looking at the path takes as long as a dead share."""
    from backend.server.auth import path_within
    from backend.server.errors import RequestRefused

    dead = threading.Event()
    resolve = Path.resolve

    def slow(self: Path, strict: bool = False) -> Path:
        if self.name == "dead.mp4":
            dead.wait(20.0)
        return resolve(self, strict)

    monkeypatch.setattr(Path, "resolve", slow)
    begun = time.monotonic()
    for _ in range(6):
        with pytest.raises(RequestRefused) as refused:
            path_within(str(tmp_path / "dead.mp4"), (tmp_path,), patience_s=0.2)
        assert refused.value.code == "bad_source"
    assert time.monotonic() - begun < 2.0
    assert sum(thread.name == "look at a path" for thread in threading.enumerate()) <= 4
    dead.set()
    wait_for(lambda: all(thread.name != "look at a path" for thread in threading.enumerate()), "the threads' end")
    assert path_within(str(tmp_path / "alive.mp4"), (tmp_path,)) == tmp_path.resolve() / "alive.mp4"


def test_a_handle_knows_activity_by_reports_and_by_computing() -> None:
    context: zmq.Context[Any] = zmq.Context()
    worker = WorkerHandle("w0", "cpu", (sys.executable,), context)
    now_s = time.monotonic()
    assert not worker.stalled(1.0, now_s + 99.0), "it has no job"
    worker.state = "busy"
    worker.heard()
    assert not worker.stalled(10.0, now_s + 9.0)
    assert worker.stalled(10.0, now_s + 11.0)
    assert not worker.stalled(0.0, now_s + 1e6), "0: never"
    context.term()
