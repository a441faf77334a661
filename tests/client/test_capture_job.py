"""The add-on's client against real backends: capture, cancel, upload, death and resurrection, resume by id."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from blender_addon.client.backend_process import BackendProcess, LaunchPlan
from blender_addon.client.job import CaptureJob, JobRequest, JobSnapshot
from blender_addon.client.link import BackendLink
from blender_addon.wire import messages as wire
from tests.server.harness import PACED_BACKEND, REPOSITORY, Backend, kill_hard, load_factor, running, script, wait_for
from tests.server.paced import frame_rotations


def launch_plan(folder: Path, *options: str, stay: bool = False) -> LaunchPlan:
    return LaunchPlan(
        Path(sys.executable),
        REPOSITORY,
        folder,
        options,
        stay,
        {"PYTHONPATH": str(REPOSITORY)},
        (str(PACED_BACKEND),),
    )


@pytest.fixture
def process(tmp_path: Path) -> Iterator[BackendProcess]:
    process = BackendProcess(launch_plan(tmp_path / "state"))
    yield process
    process.stop()


@pytest.fixture
def link(process: BackendProcess) -> Iterator[BackendLink]:
    link = BackendLink(process, None, "test")
    yield link
    link.close()


def run(job: CaptureJob, until: str = "", patience_s: float = 40.0) -> tuple[JobSnapshot, list[wire.MotionChunk]]:
    """Tick like a modal operator until the job is over, or in a state."""
    chunks: list[wire.MotionChunk] = []
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        snapshot = job.tick()
        chunks += job.take_chunks()
        if snapshot.over or (until and snapshot.state == until and (until != "running" or chunks)):
            return snapshot, chunks
        time.sleep(0.01)
    raise AssertionError(f"waited {patience_s} s, the job is {job.snapshot}")


def frames_of(chunks: list[wire.MotionChunk], attempt: int) -> list[int]:
    return [frame for chunk in chunks if chunk.attempt == attempt for frame in chunk.frame_index.tolist()]


def test_capture_starts_the_backend_and_brings_the_clip(link: BackendLink, tmp_path: Path) -> None:
    video = script(tmp_path, frames=100, pace_s=0.002)
    states = []
    job = CaptureJob(link, JobRequest(video, tmp_path / "clips"))
    chunks: list[wire.MotionChunk] = []
    while not job.tick().over:
        chunks += job.take_chunks()
        states.append(job.snapshot.state)
        time.sleep(0.005)
    assert job.snapshot.state == "done"
    assert list(dict.fromkeys(states)) == ["submitting", "queued", "running", "fetching"] or states[-1] == "running"
    assert frames_of(chunks + job.take_chunks(), 1) == list(range(100))
    assert job.snapshot.paths == (tmp_path / "clips" / "clip.npz",)
    with np.load(job.snapshot.paths[0]) as clip:
        np.testing.assert_array_equal(clip["rotations_wxyz"], frame_rotations(0, 100))
    assert dict(job.snapshot.figures) == {"frames": 100.0}
    assert link.status.state == "open"
    assert link.status.devices == ("auto",)
    assert link.process is not None
    wait_for(lambda: link.tick(0.01) and not released_not_yet(link), "the release")


def released_not_yet(link: BackendLink) -> bool:
    assert link.process is not None
    return any((link.process.plan.state_dir / "service" / "jobs").iterdir())


def test_ticks_keep_to_their_budget(link: BackendLink, tmp_path: Path) -> None:
    """Every tick of a whole capture, from starting the backend on: milliseconds of this thread's processor time."""
    job = CaptureJob(link, JobRequest(script(tmp_path, frames=600, pace_s=0.001, chunk=5), tmp_path / "clips"))
    spent = []
    while not job.snapshot.over:
        before = time.thread_time()
        job.tick(0.004)
        spent.append(time.thread_time() - before)
        job.take_chunks()
        time.sleep(0.005)
    assert job.snapshot.state == "done"
    assert np.median(spent) < 0.004
    assert np.quantile(spent, 0.99) < 0.03


def test_cancel_keeps_the_frames(link: BackendLink, tmp_path: Path) -> None:
    job = CaptureJob(link, JobRequest(script(tmp_path, frames=3000, pace_s=0.004), tmp_path / "clips"))
    _, before = run(job, until="running")
    asked = time.monotonic()
    job.cancel()
    snapshot, after = run(job)
    assert time.monotonic() - asked < 1.5
    assert snapshot.state == "cancelled"
    assert snapshot.frames_kept == len(frames_of(before + after, 1)) > 0
    with np.load(snapshot.paths[0]) as clip:
        assert len(clip["rotations_wxyz"]) == snapshot.frames_kept
    assert str(snapshot.frames_kept) in snapshot.words


def test_a_stop_is_answered_at_once_and_what_was_kept_is_finished_later(link: BackendLink, tmp_path: Path) -> None:
    video = script(tmp_path, frames=3000, pace_s=0.004, finish_s=2.5)
    job = CaptureJob(link, JobRequest(video, tmp_path / "clips"))
    _, before = run(job, until="running")
    asked = time.monotonic()
    job.cancel()
    wait_for(lambda: job.tick().stopped, "the stop")
    assert time.monotonic() - asked < 1.0 * load_factor()
    assert job.snapshot.state == "finishing"
    assert not job.snapshot.over
    kept = job.snapshot.frames_kept
    assert kept == len(frames_of(before + job.take_chunks(), 1)) > 0
    wait_for(lambda: job.tick().stage == "poses" or job.snapshot.over, "progress of the finishing")
    assert job.snapshot.state == "finishing"
    snapshot, _ = run(job)
    assert snapshot.state == "cancelled"
    assert snapshot.frames_kept == kept
    with np.load(snapshot.paths[0]) as clip:
        assert len(clip["rotations_wxyz"]) >= kept
    wait_for(lambda: link.tick(0.01) and not released_not_yet(link), "the release")


def test_a_finishing_can_be_forgotten(link: BackendLink, tmp_path: Path) -> None:
    job = CaptureJob(link, JobRequest(script(tmp_path, frames=3000, pace_s=0.004, finish_s=60.0), tmp_path / "clips"))
    run(job, until="running")
    job.cancel()
    wait_for(lambda: job.tick().stopped, "the stop")
    job.forget()
    assert job.snapshot.over
    began = time.monotonic()
    after = CaptureJob(link, JobRequest(script(tmp_path, "after.json", frames=10), tmp_path / "after"))
    assert run(after)[0].state == "done"
    assert time.monotonic() - began < 10.0


def test_a_backend_killed_while_finishing_ends_the_wait(
    process: BackendProcess, link: BackendLink, tmp_path: Path
) -> None:
    job = CaptureJob(link, JobRequest(script(tmp_path, frames=3000, pace_s=0.004, finish_s=60.0), tmp_path / "clips"))
    run(job, until="running")
    time.sleep(max(0.0, process.started_s + 3.2 - time.monotonic()))  # not an early death
    job.cancel()
    wait_for(lambda: job.tick().stopped, "the stop")
    kill_hard(process.pid)
    snapshot, _ = run(job)
    assert (snapshot.state, snapshot.paths) == ("cancelled", ())


def test_failure_comes_in_words(link: BackendLink, tmp_path: Path) -> None:
    snapshot, chunks = run(CaptureJob(link, JobRequest(script(tmp_path, frames=50, fail_at=20), tmp_path / "clips")))
    assert (snapshot.state, snapshot.code) == ("failed", "video")
    assert (snapshot.words, snapshot.remedy) == ("Frame 20 is damaged", "Trim the clip")
    assert len(chunks) == 2


def test_upload_to_a_backend_elsewhere(tmp_path: Path) -> None:
    video = tmp_path / "big.json"
    video.write_text('{"frames": 40}' + " " * (9 << 20))
    with running(tmp_path / "backend") as backend:
        link = BackendLink(None, backend.connection_file, "test")
        try:
            snapshot, chunks = run(CaptureJob(link, JobRequest(video, tmp_path / "clips", upload=True)))
            missing = CaptureJob(link, JobRequest(tmp_path / "nowhere.mp4", tmp_path / "clips", upload=True))
        finally:
            link.close()
    assert snapshot.state == "done"
    assert frames_of(chunks, 1) == list(range(40))
    assert missing.snapshot.code == "video"


def test_full_queue_is_waited_for(tmp_path: Path) -> None:
    with running(tmp_path / "backend", "--max-jobs", "1") as backend:
        link = BackendLink(None, backend.connection_file, "test")
        first = CaptureJob(link, JobRequest(script(tmp_path, frames=100, pace_s=0.005), tmp_path / "first"))
        run(first, until="running")
        second = CaptureJob(link, JobRequest(script(tmp_path, "second.json", frames=10), tmp_path / "second"))
        wait_for(lambda: "jobs are waiting" in second.tick().words, "the refusal")
        assert run(first)[0].state == "done"
        assert run(second)[0].state == "done"
        link.close()


def test_killed_backend_is_started_again_and_the_capture_goes_on(link: BackendLink, tmp_path: Path) -> None:
    video = script(tmp_path, frames=800, pace_s=0.005)
    job = CaptureJob(link, JobRequest(video, tmp_path / "clips"))
    run(job, until="running")
    assert link.process is not None
    time.sleep(max(0.0, link.process.started_s + 3.2 - time.monotonic()))  # not an early death
    kill_hard(link.process.pid)
    words = []

    def restarted() -> bool:
        words.append(link.status.words)
        return job.tick().over or link.status.state == "starting"

    wait_for(restarted, "the restart")
    assert "exit code -9" in link.status.words
    assert link.status.log_lines
    snapshot, chunks = run(job)
    assert snapshot.state == "done"
    assert frames_of(chunks, 2) == list(range(800))


def test_backend_that_cannot_start_says_so_with_its_last_words(tmp_path: Path) -> None:
    plan = launch_plan(tmp_path / "state", "--max-jobs", "0")
    link = BackendLink(BackendProcess(plan), None, "test")
    snapshot, _ = run(CaptureJob(link, JobRequest(tmp_path / "v.mp4", tmp_path / "clips")))
    link.close()
    assert (snapshot.state, snapshot.code) == ("failed", "backend_dead")
    assert "ended unexpectedly" in snapshot.words
    assert any("--max-jobs is 0" in line for line in snapshot.log_lines)


def test_python_that_is_not_there(tmp_path: Path) -> None:
    plan = LaunchPlan(tmp_path / "no" / "python", REPOSITORY, tmp_path / "state")
    link = BackendLink(BackendProcess(plan), None, "test")
    status = link.tick(0.01)
    link.close()
    assert status.state == "lost"
    assert "python" in status.words


def test_job_is_picked_up_by_id_in_a_new_program(tmp_path: Path) -> None:
    video = script(tmp_path, frames=300, pace_s=0.004)
    with running(tmp_path / "backend") as backend:
        first_link = BackendLink(None, backend.connection_file, "first")
        first = CaptureJob(first_link, JobRequest(video, tmp_path / "clips"))
        run(first, until="running")
        first_link.close()  # Blender was closed: nothing was cancelled
        second_link = BackendLink(None, backend.connection_file, "second")
        second = CaptureJob(second_link, JobRequest(video, tmp_path / "clips"), job_id=first.job_id)
        snapshot, chunks = run(second)
        second_link.close()
    assert snapshot.state == "done"
    assert frames_of(chunks, 1) == list(range(300))


def test_server_restarted_elsewhere_is_found_again(tmp_path: Path) -> None:
    """A remote server dies and comes back under another port and token: the connection file is read again."""
    backend = Backend(tmp_path / "backend").start()
    link = BackendLink(None, backend.connection_file, "test")
    job = CaptureJob(link, JobRequest(script(tmp_path, frames=300, pace_s=0.005), tmp_path / "clips"))
    run(job, until="running")
    psutil.wait_procs(backend.kill(), timeout=3)
    backend.start()
    snapshot, chunks = run(job, patience_s=60)
    link.close()
    assert backend.stop() == 0
    assert snapshot.state == "done"
    assert frames_of(chunks, 2) == list(range(300))


def test_wrong_token_is_a_refusal_in_words(tmp_path: Path) -> None:
    with running(tmp_path / "backend") as backend:
        forged = tmp_path / "forged.json"
        forged.write_text(backend.connection_file.read_text().replace(backend.info.token, "0" * 64))
        forged.chmod(0o600)
        link = BackendLink(None, forged, "test")
        wait_for(lambda: link.tick(0.01).state == "refused", "the refusal")
        assert link.status.words == "Denied"
        link.close()


def test_connection_file_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "open.json"
    path.write_text('{"endpoint": "tcp://127.0.0.1:1", "token": "x"}')
    path.chmod(0o644)
    link = BackendLink(None, path, "test")
    assert "chmod 600" in link.tick(0.01).words
    link.close()


@pytest.mark.parametrize("stay", [False, True])
def test_backend_ends_with_its_blender_unless_it_is_to_stay(tmp_path: Path, stay: bool) -> None:
    """kill -9 of the program that started the backend: no orphan, unless one was wanted."""
    code = (
        "import sys, time; from pathlib import Path; "
        "from tests.client.test_capture_job import launch_plan; "
        "from blender_addon.client.backend_process import BackendProcess; "
        f"process = BackendProcess(launch_plan(Path(sys.argv[1]), stay={stay})); process.start()\n"
        "while process.poll() is None: time.sleep(0.02)\n"
        "print(process.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code, str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=REPOSITORY) as blender:
        assert blender.stdout is not None
        server = psutil.Process(int(blender.stdout.readline()))
        wait_for(lambda: server.children(), "a worker")
        family = [server, *server.children(recursive=True)]
        blender.kill()
    if stay:
        time.sleep(1.0)
        assert server.is_running()
        server.terminate()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_no_half_file_when_the_result_cannot_be_kept(link: BackendLink, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.write_text("a file where a folder should be")
    snapshot, _ = run(CaptureJob(link, JobRequest(script(tmp_path, frames=10), clips)))
    assert (snapshot.state, snapshot.code) == ("failed", "output")
    assert clips.read_text() == "a file where a folder should be"


def test_a_stop_that_the_backend_does_not_answer_ends_all_the_same(
    process: BackendProcess, link: BackendLink, tmp_path: Path
) -> None:
    video = script(tmp_path, frames=4000, pace_s=0.005)
    job = CaptureJob(link, JobRequest(video, tmp_path / "clips"))
    run(job, until="running")
    psutil.Process(process.pid).suspend()  # alive, and deaf
    try:
        began = time.monotonic()
        job.cancel()
        snapshot, _ = run(job)
        assert time.monotonic() - began < 1.0 * load_factor()
        assert snapshot.state == "cancelled"
        assert "has not answered yet" in snapshot.words
    finally:
        psutil.Process(process.pid).resume()
    # the request to stop was kept: the work ends once the backend hears again
    watched = CaptureJob(link, JobRequest(video, tmp_path / "again"), job.job_id)
    assert run(watched)[0].state == "cancelled"


def test_a_stop_while_the_backend_starts_does_not_wait_for_it(tmp_path: Path) -> None:
    link = BackendLink(BackendProcess(launch_plan(tmp_path / "state", "--slow-start", "30")), None, "test")
    try:
        job = CaptureJob(link, JobRequest(script(tmp_path, frames=10), tmp_path / "clips"))
        job.tick()
        began = time.monotonic()
        job.cancel()
        assert run(job)[0].state == "cancelled"
        assert time.monotonic() - began < 1.0 * load_factor()
    finally:
        link.close()
