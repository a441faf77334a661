"""Load and soak: eight client processes at once, ten thousand requests; nothing lost, nothing doubled, no growth."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from blender_addon.wire import messages as wire
from tests.server.harness import REPOSITORY, Peer, environment, running

CLIENTS = 8
JOBS = 20
SOAK = 10_000
GROWTH_BYTES = 8 << 20


def test_eight_clients_with_twenty_jobs_each(tmp_path: Path) -> None:
    with running(tmp_path / "backend", "--max-jobs", "6") as backend, Peer(backend.info) as peer:
        peer.wait_until_ready()
        clients = [start_client(backend.connection_file, tmp_path, number) for number in range(CLIENTS)]
        memory = []
        while any(client.poll() is None for client in clients):
            memory.append(backend.memory_bytes())
            time.sleep(0.2)
        outputs = [client.communicate() for client in clients]
        assert [client.returncode for client in clients] == [0] * CLIENTS, outputs
        endings = [json.loads(output) for output, _ in outputs]
        jobs = {job_id: ending for part in endings for job_id, ending in part.items()}
        assert len(jobs) == CLIENTS * JOBS
        counts = Counter(jobs.values())
        assert set(counts) == {"done", "cancelled"}
        logged = Counter(line["job_id"] for line in backend.log("job ended"))
        assert logged == dict.fromkeys(jobs, 1), "every job ended exactly once"
        assert peer.status().jobs == {}
        assert backend.job_folders() == []
        settled = memory[len(memory) // 4 :]
        assert max(settled) - min(settled) < GROWTH_BYTES


def start_client(connection_file: Path, folder: Path, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(REPOSITORY / "tests" / "server" / "load_client.py")]
    arguments = [str(connection_file), str(folder), str(number), str(JOBS)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, *arguments], env=environment(), cwd=REPOSITORY, text=True, **pipes)  # type: ignore[call-overload]


def test_ten_thousand_small_requests(tmp_path: Path) -> None:
    with running(tmp_path / "backend", "--rate", "1000000") as backend, Peer(backend.info) as peer:
        peer.wait_until_ready()
        kinds = (wire.Ping(), wire.Status(), wire.ListJobs(), wire.Watch("0" * 32), wire.Ping())
        memory, seconds = 0, []
        for number in range(SOAK):
            asked = time.perf_counter()
            reply = peer.ask(kinds[number % len(kinds)])
            seconds.append(time.perf_counter() - asked)
            assert isinstance(reply, wire.Pong | wire.ServerStatus | wire.JobList | wire.Refused)
            if number == SOAK // 5:
                memory = backend.memory_bytes()
        assert backend.memory_bytes() - memory < GROWTH_BYTES
        assert peer.stray == [], "no reply without its request"
        assert peer.status().refusals == {"unknown_job": SOAK // len(kinds)}
        assert statistics.median(seconds) < 0.010, "benchmarks/service.py holds the 2 ms on a quiet machine"
