"""`serve` with workers that take their time and leave a real clip: for tests that capture from Blender.

Run by the main environment's Python. A job's video is a JSON script, as in tests/server/paced.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "server"), str(Path(__file__).parent)]

from clips import smooth_clip  # noqa: E402
from paced import PacedRunner  # noqa: E402

from backend.cli.serve import add_arguments, config_from, serve  # noqa: E402
from backend.server.job_runner import JobOutcome, JobSink  # noqa: E402
from backend.server.worker_main import run_worker  # noqa: E402
from backend.server.worker_protocol import RunJob  # noqa: E402
from blender_addon.motion.clip import write_clip  # noqa: E402


class ClipRunner(PacedRunner):
    """Carries out scripts; the result is a clip with the frames that were done, or nothing (`no_file`)."""

    def run(self, order: RunJob, sink: JobSink) -> JobOutcome:
        script = json.loads(Path(order.source).read_text(encoding="utf-8"))
        self._no_file = script.pop("no_file", False)
        plain = Path(order.output_dir) / "script.json"
        plain.write_text(json.dumps(script))
        return super().run(replace(order, source=str(plain)), sink)

    def _outcome(self, order: RunJob, done: int, cancelled: bool) -> JobOutcome:
        if self._no_file:
            return JobOutcome((), {"frames": float(done)}, (), cancelled)
        path = Path(order.output_dir) / "clip.npz"
        write_clip(smooth_clip(max(done, 2)), path)
        return JobOutcome((path,), {"frames": float(done)}, (), cancelled)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker")
    known, rest = parser.parse_known_args()
    if known.worker:
        device = argparse.ArgumentParser()
        device.add_argument("--device")
        run_worker(ClipRunner(device.parse_known_args(rest)[0].device))
        return 0
    served = argparse.ArgumentParser()
    add_arguments(served)
    return serve(replace(config_from(served.parse_args(rest)), worker_command=(sys.executable, __file__)))


if __name__ == "__main__":
    sys.exit(main())
