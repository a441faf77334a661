"""Inside Windows: the backend that Set Up Backend made, served to the add-on's real client. See `windows_check.py`.

    python windows_inside.py setup EXTENSION FOLDER     make the backend's environment with no field filled in
    python windows_inside.py service VIDEO FOLDER       connect, capture, cancel, kill and resume, second client, stop

`setup` runs with any Python and imports the unpacked extension at EXTENSION; `service` runs with the Python of the
environment. The last line of output is JSON with what was measured; the exit code says whether all held.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

PATIENCE_S = 180.0


def set_up(extension: Path, folder: Path) -> dict[str, Any]:
    """Run the plan of Set Up Backend, as the operator does."""
    sys.path.insert(0, str(extension))
    from blender_addon.client.backend_setup import SetupRun, plan_beside

    began = time.monotonic()
    run = SetupRun(plan_beside(folder / "backend", None, "", extension), folder / "backend_setup.log")
    while run.poll() == "running":
        time.sleep(0.1)
    if run.state != "done":
        raise SystemExit("\n".join([run.message, *run.log_tail(30)]))
    return {"set_up_s": round(time.monotonic() - began, 1)}


class Client:
    """The add-on's client with a backend of its own in `state`."""

    def __init__(self, state: Path) -> None:
        from blender_addon.client.backend_process import BackendProcess, LaunchPlan
        from blender_addon.client.link import BackendLink

        environment = {"PYTHONSAFEPATH": "1"}
        plan = LaunchPlan(Path(sys.executable), state.parent, state, ("--device", "cpu"), environment=environment)
        state.parent.mkdir(parents=True, exist_ok=True)
        self.process = BackendProcess(plan)
        self.link = BackendLink(self.process, None, "windows check")

    def connect(self) -> float:
        """Seconds until the connection was open."""
        began = time.monotonic()
        while self.link.tick(0.01).state != "open":
            if time.monotonic() - began > PATIENCE_S or self.link.status.state == "dead":
                raise SystemExit(f"no connection: {self.link.status}")
            time.sleep(0.01)
        return round(time.monotonic() - began, 2)

    def job(self, video: Path, folder: Path) -> Any:
        """A capture of the video, started."""
        from blender_addon.client.job import CaptureJob, JobRequest
        from blender_addon.wire import messages as wire

        return CaptureJob(self.link, JobRequest(video, folder, wire.SolveOptions(quality="fast")))

    def worker_bytes(self) -> int:
        """The memory of the worker, as the server measures it."""
        from blender_addon.wire import messages as wire

        answers: list[Any] = []
        self.link.ask(wire.Status(), answers.append)
        began = time.monotonic()
        while not answers and time.monotonic() - began < PATIENCE_S:
            self.link.tick(0.01)
            time.sleep(0.01)
        return max(worker.memory_bytes for worker in answers[0].workers)


def follow(job: Any, until_frames: int = 0) -> Any:
    """Tick a job until it is over, or so many frames have come."""
    frames, began = 0, time.monotonic()
    while time.monotonic() - began < PATIENCE_S:
        snapshot = job.tick()
        frames += sum(len(chunk.frame_index) for chunk in job.take_chunks())
        if snapshot.over or (until_frames and frames >= until_frames):
            return snapshot
        time.sleep(0.01)
    raise SystemExit(f"waited {PATIENCE_S} s: {job.snapshot}")


def service(video: Path, folder: Path) -> dict[str, Any]:
    """Everything that a day with the add-on asks of a backend. Raises SystemExit with what did not hold."""
    import psutil

    client, found = Client(folder / "state"), {}
    found["connect_s"] = client.connect()
    whole = follow(client.job(video, folder / "whole"))
    _require(whole.state == "done", whole)
    found["worker_mib"] = client.worker_bytes() >> 20
    _require(found["worker_mib"] > 100, "the memory limit watches another process than the worker")
    job = client.job(video, folder / "stopped")
    follow(job, until_frames=4)
    asked = time.monotonic()
    job.cancel()
    stopped = follow(job)
    found["cancel_s"] = round(time.monotonic() - asked, 2)
    _require(stopped.state == "cancelled", stopped)
    job = client.job(video, folder / "resumed")
    follow(job, until_frames=4)
    psutil.Process(client.process.pid).kill()
    resumed = follow(job)
    _require(resumed.state == "done", resumed)
    _require(same(whole.paths[0], resumed.paths[0]), "the clip of a killed and resumed capture is another one")
    second = Client(folder / "state")
    found["second_s"] = second.connect()
    _require(second.process.plan.state_dir != client.process.plan.state_dir, "two backends share a folder")
    second.link.close()
    client.link.close()
    _require(client.process.exit_code == 0, f"the backend was not asked to stop, it ended {client.process.exit_code}")
    return found


def same(one: Path, other: Path) -> bool:
    """Whether two clips hold the same arrays, bit for bit."""
    import numpy as np

    with np.load(one) as left, np.load(other) as right:
        return left.files == right.files and all(left[name].tobytes() == right[name].tobytes() for name in left.files)


def _require(truth: object, complaint: object) -> None:
    if not truth:
        raise SystemExit(f"FAILED: {complaint}")


def main() -> None:
    """Command line."""
    stage, first, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    found = {"setup": set_up, "service": service}[stage](first, folder)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
