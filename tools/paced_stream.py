#!/usr/bin/env python3
"""A stand-in for a camera: a video in a loop at its pace, as MJPEG over HTTP, as MPEG-TS over UDP, or over RTSP.

Each image carries its number as blocks at its lower edge (`read_number`), so that whoever gets it can tell which it is.
`--log` writes a line for each image: its number and when it was taken. Lines on standard input change what is sent:
`stall`, `drop` (connections), `blank` (nobody in the image), `go`, `quit`. Without --http, the port is printed.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from paced_rtsp import serve_rtsp

BITS, BLOCK = 20, 12


def write_number(image: np.ndarray, number: int) -> None:
    """Draw a number into the lower edge of an image (H, W, 3): white blocks are ones, with a frame of known blocks."""
    height = image.shape[0]
    for place, bit in enumerate([1, 0, *((number >> bit) & 1 for bit in range(BITS)), 0, 1]):
        image[height - BLOCK :, place * BLOCK : (place + 1) * BLOCK] = 255 * bit


def read_number(image: np.ndarray) -> int:
    """The number in an image, -1 where there is none."""
    row = image[image.shape[0] - BLOCK // 2, BLOCK // 2 : (BITS + 4) * BLOCK : BLOCK].mean(axis=-1) > 127
    if len(row) < BITS + 4 or list(row[:2]) != [True, False] or list(row[-2:]) != [False, True]:
        return -1
    return int(sum(int(bit) << place for place, bit in enumerate(row[2:-2])))


class Feed:
    """Numbered images at a steady pace. `wait(after)` gives the one after number `after`."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        width, height = (int(side) for side in arguments.size.split("x"))
        self._images = load_images(arguments.video, width, height, arguments.hold)
        self._noise = arguments.noise
        self._step_s = 1.0 / arguments.fps
        self._log = arguments.log.open("w", encoding="utf-8") if arguments.log else None
        self._ready = threading.Condition()
        self.number, self.image = -1, self._images[0]
        self._recent: deque[tuple[int, np.ndarray]] = deque(maxlen=60)
        self.state = "go"
        self.drops = 0

    def run(self) -> None:
        """For ever."""
        blank = np.full_like(self._images[0], 90)
        random = np.random.default_rng(1)
        due = time.monotonic()
        while True:
            due += self._step_s
            time.sleep(max(0.0, due - time.monotonic()))
            if self.state == "stall":
                continue
            number = self.number + 1
            image = (blank if self.state == "blank" else self._images[number % len(self._images)]).copy()
            if self._noise:
                noise = random.integers(-self._noise, self._noise + 1, image.shape, np.int16)
                image = np.clip(image + noise, 0, 255).astype(np.uint8)
            write_number(image, number)
            with self._ready:
                self.number, self.image = number, image
                self._recent.append((number, image))
                self._ready.notify_all()
            if self._log:
                self._log.write(f"{number} {time.time():.6f}\n")
                self._log.flush()

    def wait(self, after: int) -> tuple[int, np.ndarray]:
        """The image after number `after`, the oldest that is kept where that one is gone; -1: the newest."""
        with self._ready:
            while self.number <= after:
                self._ready.wait(0.5)
            later = [one for one in self._recent if one[0] > after]
            return later[0] if after >= 0 else later[-1]


def load_images(video: Path, width: int, height: int, hold: float) -> list[np.ndarray]:
    """The video's images, RGB, fitted into the size, forth and back so that the loop has no jump; with `hold`, the
    first one stays for so many seconds (of 30 images) at the start.
    """
    images = []
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            rgb = frame.to_ndarray(format="rgb24")
            scale = min(width / rgb.shape[1], height / rgb.shape[0])
            size = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
            canvas = np.zeros((height, width, 3), np.uint8)
            top, left = (height - size[1]) // 2, (width - size[0]) // 2
            canvas[top : top + size[1], left : left + size[0]] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
            images.append(canvas)
    return [images[0]] * round(hold * 30) + images + images[-2:0:-1]


def serve_http(feed: Feed, port: int) -> None:
    """MJPEG to every client on /video; /secret wants a password."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/secret"):
                self.send_error(401)
                return
            if not self.path.startswith("/video"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=image")
            self.end_headers()
            number, drops = -1, feed.drops
            while drops == feed.drops:
                number, image = feed.wait(number)
                _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
                head = f"--image\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + data.tobytes() + b"\r\n")
                except OSError:
                    return
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


def send_udp(feed: Feed, address: str, fps: float) -> None:
    """H.264 in MPEG-TS to one address."""
    output = av.open(f"udp://{address}?pkt_size=1316", "w", format="mpegts", options={"flush_packets": "1"})
    stream = output.add_stream("libx264", rate=round(fps), options={"preset": "ultrafast", "tune": "zerolatency"})
    stream.height, stream.width = feed.image.shape[:2]
    stream.pix_fmt, stream.gop_size, stream.bit_rate = "yuv420p", round(fps / 2), 4_000_000
    print(address, flush=True)
    stream.codec_context.time_base = Fraction(1, 90_000)
    number, began = -1, time.monotonic()
    while True:
        number, image = feed.wait(number)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = round((time.monotonic() - began) * 90_000), Fraction(1, 90_000)
        for packet in stream.encode(frame):
            output.mux(packet)


def main() -> None:
    """Send until `quit`, or the end of standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--http", type=int, default=0, metavar="PORT")
    parser.add_argument("--udp", metavar="HOST:PORT")
    parser.add_argument("--rtsp", type=int, metavar="PORT", help="0: a free one, which is printed")
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--hold", type=float, default=0.0, metavar="S", help="stand still at the start")
    parser.add_argument("--noise", type=int, default=0, metavar="LEVELS", help="of a sensor, added to each image")
    parser.add_argument("--log", type=Path)
    arguments = parser.parse_args()
    feed = Feed(arguments)
    threading.Thread(target=feed.run, daemon=True).start()
    send: tuple[Callable[..., None], tuple[Any, ...]] = (serve_http, (feed, arguments.http))
    if arguments.rtsp is not None:
        send = (serve_rtsp, (feed, arguments.rtsp, arguments.fps, lambda port: print(f"rtsp {port}", flush=True)))
    elif arguments.udp:
        send = (send_udp, (feed, arguments.udp, arguments.fps))
    threading.Thread(target=send[0], args=send[1], daemon=True).start()
    for line in sys.stdin:
        word = line.strip()
        if word == "quit":
            return
        if word == "drop":
            feed.drops += 1
        else:
            feed.state = word


if __name__ == "__main__":
    main()
