"""What the service costs: round trip of a small request, throughput beside `solve`, first preview of a 1080p clip.

The backend is the product's own (`python -m backend serve`) in a process of its own, over its real socket; `solve`
runs in this process with its models loaded, on the same clip in the same run. Rounds alternate between the two, so
that other work on the machine meets both; the best round of each counts. A smaller clip is scaled to 1080p.

usage: python benchmarks/service.py [VIDEO] [--quality best] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import av
import zmq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the command line sets it for itself and its workers

from backend.pipeline import SolveRequest, solve
from backend.solving.models import load_models
from backend.solving.request import SolveQuality
from benchmarks.outcome import MISSED
from blender_addon.wire import messages as wire
from blender_addon.wire.codec import FROM_SERVER, decode, encode
from blender_addon.wire.connection_file import ConnectionFileError, ConnectionInfo, read_connection_file
from blender_addon.wire.transport import client_socket

REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT_VIDEO = REPOSITORY / "assets" / "demo_clip.mp4"
REQUESTS = 2000
ENDS = (wire.Done, wire.Failed, wire.JobCancelled)
MOST_ROUND_TRIP_MS, LEAST_SHARE, MOST_PREVIEW_S = 2.0, 0.95, 2.0


class Client:
    """A plain client of the protocol."""

    def __init__(self, context: zmq.Context[Any], info: ConnectionInfo) -> None:
        self._socket = client_socket(context, info)
        self._ids = count(1)
        self.ask(wire.Hello(info.token, "benchmark"))

    def ask(self, message: Any) -> Any:
        """The reply to a request."""
        request_id = str(next(self._ids))
        self._socket.send_multipart(encode(message, request_id))
        while (envelope := self.hear()).request != request_id:
            pass
        return envelope.message

    def hear(self) -> Any:
        """The next message."""
        return decode(self._socket.recv_multipart(), FROM_SERVER)

    def close(self) -> None:
        """Leave."""
        self._socket.close(linger=0)


@dataclass(frozen=True)
class JobTimes:
    """Seconds from submit to the first preview chunk and to the end."""

    first_chunk_s: float
    end_s: float


@dataclass(frozen=True)
class Figures:
    """The benchmark's result."""

    round_trip_median_ms: float
    round_trip_p99_ms: float
    direct_fps: float
    service_fps: float
    throughput_share: float
    first_preview_median_s: float
    first_preview_worst_s: float


@contextmanager
def backend(folder: Path) -> Iterator[ConnectionInfo]:
    """A running backend."""
    path = folder / "connection.json"
    options = ("--connection-file", str(path), "--data-dir", str(folder / "data"), "--rate", "1000000")
    with (folder / "backend.log").open("wb") as log:
        process = subprocess.Popen((sys.executable, "-m", "backend", "serve", *options), cwd=REPOSITORY, stderr=log)
    try:
        while process.poll() is None:
            try:
                yield read_connection_file(path)
                return
            except ConnectionFileError:
                time.sleep(0.05)
        raise RuntimeError((folder / "backend.log").read_text())
    finally:
        process.terminate()
        process.wait()


def full_hd(video: Path, folder: Path) -> Path:
    """The video with its longer side at 1920 pixels: itself, or a scaled copy."""
    with av.open(str(video)) as source:
        stream = source.streams.video[0]
        factor = 1920 / max(stream.width, stream.height)
        if factor <= 1.0:
            return video
        path = folder / "full_hd.mp4"
        with av.open(str(path), "w") as target:
            out = target.add_stream("libx264", rate=stream.average_rate, options={"crf": "18", "preset": "veryfast"})
            out.width, out.height = (2 * round(side * factor / 2) for side in (stream.width, stream.height))
            out.pix_fmt = "yuv420p"
            for frame in source.decode(stream):
                target.mux(out.encode(frame.reformat(out.width, out.height, "yuv420p")))
            target.mux(out.encode())
    return path


def round_trips_ms(client: Client) -> list[float]:
    """Milliseconds of each of many pings."""
    times = []
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        client.ask(wire.Ping())
        times.append((time.perf_counter() - begun) * 1e3)
    return sorted(times)


def time_job(client: Client, video: Path, quality: str) -> JobTimes:
    """Submit a video and time what comes."""
    job_id = uuid.uuid4().hex
    begun = time.perf_counter()
    first = 0.0
    reply = client.ask(wire.Submit(job_id, wire.Source("path", str(video)), wire.SolveOptions(quality=quality)))
    if not isinstance(reply, wire.Accepted):
        raise TypeError(f"the job was not taken: {reply}")
    while not isinstance(message := client.hear().message, ENDS):
        if isinstance(message, wire.MotionChunk) and not first:
            first = time.perf_counter() - begun
    ended = time.perf_counter() - begun
    if not isinstance(message, wire.Done):
        raise TypeError(f"the job did not finish: {message}")
    client.ask(wire.Release(job_id))
    return JobTimes(first, ended)


def measure(video: Path, quality: str, rounds: int, folder: Path, context: zmq.Context[Any]) -> Figures:
    """All figures of one run."""
    large = full_hd(video, folder)
    with backend(folder) as info:
        client = Client(context, info)
        while client.ask(wire.Status()).workers[0].state != "idle":
            time.sleep(0.1)
        trips = round_trips_ms(client)
        time_job(client, video, quality)  # loads the quality's models, if it is not the default one
        models = load_models(SolveQuality(quality), "auto")
        direct, served, previews = [], [], []
        for _ in range(rounds):
            begun = time.perf_counter()
            frames = solve(
                SolveRequest(video, folder / "direct.npz", quality=SolveQuality(quality)), models=models
            ).frames
            direct.append(time.perf_counter() - begun)
            served.append(time_job(client, video, quality).end_s)
            previews.append(time_job(client, large, quality).first_chunk_s)
        client.close()
    return Figures(
        round_trip_median_ms=statistics.median(trips),
        round_trip_p99_ms=trips[int(0.99 * len(trips))],
        direct_fps=frames / min(direct),
        service_fps=frames / min(served),
        throughput_share=min(direct) / min(served),
        first_preview_median_s=statistics.median(previews),
        first_preview_worst_s=max(previews),
    )


def main() -> int:
    """Print the table; 3 when a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, default=DEFAULT_VIDEO)
    parser.add_argument("--quality", choices=[quality.value for quality in SolveQuality], default="best")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    context: zmq.Context[Any] = zmq.Context()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(arguments.video.resolve(), arguments.quality, arguments.rounds, Path(folder), context)
    context.term()
    if arguments.json:
        print(json.dumps(asdict(figures)))
    else:
        print(f"{arguments.video.name}, quality {arguments.quality}, {os.cpu_count()} cores")
        for name, value in asdict(figures).items():
            print(f"{name:24} {value:8.3f}")
    good = (
        figures.round_trip_median_ms < MOST_ROUND_TRIP_MS
        and figures.throughput_share >= LEAST_SHARE
        and figures.first_preview_worst_s < MOST_PREVIEW_S
    )
    return 0 if good else MISSED


if __name__ == "__main__":
    raise SystemExit(main())
