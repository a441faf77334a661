"""A stand-in for a camera in a process of its own, and what came of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

REPOSITORY = Path(__file__).resolve().parents[2]
VIDEO = REPOSITORY / "assets" / "demo_clip.mp4"
sys.path.append(str(REPOSITORY / "tools"))

from paced_stream import read_number  # noqa: E402


class Feed:
    """`tell` changes what is sent: stall, drop, blank, go."""

    def __init__(self, *options: str, video: Path = VIDEO) -> None:
        command = (sys.executable, str(REPOSITORY / "tools" / "paced_stream.py"), str(video), *options)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().strip()

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def url(self, path: str = "video") -> str:
        return f"udp://{self.said}" if ":" in self.said else f"http://127.0.0.1:{self.said}/{path}"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@contextmanager
def feeding(*options: str, video: Path = VIDEO) -> Iterator[Feed]:
    feed = Feed(*options, video=video)
    try:
        yield feed
    finally:
        feed.end()


def recorded_numbers(path: Path) -> list[int]:
    """The numbers in the images of a recording."""
    with av.open(str(path)) as container:
        return [read_number(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
