"""A Ray cluster of two workers on this machine: the same steps, results behind a URL, a worker killed in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.batch.batch_files import contents_of
from tests.batch.batch_runs import BLENDER, needs_blender

pytest.importorskip("ray", reason="the extra `batch` is not installed")
pytestmark = [pytest.mark.timeout(400), pytest.mark.slow]
RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a head without processors and two workers with one each, in processes of their own."""
    folder = Path(f"/tmp/marionet-ray-{os.getpid()}")  # Ray's sockets want a short path
    address = f"127.0.0.1:{free_port()}"
    environment = {**os.environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    common = ["--object-store-memory", "100000000", "--disable-usage-stats"]
    head = ["--head", "--port", address.rpartition(":")[2], "--include-dashboard", "false", "--temp-dir", str(folder)]
    nodes = [[*head, "--num-cpus", "0"], *[["--address", address, "--num-cpus", "1"]] * 2]
    log = (tmp_path_factory.mktemp("ray") / "ray.log").open("wb")
    running = []
    try:
        for words in nodes:
            command = [str(RAY), "start", "--block", "--node-ip-address", "127.0.0.1", *words, *common]
            running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))
            wait_for_port(address)
        wait_for_nodes(running)
        yield address
    finally:
        for process in reversed(running):
            end_group(process)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_port(address: str) -> None:
    import socket

    host, _, port = address.rpartition(":")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("Ray's head does not come up")


def wait_for_nodes(running: list[subprocess.Popen[bytes]]) -> None:
    """Until each has its raylet."""
    until = time.monotonic() + 90
    while not all(below(process, "raylet") for process in running):
        assert time.monotonic() < until, "Ray's workers do not come up"
        time.sleep(0.3)


def below(process: subprocess.Popen[bytes], word: str) -> list[psutil.Process]:
    """Processes below one whose name or command line begins with a word."""
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        try:
            if word in one.name() or (one.cmdline() and one.cmdline()[0].startswith(word)):
                found.append(one)
        except psutil.Error:
            continue
    return found


def end_group(process: subprocess.Popen[bytes]) -> None:
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:
        try:
            child.kill()
        except psutil.Error:
            continue


def task_processes() -> list[psutil.Process]:
    """Ray's worker processes that are at a task of ours; Ray names them after it."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(word.startswith(("ray::solve", "ray::export", "ray::look")) for word in process.cmdline()[:1]):
                found.append(process)
        except psutil.Error:
            continue
    return found


@needs_blender
def test_a_cluster_gives_what_the_pool_gives_and_survives_a_killed_worker(start, film, cluster: str) -> None:
    words = (film("a"), film("b"), "--format", "clip,bvh,overlay", "--blender", BLENDER)
    alone = start(*words, out="pool").finish()
    assert alone.code == 0, alone.errors
    running = start(*words, "--ray", cluster, out="shared", url="local")
    running.wait_for(lambda: bool(task_processes()), 90)
    task_processes()[0].send_signal(signal.SIGKILL)
    done = running.finish()
    assert done.code == 0, done.errors
    assert done.events[-1]["done"] == 2
    assert contents_of(done.out, BLENDER) == contents_of(alone.out, BLENDER)
