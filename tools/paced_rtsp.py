"""The RTSP way out of `paced_stream.py`: one H.264 stream, interleaved on the client's own connection (RFC 2326).

FFmpeg has no RTSP server. This one knows OPTIONS, DESCRIBE, SETUP over TCP, PLAY and TEARDOWN: what cameras get asked.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, Protocol, cast

import av
import numpy as np

_TYPE = 96


class Images(Protocol):
    """Numbered images, as `paced_stream.Feed` has them."""

    drops: int

    def wait(self, after: int) -> tuple[int, np.ndarray]:
        """The image after a number."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    head: dict[str, str]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, port: int, feed: Images, fps: float) -> None:
        super().__init__(("127.0.0.1", port), _Client)
        self.feed, self.fps = feed, fps


class _Client(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        over = threading.Event()
        with contextlib.suppress(OSError):
            while not over.is_set() and (request := _request(cast(BinaryIO, self.rfile))):
                self._answer(request, over)
        over.set()

    def _answer(self, request: _Request, over: threading.Event) -> None:
        lines, body = [f"CSeq: {request.head.get('cseq', '0')}", "Session: 1"], ""
        if request.method == "OPTIONS":
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        elif request.method == "DESCRIBE":
            body = _description()
            lines += ["Content-Type: application/sdp", f"Content-Base: {request.url}/", f"Content-Length: {len(body)}"]
        elif request.method == "SETUP":
            lines.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        self.wfile.write(("\r\n".join(["RTSP/1.0 200 OK", *lines]) + "\r\n\r\n" + body).encode())
        if request.method == "PLAY":
            threading.Thread(target=self._play, args=(over,), daemon=True).start()
        if request.method == "TEARDOWN":
            over.set()

    def _play(self, over: threading.Event) -> None:
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)  # a busy machine loses packets otherwise
        taken.bind(("127.0.0.1", 0))
        threading.Thread(target=self._forward, args=(taken, over), daemon=True).start()
        send_rtp(self.server.feed, taken.getsockname()[1], self.server.fps, over)
        over.set()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _forward(self, taken: socket.socket, over: threading.Event) -> None:
        taken.settimeout(0.5)
        while not over.is_set():
            try:
                data = taken.recv(65536)
                if data[1] & 0x7F == _TYPE:  # RTCP comes to the same port and is left out
                    self.connection.sendall(b"$\x00" + len(data).to_bytes(2, "big") + data)
            except TimeoutError:
                continue
            except OSError:
                over.set()


def serve_rtsp(feed: Images, port: int, fps: float, started: Callable[[int], None]) -> None:
    """Serve for ever; `started` is told the port."""
    server = _Server(port, feed, fps)
    started(server.server_address[1])
    server.serve_forever()


def send_rtp(feed: Images, port: int, fps: float, over: threading.Event) -> None:
    """H.264 in RTP packets to a local port, until `over` or the feed drops its connections."""
    url = f"rtp://127.0.0.1:{port}?rtcpport={port}&pkt_size=1400"
    output = av.open(url, "w", format="rtp", options={"payload_type": str(_TYPE)})
    stream = output.add_stream("libx264", rate=round(fps), options={"preset": "ultrafast", "tune": "zerolatency"})
    number, image = feed.wait(-1)
    stream.height, stream.width = image.shape[:2]
    stream.pix_fmt, stream.gop_size, stream.bit_rate = "yuv420p", round(fps / 2), 4_000_000
    drops = feed.drops
    while not over.is_set() and feed.drops == drops:
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, round(fps))
        for packet in stream.encode(frame):
            output.mux(packet)
        number, image = feed.wait(number)


def _request(stream: BinaryIO) -> _Request | None:
    """The next request, None at the end."""
    lines: list[str] = []
    while line := stream.readline():
        text = line.decode(errors="replace").strip()
        if text:
            lines.append(text)
        elif lines:
            method, url, _ = lines[0].split(" ", 2)
            head = dict(part.split(":", 1) for part in lines[1:] if ":" in part)
            return _Request(method, url.rstrip("/"), {k.strip().lower(): v.strip() for k, v in head.items()})
    return None


def _description() -> str:
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0"]
    lines += [f"m=video 0 RTP/AVP {_TYPE}", f"a=rtpmap:{_TYPE} H264/90000", f"a=fmtp:{_TYPE} packetization-mode=1"]
    return "\r\n".join([*lines, "a=control:streamid=0"]) + "\r\n"
