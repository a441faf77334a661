"""Kills at any moment, workers that die, Ctrl-C once and twice: nothing is lost, and the next run goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.batch.batch_files import contents_of
from tests.batch.batch_runs import BLENDER, RIG, Running, needs_blender, needs_signals

pytestmark = pytest.mark.timeout(300)


def descendants(running: Running, word: str) -> list[psutil.Process]:
    """Processes below the batch whose command line holds a word."""
    found = []
    for process in psutil.Process(running.process.pid).children(recursive=True):
        try:
            if word in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def workers(running: Running) -> list[psutil.Process]:
    """The pool's own processes."""
    return descendants(running, "spawn_main")


def statuses(running: Running) -> dict[str, str]:
    """What the records say."""
    files = (running.out / ".batch" / "records").glob("[!.]*.json")
    records = [json.loads(path.read_text()) for path in files]
    return {record["base"]: record["status"] for record in records}


@needs_blender
def test_killed_at_random_moments_and_resumed(start, video) -> None:
    """Three kills with one seed; `tools/check_batch.py --kills 10` does ten with all formats."""
    videos = [video("a"), video("b")]
    words = (*videos, "--rig", RIG, "--format", "clip,bvh,fbx,overlay", "--blender", BLENDER)
    began = time.monotonic()
    undisturbed = start(*words, out="undisturbed").finish()
    took_s = time.monotonic() - began
    assert undisturbed.code == 0
    moments = random.Random(6)
    for _ in range(3):
        start(*words).kill_after(moments.uniform(0.15, 0.8) * took_s)
    finished = start(*words).finish()
    assert finished.code == 0
    assert contents_of(finished.out, BLENDER) == contents_of(undisturbed.out, BLENDER)
    assert not list(finished.out.rglob(".*.????????")), "a torn file was left"
    assert not list((finished.out / ".batch" / "work").glob("task-*"))


@needs_blender
def test_a_killed_worker_and_a_killed_blender_cost_a_second_try_and_nothing_else(start, video) -> None:
    running = start(video("a"), video("b"), "--format", "bvh,clip", "--blender", BLENDER)
    running.wait_for(lambda: bool(descendants(running, "inside_blender")))
    descendants(running, "inside_blender")[0].kill()
    done = running.finish()
    assert done.code == 0, done.errors
    assert sorted(entry["attempts"] for entry in done.report.values())[-1] == 2

    running = start(video("a"), video("b"), "--format", "clip", out="other")
    running.wait_for(lambda: bool(workers(running)))
    workers(running)[0].kill()
    done = running.finish()
    assert done.code == 0, done.errors
    assert sorted(entry["attempts"] for entry in done.report.values())[-1] == 2


def test_a_worker_that_needs_too_much_memory_is_named(batch, video) -> None:
    done = batch(video("a"), "--format", "clip", "--memory", "20M")
    assert done.code == 1
    assert done.report["a/a"]["error_code"] == "worker"
    assert "--memory" in done.report["a/a"]["error"]


def test_nothing_stays_behind_when_the_batch_is_killed(start, video) -> None:
    running = start(video("a"), "--format", "clip")
    running.wait_for(lambda: bool(workers(running)))
    left = workers(running)
    running.kill()
    gone, alive = psutil.wait_procs(left, timeout=10)
    assert (len(gone), alive) == (len(left), [])


@needs_signals
def test_ctrl_c_finishes_what_has_begun_and_leaves_the_rest(start, video) -> None:
    videos = [video(name) for name in "abcdef"]
    running = start(*videos, "--format", "clip,overlay")
    running.wait_for(lambda: "running" in statuses(running).values())
    running.interrupt()
    done = running.finish()
    assert done.code == 130
    found = {name: entry["status"] for name, entry in done.report.items()}
    assert set(found.values()) == {"done", "stopped"}
    for name, status in found.items():
        assert (done.out / f"{name}.npz").exists() == (status == "done")
    again = start(*videos, "--format", "clip,overlay").finish()
    assert again.code == 0
    assert {name for name, entry in again.report.items() if entry["reused"]} == {
        name for name, status in found.items() if status == "done"
    }


@needs_signals
def test_a_second_ctrl_c_stops_at_once(start, video) -> None:
    running = start(video("a"), video("b"), "--format", "clip,overlay")
    running.wait_for(lambda: bool(workers(running)) and "running" in statuses(running).values())
    left = workers(running)
    running.interrupt()
    time.sleep(0.3)
    began = time.monotonic()
    running.interrupt()
    done = running.finish()
    assert time.monotonic() - began < 15.0
    assert done.code == 130
    assert not [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert json.loads((done.out / "report.json").read_text())


@needs_signals
def test_a_terminated_batch_stops_like_ctrl_c(start, video) -> None:
    running = start(video("a"), video("b"), video("c"), "--format", "clip")
    running.wait_for(lambda: "running" in statuses(running).values())
    os.kill(running.process.pid, signal.SIGTERM)
    assert running.finish().code in (0, 130)


def test_a_damaged_record_or_solved_clip_is_done_again(start, video) -> None:
    first = start(video("a"), "--format", "clip").finish()
    assert first.code == 0
    before = contents_of(first.out, None)
    for path in (first.out / ".batch").rglob("*.json"):
        path.write_bytes(b"\x00torn")
    (first.out / "a" / "a.npz").unlink()
    again = start(video("a"), "--format", "clip").finish()
    assert again.code == 0, Path(again.out / "report.json").read_text(encoding="utf-8")
    assert contents_of(again.out, None) == before
