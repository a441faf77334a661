"""Live capture, end to end: poses a second, latency from image to `live_frame`, memory growth, accuracy, stillness.

A paced video with its frame number in each image stands in for the camera (`tools/paced_stream.py`), the product's own
server solves it, a client receives the frames. Afterwards the recording tells which image each pose is of, and the
camera's log when it was taken.

usage: python benchmarks/live.py [--seconds 600] [--way http|udp] [--recording FOLDER] [--still] [--json]

--recording compares live with `solve --quality fast` on a recording with truth (`evaluate --recording`); --still
measures the jitter of a person who stands still, with a sensor's noise. Exit status 3 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the command line sets it for itself and its workers
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import av
import numpy as np
import psutil
import zmq
from paced_stream import read_number

from benchmarks.outcome import MISSED
from blender_addon.wire import messages as wire
from blender_addon.wire.codec import FROM_SERVER, decode, encode
from blender_addon.wire.connection_file import ConnectionFileError, read_connection_file
from blender_addon.wire.transport import client_socket

REPOSITORY = Path(__file__).resolve().parents[1]
VIDEO = REPOSITORY / "assets" / "demo_clip.mp4"
WARM_S = 6.0  # calibration and the first allocations
LEAST_FPS, MEDIAN_MS, HIGH_MS, MOST_GROWTH_MB, MOST_WORSE_MM, MOST_JITTER_MM = 25.0, 120.0, 220.0, 20.0, 15.0, 2.0


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of `seconds` gave."""

    way: str
    seconds: float
    poses_a_second: float
    latency_median_ms: float
    latency_95_ms: float
    memory_growth_mb: float
    worker_ms_a_pose: float
    """Processor time of the worker: decoding and recording of every image included."""
    captured: int
    dropped: int
    load: float


@dataclass(frozen=True, slots=True)
class Received:
    """Live frames with their times of arrival, the worker's memory and processor time, and the job."""

    frames: list[tuple[float, wire.LiveFrame]]
    memory_mb: list[float]
    worker_ms_a_pose: float
    job_id: str


def measure(seconds: float, way: str, folder: Path) -> Run:
    """One run."""
    log = folder / "camera.log"
    udp = ["--udp", "127.0.0.1:23457"] if way == "udp" else []
    feed_command = [sys.executable, "tools/paced_stream.py", str(VIDEO), "--hold", "5", "--log", str(log), *udp]
    feed = subprocess.Popen(feed_command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said = feed.stdout.readline().strip() if feed.stdout else ""
    url = f"udp://{said}" if way == "udp" else f"http://127.0.0.1:{said}/video"
    connection = folder / "connection.json"
    command = [sys.executable, "-m", "backend", "serve", "--device", "cpu", "--data-dir", str(folder / "data")]
    with (folder / "server.log").open("wb") as server_log:
        server = subprocess.Popen([*command, "--connection-file", str(connection)], cwd=REPOSITORY, stderr=server_log)
    try:
        received = _receive(connection, server.pid, url, seconds)
        return _evaluated(way, seconds, received, folder / "data" / "jobs" / received.job_id / "result", log)
    finally:
        feed.kill()
        server.terminate()
        server.wait()


class _Meter:
    """The worker's memory and processor time, looked at every two seconds."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.memory_mb: list[float] = []
        self._cpu: list[tuple[float, int]] = []

    def look(self, poses: int) -> None:
        """Take a sample after so many poses."""
        workers = psutil.Process(self._pid).children()
        self.memory_mb.append(sum(one.memory_info().rss for one in workers) / 1e6)
        self._cpu.append((sum(sum(one.cpu_times()[:2]) for one in workers), poses))

    @property
    def ms_a_pose(self) -> float:
        """Processor time between the first and the last sample."""
        (begun_s, before), (ended_s, after) = self._cpu[0], self._cpu[-1]
        return 1000 * (ended_s - begun_s) / max(after - before, 1)


class _Client:
    """A client that follows one live job."""

    def __init__(self, connection: Path) -> None:
        info = None
        while info is None:
            time.sleep(0.1)
            try:
                info = read_connection_file(connection)
            except ConnectionFileError:
                continue
        self._context: zmq.Context = zmq.Context()
        self._socket, self._ids = client_socket(self._context, info), count(1)
        self.say(wire.Hello(info.token, "benchmark"))

    def say(self, message: object) -> None:
        """Send a request."""
        self._socket.send_multipart(encode(message, str(next(self._ids))))

    def hear(self) -> object:
        """The next message, None after a tenth of a second."""
        if not self._socket.poll(100):
            return None
        message = decode(self._socket.recv_multipart(), FROM_SERVER).message
        if isinstance(message, wire.Failed | wire.Refused):
            raise SystemExit(f"{message.code}: {message.message}")
        return message

    def close(self) -> None:
        """Leave."""
        self._socket.close(linger=0)
        self._context.term()


def _receive(connection: Path, pid: int, url: str, seconds: float) -> Received:
    """What a client gets in `seconds`, after the first ones."""
    client, meter, job_id = _Client(connection), _Meter(pid), uuid.uuid4().hex
    client.say(wire.Submit(job_id, wire.Source("live", url, record=True), wire.SolveOptions(quality="fast")))
    frames: list[tuple[float, wire.LiveFrame]] = []
    since_s, look_s, stopping, over = float("inf"), 0.0, False, False
    while not over:
        now_s = time.monotonic()
        measuring = not stopping and now_s - since_s > WARM_S
        if now_s > look_s:
            look_s = now_s + 2.0
            client.say(wire.Ping())
            if measuring:
                meter.look(len(frames))
        if measuring and now_s - since_s > WARM_S + seconds:
            stopping = True
            client.say(wire.Cancel(job_id))
        message = client.hear()
        if isinstance(message, wire.LiveFrame) and message.state == "live":
            since_s = min(since_s, now_s)
            if measuring:
                frames.append((time.time(), message))
        over = isinstance(message, wire.Done) or (isinstance(message, wire.JobCancelled) and not message.finishing)
    client.close()
    return Received(frames, meter.memory_mb, meter.ms_a_pose, job_id)


def _evaluated(way: str, seconds: float, received: Received, result: Path, log: Path) -> Run:
    frames, memory = received.frames, received.memory_mb
    lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    taken_s = {int(line[0]): float(line[1]) for line in lines if len(line) == 2}
    with av.open(str(result / "recording.mkv")) as recording:
        numbers = [read_number(frame.to_ndarray(format="rgb24")) for frame in recording.decode(video=0)]
    missing = frames[-1][1].captured - len(numbers)
    shift = 0 if way == "http" else max(missing, 0)  # of a stream that was joined between two key frames
    latency = [
        came_s - taken_s[numbers[frame.frame_index - shift]]
        for came_s, frame in frames
        if 0 <= frame.frame_index - shift < len(numbers)
    ]
    quarter = max(1, len(memory) // 4)
    growth = float(np.mean(memory[-quarter:]) - np.mean(memory[:quarter]))
    first, last = frames[0][1], frames[-1][1]
    return Run(
        way,
        seconds,
        len(frames) / max(frames[-1][0] - frames[0][0], 1e-3),
        float(np.median(latency)) * 1000,
        float(np.percentile(latency, 95)) * 1000,
        growth,
        received.worker_ms_a_pose,
        last.captured - first.captured,
        last.dropped - first.dropped,
        psutil.getloadavg()[0],
    )


def compare(folder: Path) -> dict[str, float]:
    """mpjpe_clip in mm over the trusted cameras of a recording with truth, live and solved as a file."""
    from backend.evaluation.recording import read_recording, score_recording
    from backend.live.replay import replay
    from backend.pipeline import SolveRequest, solve
    from backend.solving.models import load_models
    from backend.solving.request import SolveQuality

    models, recording = load_models(SolveQuality.FAST, "cpu"), read_recording(folder)
    errors: dict[str, list[float]] = {"live": [], "file": []}
    for camera in (one for one in recording.cameras if one.trusted):
        live = replay(camera.video, models)
        with tempfile.TemporaryDirectory() as aside:
            request = SolveRequest(camera.video, Path(aside) / "clip.npz", quality=SolveQuality.FAST)
            clip = solve(request, models=models).clips[0]
        for name, times_s, joints in (
            ("live", live.times_s, live.joints_camera_m),
            ("file", clip.times_s, clip.joints_camera_m),
        ):
            scored = score_recording(recording, camera, np.asarray(times_s, np.float64), np.asarray(joints, np.float64))
            errors[name].append(scored.mpjpe_clip_mm)
    return {f"{name}_mpjpe_clip_mm": float(np.mean(values)) for name, values in errors.items()}


def still(folder: Path, frames: int = 200) -> float:
    """Mean way of a joint from frame to frame in mm, of a person who stands still before a sensor's noise."""
    from paced_stream import load_images

    from backend.live.replay import replay
    from backend.solving.models import load_models
    from backend.solving.request import SolveQuality

    image = load_images(VIDEO, 640, 480, 0.0)[0]
    random, video = np.random.default_rng(1), folder / "still.mkv"
    with av.open(str(video), "w") as output:
        stream = output.add_stream("mjpeg", rate=30, options={"qscale": "3"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuvj420p"
        for _ in range(frames):
            noisy = np.clip(image + random.integers(-8, 9, image.shape, np.int16), 0, 255).astype(np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        output.mux(stream.encode(None))
    joints = replay(video, load_models(SolveQuality.FAST, "cpu")).joints_camera_m[90:]
    return float(np.linalg.norm(np.diff(joints, axis=0), axis=-1).mean() * 1000)


def main() -> int:
    """Run what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--way", choices=("http", "udp"), action="append")
    parser.add_argument("--recording", type=Path)
    parser.add_argument("--still", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, object] = {}
    missed = False
    with tempfile.TemporaryDirectory(prefix="marionet-live-") as aside:
        if arguments.recording is not None:
            found |= (errors := compare(arguments.recording))
            missed |= errors["live_mpjpe_clip_mm"] - errors["file_mpjpe_clip_mm"] > MOST_WORSE_MM
        if arguments.still:
            found["jitter_mm"] = jitter = still(Path(aside))
            missed |= jitter > MOST_JITTER_MM
        asked = not found or arguments.way is not None
        for way in (arguments.way or ["http", "udp"]) if asked else ():
            (folder := Path(aside) / way).mkdir()
            run = measure(arguments.seconds, way, folder)
            found[way] = asdict(run)
            missed |= run.poses_a_second < LEAST_FPS or run.latency_median_ms > MEDIAN_MS
            missed |= run.latency_95_ms > HIGH_MS or run.memory_growth_mb > MOST_GROWTH_MB
    print(json.dumps(found) if arguments.json else "\n".join(f"{name}: {value}" for name, value in found.items()))
    return MISSED if missed else 0


if __name__ == "__main__":
    sys.exit(main())
