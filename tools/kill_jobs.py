"""Kill server, worker and client in the middle of jobs; every clip must be byte for byte the undisturbed one.

    python tools/kill_jobs.py [--kills 20] [--seed 1] [--quality fast] [--end 2.0]

Real backend, real weights, the shipped demo clip. A job bears two kills of the server, one of its worker and any number
of its client; the script draws which and when, after at least one frame was watched. Only the checkpoint's interval is
shortened, so that what is killed goes on instead of beginning anew. Ends with 1 where a clip differs or a job fails.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from backend.cli.serve import add_arguments, config_from, serve  # noqa: E402
from blender_addon.wire import messages as wire  # noqa: E402
from tests.server.harness import Backend, Peer, environment, wait_for  # noqa: E402

VIDEO = REPOSITORY / "assets" / "demo_clip.mp4"
PATIENCE_S = 200.0
WORKER = (
    "from backend.solving import checkpoint; checkpoint.Checkpoint.__init__.__defaults__ = (0.3,); "
    "from backend.server.worker_main import main; main()"
)
CLIENT = (
    "import sys, time; from pathlib import Path; from tests.server.harness import Peer; "
    "from blender_addon.wire import messages as wire; "
    "from blender_addon.wire.connection_file import read_connection_file as read; "
    "peer = Peer(read(Path(sys.argv[1]))); peer.ask(wire.Watch(sys.argv[2])); print('in', flush=True); time.sleep(600)"
)
KINDS = ("server", "worker", "client", "server", "client")


def run_server(words: list[str]) -> int:
    """`serve` whose worker writes its checkpoint three times a second."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    config = config_from(parser.parse_args(words))
    return serve(replace(config, worker_command=(sys.executable, "-c", WORKER)))


class Attack:
    """One backend and what was killed."""

    def __init__(self, folder: Path, options: wire.SolveOptions, seed: int) -> None:
        self.backend = Backend(folder / "backend", program=(str(Path(__file__)), "--as-server"))
        self.options = options
        self.chance = random.Random(seed)
        self.killed: list[str] = []
        self.attempts: list[int] = []

    def solve(self, kinds: tuple[str, ...]) -> str:
        """SHA-256 of the clip of one job during which everything in `kinds` was killed. Raises AssertionError."""
        job_id = uuid.uuid4().hex
        with Peer(self.backend.info) as peer:
            peer.wait_until_ready()
            peer.ask(wire.Submit(job_id, wire.Source("path", str(VIDEO)), self.options))
        for kind in kinds:
            self._kill(kind, job_id)
        with Peer(self.backend.info) as peer:
            peer.ask(wire.Watch(job_id))
            ending = peer.until_end(job_id, PATIENCE_S)[1]
            assert isinstance(ending, wire.Done), ending
            self.attempts.append(ending.attempt)
            part = peer.ask(wire.Fetch(job_id, 0, 0, 1 << 20)).data.tobytes()
            assert hashlib.sha256(part).hexdigest() == ending.files[0].sha256
            peer.ask(wire.Release(job_id))
        return ending.files[0].sha256

    def _kill(self, kind: str, job_id: str) -> None:
        """Kill one process while the job runs, once it has seen some more frames."""
        with Peer(self.backend.info) as peer:
            wait_for(lambda: self._frames(peer, job_id) > 0 or self._is_over(peer, job_id), "frames", PATIENCE_S)
            more = self._frames(peer, job_id) + self.chance.randrange(1, 12)
            wait_for(lambda: self._frames(peer, job_id) >= more or self._is_over(peer, job_id), "more", PATIENCE_S)
            if self._is_over(peer, job_id):
                return
        if kind == "server":
            self.backend.kill()
            self.backend.start()
        elif kind == "worker":
            os.kill(self.backend.worker_pid(), signal.SIGKILL)
            time.sleep(0.5)
        else:
            self._kill_client(job_id)
        self.killed.append(kind)

    def _kill_client(self, job_id: str) -> None:
        command = [sys.executable, "-c", CLIENT, str(self.backend.connection_file), job_id]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), cwd=REPOSITORY) as client:
            assert client.stdout is not None
            client.stdout.readline()
            client.kill()

    def _job(self, peer: Peer, job_id: str) -> Any:
        return next(job for job in peer.ask(wire.ListJobs()).jobs if job.job_id == job_id)

    def _frames(self, peer: Peer, job_id: str) -> int:
        job = self._job(peer, job_id)
        return int(job.done) if job.state == "running" and job.stage == "people" else 0

    def _is_over(self, peer: Peer, job_id: str) -> bool:
        return self._job(peer, job_id).state not in ("queued", "running") or self._job(peer, job_id).stage == "poses"


def main() -> int:
    """Run the attack; 0 where every clip is the undisturbed one."""
    if sys.argv[1:2] == ["--as-server"]:
        return run_server(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quality", default="fast")
    parser.add_argument("--end", type=float, default=2.0)
    arguments = parser.parse_args()
    options = wire.SolveOptions(quality=arguments.quality, start_s=0.0, end_s=arguments.end)
    with tempfile.TemporaryDirectory() as folder:
        attack = Attack(Path(folder), options, arguments.seed)
        attack.backend.start()
        try:
            undisturbed = attack.solve(())
            different = 0
            while len(attack.killed) < arguments.kills:
                kinds = tuple(attack.chance.sample(KINDS, len(KINDS)))
                different += attack.solve(kinds) != undisturbed
                print(f"killed {len(attack.killed)} {attack.killed[-5:]}, {different} clips differ", flush=True)
        finally:
            attack.backend.stop()
    counts = {kind: attack.killed.count(kind) for kind in sorted(set(KINDS))}
    print(f"{counts}; attempts {attack.attempts[1:]}; {different} clips differ from {undisturbed[:16]}")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
