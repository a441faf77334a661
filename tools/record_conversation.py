#!/usr/bin/env python3
"""Record what a real backend and a client say to each other: the frames of the first message of every kind.

    python tools/record_conversation.py tests/wire/conversations/0.9.0.json

`--repository` takes an older checkout, client and backend alike. `tests/wire/test_recorded_conversations.py` holds the
codec to the recordings. Job ids and message ids are fixed; the token is blanked. `--live` adds a live capture of the
demo video at its pace.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

ROOT = Path(__file__).resolve().parents[1]
VIDEO = ROOT / "assets" / "demo_clip.mp4"
PATIENCE_S = 120.0


class Recorder:
    """A client that keeps the first message of every kind, of both sides, as the frames that crossed the socket."""

    def __init__(self, connection: Path) -> None:
        from blender_addon.wire.connection_file import read_connection_file
        from blender_addon.wire.transport import client_socket

        info = read_connection_file(connection)
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket, self._count, self._token = client_socket(self._context, info), 0, info.token
        self.kept: dict[tuple[str, str], list[bytes]] = {}

    @property
    def token(self) -> str:
        """What the connection file says."""
        return self._token

    def say(self, message: Any, name: str = "") -> None:
        """Send a message under the next id: 1, 2, 3. It is kept by its kind, or by a name of its own."""
        from blender_addon.wire.codec import encode

        self._count += 1
        frames = [bytes(frame) for frame in encode(message, str(self._count))]
        self.kept.setdefault(("client", name or message.kind), frames)
        self._socket.send_multipart(frames)

    def hear(self, *kinds: str, until: Callable[[Any], bool] = lambda _: True) -> Any:
        """The next message of one of the kinds. Raises SystemExit after two minutes of silence."""
        from blender_addon.wire.codec import FROM_SERVER, decode

        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if not self._socket.poll(1000):
                continue
            frames = self._socket.recv_multipart()
            message = decode(frames, FROM_SERVER).message
            # the first frame of a live capture that shows a person says more than the first of all
            if message.kind != "live_frame" or message.state == "live":
                self.kept.setdefault(("server", message.kind), frames)
            if message.kind in kinds and until(message):
                return message
        raise SystemExit(f"no {' or '.join(kinds)} came")

    def close(self) -> None:
        """Leave."""
        self._socket.close(linger=0)
        self._context.term()


def converse(peer: Recorder, folder: Path) -> None:
    """Everything but live capture: a solve with its result, a failure, a cancel, an upload, and the goodbye."""
    from blender_addon.wire import messages as wire

    peer.say(wire.Hello(peer.token, "recorder"))
    peer.hear("welcome")
    peer.say(wire.Ping())
    peer.hear("pong")
    while not any(worker.state == "idle" for worker in peer_status(peer).workers):
        time.sleep(0.2)
    options = wire.SolveOptions(quality="fast", end_s=1.0, height_m=1.75)
    peer.say(wire.Submit("a" * 32, wire.Source("path", str(VIDEO), VIDEO.name), options))
    peer.hear("accepted")
    peer.say(wire.Watch("a" * 32))
    peer.hear("done")
    peer.say(wire.Fetch("a" * 32, 0, 0, 128))
    peer.hear("result_part")
    peer.say(wire.ListJobs())
    peer.hear("job_list")
    peer.say(wire.Release("a" * 32))
    peer.hear("released")
    (folder / "not_a_video.mp4").write_bytes(b"no video at all")
    peer.say(wire.Submit("b" * 32, wire.Source("path", str(folder / "not_a_video.mp4")), options))
    peer.hear("failed")
    peer.say(wire.Submit("c" * 32, wire.Source("path", str(VIDEO), VIDEO.name), wire.SolveOptions()))
    peer.hear("motion_chunk", "progress", until=lambda message: message.job_id == "c" * 32)
    peer.say(wire.Cancel("c" * 32))
    peer.hear("cancelled", "done", until=lambda message: not getattr(message, "finishing", False))
    peer.say(wire.Watch("f" * 32))
    peer.hear("refused")
    upload(peer)
    if hasattr(wire, "TakeOptions"):
        submit_take(peer)


def submit_take(peer: Recorder) -> None:
    """A take of two videos with a known offset, given up at once; versions from 0.10 on have takes."""
    from blender_addon.wire import messages as wire

    take = wire.TakeOptions(offsets=(wire.VideoOffset(1, 0.25),))
    source = wire.Source("path", str(VIDEO), VIDEO.name)
    message = wire.Submit("9" * 32, source, wire.SolveOptions(), more_sources=(source,), take=take)
    peer.say(message, "submit of a take")
    peer.hear("accepted")
    peer.say(wire.Cancel("9" * 32))
    peer.hear("cancelled", "done", until=lambda message: not getattr(message, "finishing", False))


def peer_status(peer: Recorder) -> Any:
    """How the server is."""
    from blender_addon.wire import messages as wire

    peer.say(wire.Status())
    return peer.hear("server_status")


def upload(peer: Recorder) -> None:
    """The first bytes of an upload that is then given up."""
    import numpy as np

    from blender_addon.wire import messages as wire

    data = VIDEO.read_bytes()
    peer.say(wire.Submit("d" * 32, wire.Source("upload", "", VIDEO.name, len(data), "0" * 64)))
    peer.hear("accepted")
    peer.say(wire.UploadPart("d" * 32, 0, np.frombuffer(data[:64], np.uint8)))
    peer.hear("accepted")
    peer.say(wire.Cancel("d" * 32))
    peer.hear("accepted", "cancelled")


def go_live(peer: Recorder, url: str) -> None:
    """A live capture that is recorded from its middle on, and the cameras of the machine."""
    from blender_addon.wire import messages as wire

    peer.say(wire.ListCameras())
    peer.hear("camera_list", "refused")
    peer.say(wire.Submit("e" * 32, wire.Source("live", url), wire.SolveOptions(quality="fast")))
    peer.hear("live_frame", until=lambda frame: frame.state == "live")
    peer.say(wire.LiveRecord("e" * 32))
    peer.hear("live_frame", until=lambda frame: frame.recorded > 5)
    peer.say(wire.Cancel("e" * 32))
    peer.hear("cancelled", "done", until=lambda message: not getattr(message, "finishing", False))


@contextmanager
def backend(repository: Path, folder: Path, *options: str) -> Iterator[Path]:
    """A backend of a checkout; its connection file."""
    connection = folder / "connection.json"
    paths = ("--connection-file", str(connection), "--data-dir", str(folder / "data"))
    command = (sys.executable, "-m", "backend", "serve", "--device", "cpu", *paths, *options)
    with (folder / "backend.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=repository, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not connection.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((folder / "backend.log").read_text(encoding="utf-8"))
            time.sleep(0.1)
        yield connection
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@contextmanager
def stream() -> Iterator[str]:
    """The demo video as a network stream at its pace; its address."""
    command = (sys.executable, str(ROOT / "tools" / "paced_stream.py"), str(VIDEO), "--hold", "600")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/video"
    finally:
        process.kill()
        process.wait()


def as_text(frames: Sequence[bytes], token: str, scratch: str) -> list[str]:
    """The frames in base64, the token and the scratch folder blanked letter by letter."""
    blank = [(word.encode(), b"0" * len(word)) for word in (token, scratch, str(ROOT)) if word]
    header = frames[1]
    for word, zeros in blank:
        header = header.replace(word, zeros)
    return [base64.b64encode(frame).decode() for frame in (frames[0], header, *frames[2:])]


def main() -> int:
    """Record, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--repository", type=Path, default=ROOT, help="checkout whose client and backend are recorded")
    parser.add_argument("--live", action="store_true", help="record a live capture too")
    args = parser.parse_args()
    sys.path.insert(0, str(args.repository))
    from blender_addon.wire import messages as wire

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        options = ("--allow-live", "camera:*", "--allow-live", "http://127.0.0.1*") if args.live else ()
        with backend(args.repository, folder, *options) as connection:
            peer = Recorder(connection)
            converse(peer, folder)
            if args.live:
                with stream() as url:
                    go_live(peer, url)
            peer.say(wire.Shutdown())
            peer.hear("goodbye")
            peer.close()
        messages = [
            {"from": side, "kind": kind, "frames": as_text(frames, peer.token, scratch)}
            for (side, kind), frames in peer.kept.items()
        ]
    version = f"{wire.PROTOCOL_MAJOR}.{wire.PROTOCOL_MINOR}"
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps({"protocol": version, "messages": messages}, indent=1) + "\n", encoding="utf-8")
    print(f"{len(messages)} messages of protocol {version} in {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
