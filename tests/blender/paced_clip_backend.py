"""`serve` with workers that take their time and leave a real clip: for tests that capture from Blender.

Run by the main environment's Python. A job's video is a JSON script, as in tests/server/paced.py. Of a take the first
video is the script; its clip has a camera for each, and `left_out` is the place of one that takes no part.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "server"), str(Path(__file__).parent)]

from clips import left_out, smooth_clip, take_clip  # noqa: E402
from paced import PacedRunner, Script  # noqa: E402

from backend.cli.serve import add_arguments, config_from, serve  # noqa: E402
from backend.server.job_runner import JobOutcome, JobSink  # noqa: E402
from backend.server.worker_main import run_worker  # noqa: E402
from backend.server.worker_protocol import RunJob  # noqa: E402
from blender_addon.motion.clip import write_clip  # noqa: E402


class ClipRunner(PacedRunner):
    """Carries out scripts; the result is a clip with the frames that were done, or nothing (`no_file`)."""

    def run(self, order: RunJob, sink: JobSink) -> JobOutcome:
        script = json.loads(Path(order.source).read_text(encoding="utf-8"))
        self._no_file, self._left_out = script.pop("no_file", False), script.pop("left_out", 0)
        plain = Path(order.output_dir) / "script.json"
        plain.write_text(json.dumps(script))
        return super().run(replace(order, source=str(plain)), sink)

    def _outcome(self, order: RunJob, script: Script, done: int, cancelled: bool) -> JobOutcome:
        if self._no_file:
            return JobOutcome((), {"frames": float(done)}, (), cancelled)
        path, frames = Path(order.output_dir) / "clip.npz", max(done, 2)
        if not order.videos:
            write_clip(smooth_clip(frames), path)
            return JobOutcome((path,), {"frames": float(done)}, (), cancelled)
        bodies = order.videos[: len(order.videos) - order.take.close_ups]
        clip = take_clip(frames, sources=tuple(video.path for video in bodies))
        write_clip(left_out(clip, self._left_out, "its camera moves") if self._left_out else clip, path)
        setup = path.with_name("setup.json")
        told = {"offsets": [[one.source, one.start_s] for one in order.take.offsets]}
        if order.take.close_ups or order.take.calibration:
            calibration = {file.name: "".join(file.text) for file in order.take.calibration}
            told |= {"close_ups": [video.name for video in order.videos[len(bodies) :]], "calibration": calibration}
        setup.write_text(json.dumps(told))
        return JobOutcome((path, setup), {"frames": float(done)}, (), cancelled)


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
