"""A Ray cluster of two workers on this machine: the same steps, results behind a URL, workers killed in the middle."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.batch.batch_files import contents_of
from tests.batch.batch_runs import BLENDER, ROOT, needs_blender

pytest.importorskip("ray", reason="the extra `batch` is not installed")
pytestmark = [pytest.mark.timeout(400), pytest.mark.slow]


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a head and two workers with one processor each."""
    command = [sys.executable, str(ROOT / "tools" / "ray_cluster.py"), "--workers", "2"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "Ray did not come up"
        yield address
        process.communicate()


def at_work(*names: str) -> list[psutil.Process]:
    """Ray's worker processes that are at a task of ours; Ray names them after it."""
    marks = tuple(f"ray::{name}" for name in names or ("solve", "export", "look"))
    found = []
    for process in psutil.process_iter():
        try:
            if any(word.startswith(marks) for word in process.cmdline()[:1]):
                found.append(process)
        except psutil.Error:
            continue
    return found


@needs_blender
def test_a_cluster_gives_what_the_pool_gives_and_survives_a_killed_worker(start, video, cluster: str) -> None:
    words = (video("a"), video("b"), "--format", "clip,bvh,overlay", "--blender", BLENDER)
    alone = start(*words, out="pool").finish()
    assert alone.code == 0, alone.errors
    running = start(*words, "--ray", cluster, out="shared", url="local")
    running.wait_for(lambda: bool(at_work()))
    at_work()[0].kill()
    running.wait_for(lambda: bool(at_work("RayProgress")))
    at_work("RayProgress")[0].kill()  # progress is lost, the work is not
    done = running.finish()
    assert done.code == 0, done.errors
    assert done.events[-1]["done"] == 2
    assert contents_of(done.out, BLENDER) == contents_of(alone.out, BLENDER)
