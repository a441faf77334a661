"""Memory of `solve` over time on ten minutes of 1080p, made by joining one clip to itself without encoding anew.

With --stop-after the run is interrupted then, as with Ctrl-C, and told for the frames that it got to.

usage: python benchmarks/memory.py VIDEO [--minutes 10] [--quality fast] [--stop-after SECONDS]
"""

from __future__ import annotations

import argparse
import math
import signal
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.outcome import MISSED

LIMIT_BYTES = 1.5e9
FLAT = 1.15
REPOSITORY = Path(__file__).resolve().parent.parent


def join_to_itself(video: Path, minutes: float, fps: int, out: Path) -> int:
    """Write the clip's packets again and again until the file is long enough; returns the number of images."""
    with av.open(str(video)) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
        shown = np.argsort(np.argsort([packet.pts or 0 for packet in packets]))  # place of each packet's image
        delay = int((np.arange(len(packets)) - shown).max())  # images that are shown later than they are decoded
        template = source.streams.video[0]
        count = round(minutes * 60 * fps)
        with av.open(str(out), "w") as target:
            stream = target.add_stream_from_template(template)
            stream.time_base = Fraction(1, fps)
            for index in range(count):
                which = index % len(packets)
                packet = av.Packet(bytes(packets[which]))
                packet.stream, packet.time_base = stream, Fraction(1, fps)
                packet.pts, packet.dts = index - which + int(shown[which]), index - delay
                packet.is_keyframe = packets[which].is_keyframe
                target.mux(packet)
    return count


def watch_memory(command: list[str], stop_after_s: float) -> tuple[int, np.ndarray, float]:
    """Run a command; its exit code, its resident bytes twice a second, and the seconds it took."""
    began, samples, told = time.monotonic(), [], False
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            try:
                samples.append(process.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            if not told and time.monotonic() - began > stop_after_s:
                child.send_signal(signal.SIGINT)
                told = True
            time.sleep(0.5)
        code = child.wait()
    return code, np.array(samples, dtype=np.float64), time.monotonic() - began


def main(argv: list[str] | None = None) -> int:
    """Print peak and growth; 3 where the peak is above 1.5 GB or memory grows, 1 where solve failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, help="a short clip that begins with a key image, for example 1080p")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--quality", default="fast")
    parser.add_argument("--stop-after", type=float, default=math.inf, metavar="SECONDS")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        long_video = Path(folder) / f"long{args.video.suffix}"
        count = join_to_itself(args.video, args.minutes, 30, long_video)
        solve = [sys.executable, "-m", "backend", "solve", str(long_video), "-o", f"{folder}/clip.npz"]
        code, rss, seconds = watch_memory([*solve, "--quality", args.quality, "--quiet"], args.stop_after)
        with np.load(f"{folder}/clip.npz") as clip:
            solved = len(clip["times_s"])
    quarter = len(rss) // 4
    early, late = float(np.median(rss[quarter : 2 * quarter])), float(np.median(rss[3 * quarter :]))
    print(f"{solved} of {count} frames in {seconds:.0f} s, exit code {code}")
    print("| minute of the run | resident MB |\n|---|---|")
    for part in range(0, len(rss), max(1, len(rss) // 10)):
        print(f"| {part / 120:.1f} | {rss[part] / 1e6:.0f} |")
    print(f"peak {rss.max() / 1e6:.0f} MB (limit {LIMIT_BYTES / 1e6:.0f}); last quarter over second {late / early:.2f}")
    if code != 0:
        return 1
    return 0 if rss.max() <= LIMIT_BYTES and late <= FLAT * early else MISSED


if __name__ == "__main__":
    sys.exit(main())
