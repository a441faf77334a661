"""`status` of a running server, and a log that does not grow without end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from backend.server.log_file import KEPT_LOGS, LogFile
from blender_addon.wire import messages as wire
from tests.server.harness import REPOSITORY, Backend, Peer, environment, script, wait_for


def status(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backend", "status", *words]
    return subprocess.run(
        command, env=environment(), cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )


def test_status_says_what_the_server_does(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    slow, waiting = uuid.uuid4().hex, uuid.uuid4().hex
    peer.submit(slow, script(tmp_path, "slow.json", frames=2000, pace_s=0.01))
    peer.submit(waiting, script(tmp_path, "waiting.json", frames=5))
    wait_for(lambda: any(job.state == "running" for job in peer.ask(wire.ListJobs()).jobs), "a running job")
    done = status("--connection-file", str(backend.connection_file), "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["busy_workers"] == 1
    assert record["queued"] >= 1
    assert record["pid"] == backend.info.pid
    assert record["protocol"] == f"{wire.PROTOCOL_MAJOR}.{wire.PROTOCOL_MINOR}"
    assert {job["job_id"]: job["state"] for job in record["jobs"]}[slow] == "running"
    words = status("--connection-file", str(backend.connection_file)).stdout
    assert "Workers: 1 of 1 busy" in words
    assert f"{waiting}  queued" in words
    assert backend.info.token not in words
    for job_id in (slow, waiting):
        peer.ask(wire.Cancel(job_id))


def test_status_of_no_server_is_an_error_in_words(backend: Backend, tmp_path: Path) -> None:
    missing = status("--connection-file", str(tmp_path / "none.json"))
    assert missing.returncode == 8
    assert "no connection file" in missing.stderr
    stale = tmp_path / "stale.json"
    stale.write_text(json.dumps(json.loads(backend.connection_file.read_text()) | {"endpoint": "tcp://127.0.0.1:1"}))
    stale.chmod(0o600)
    silent = status("--connection-file", str(stale), "--patience", "0.5")
    assert silent.returncode == 8
    assert "does not answer" in silent.stderr
    stale.write_text(json.dumps(json.loads(backend.connection_file.read_text()) | {"token": "0" * 64}))
    denied = status("--connection-file", str(stale))
    assert denied.returncode == 8
    assert "Denied" in denied.stderr


PROGRAM = """
import subprocess, sys, os
from pathlib import Path
from backend.server.log_file import LogFile
log = LogFile(Path(sys.argv[1]), most_bytes=2000, kept=3)
child = [sys.executable, "-c", "import sys; print('from a child', file=sys.stderr)"]
for number in range(8):
    print("line", number, "x" * 1500, file=sys.stderr, flush=True)
    subprocess.run(child, check=True)
    log.rotate_if_large()
print("the last line", flush=True)
"""


def test_the_log_is_rotated_and_children_write_on(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "backend.log"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(log)], env=environment(), cwd=REPOSITORY, capture_output=True, check=True
    )
    assert done.stdout == b""
    names = sorted(path.name for path in log.parent.iterdir())
    assert names == ["backend.log", "backend.log.1", "backend.log.2", "backend.log.3"]
    assert all(path.stat().st_size < 5000 for path in log.parent.iterdir())
    assert log.read_text().endswith("the last line\n")
    assert "line 7" in (log.parent / "backend.log.1").read_text()
    assert "from a child" in (log.parent / "backend.log.1").read_text()
    if os.name == "posix":
        assert all(path.stat().st_mode & 0o077 == 0 for path in log.parent.iterdir())
    assert KEPT_LOGS == 4


def test_serve_logs_to_a_file(tmp_path: Path) -> None:
    log = tmp_path / "marionet.log"
    backend = Backend(tmp_path / "backend", "--log-file", str(log), program=("-m", "backend", "serve")).start()
    assert backend.stop() == 0
    assert '"listening"' in log.read_text()
    assert '"worker started"' in log.read_text() or '"worker starts"' in log.read_text()
    assert backend.log_file.read_text() == ""


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    from backend.errors import ServiceError

    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="--log-file"):
        LogFile(tmp_path / "file" / "log")
