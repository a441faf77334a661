"""Makes videos as people have them, in random combinations, with the frames and times that they should be read as.

Every image shows its own number as a grey level in its lower half, and white in its upper left quarter, seen upright.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

STEP_GREY = 5
ONE = 0x10000
IDENTITY = struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, 0x40000000)
# a, b, c, d of the display matrix by mirrored and clockwise quarter turns, the mirror first
MATRICES = {
    (False, 0): (1, 0, 0, 1),
    (False, 1): (0, 1, -1, 0),
    (False, 2): (-1, 0, 0, -1),
    (False, 3): (0, -1, 1, 0),
    (True, 0): (-1, 0, 0, 1),
    (True, 1): (0, -1, -1, 0),
    (True, 2): (1, 0, 0, -1),
    (True, 3): (0, 1, 1, 0),
}
TS_BASE = Fraction(1, 90000)


@dataclass(frozen=True)
class Made:
    """A video, and what is right: numbers shown, times in s, upright size, words that a warning has to hold."""

    path: Path
    numbers: list[int]
    times_s: list[float]
    size: tuple[int, int]
    says: list[str] = field(default_factory=list)
    fps: float | None = None
    about: str = ""


def image_of(number: int, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = 255
    image[height // 2 :] = number * STEP_GREY % 250
    return image


def number_in(image: np.ndarray) -> int:
    """The number that an upright image shows, modulo 50; letterboxed images show theirs in the middle too."""
    height, width = image.shape[:2]
    return round(float(image[round(height * 0.6), round(width * 0.3) : round(width * 0.7)].mean()) / STEP_GREY) % 50


def is_upright(image: np.ndarray) -> bool:
    height, width = image.shape[:2]
    y, x = round(height * 0.4), round(width * 0.4)
    others = (image[y, -x], image[-y, x], image[-y, -x])
    return image[y, x].mean() > 200 and image[y, -x].mean() < 60 and all(other.mean() < 252 for other in others)


def stored(upright: np.ndarray, mirrored: bool, turns: int) -> np.ndarray:
    """The image as it lies in a file whose matrix brings it upright."""
    turned = np.rot90(upright, turns)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def set_matrix(path: Path, mirrored: bool, turns: int) -> None:
    """Write the matrix into the headers of all of the file's tracks."""
    a, b, c, d = (value * ONE for value in MATRICES[(mirrored, turns)])
    data = bytearray(path.read_bytes())
    place = data.find(b"tkhd")
    while place >= 0:
        at = data.index(IDENTITY, place)
        data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
        place = data.find(b"tkhd", at)
    path.write_bytes(data)


@dataclass(frozen=True)
class Encoding:
    """How images become packets; `hidden` first frames get negative stamps, which mp4 hides by an edit list."""

    time_base: Fraction = Fraction(1, 12800)
    b_frames: int = 0
    hidden: int = 0
    preview: bool = False
    skip_packets: int = 0
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)


def encode(path: Path, images: Sequence[np.ndarray], stamps: Sequence[int], how: Encoding) -> None:
    height, width = images[0].shape[:2]
    container = {"use_editlist": "1", "avoid_negative_ts": "disabled"} if how.hidden else {}
    with av.open(str(path), "w", options=container) as out:
        preview = _preview_stream(out) if how.preview else None
        speed = {"preset": "ultrafast", "crf": "10", "g": "8", "sc_threshold": "0", "threads": "1", "bf": "0"}
        options = speed | {"bf": str(how.b_frames)} if how.codec == "libx264" else {"g": "8"}
        stream = out.add_stream(how.codec, rate=25, options=options | how.options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = stream.time_base = how.time_base
        out.start_encoding()
        if preview is not None:
            _write_preview(out, preview)
        packets = []
        for image, stamp in zip(images, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = stamp, how.time_base
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in packets[how.skip_packets :]:
            out.mux(packet)


def _preview_stream(out: av.container.OutputContainer) -> av.VideoStream:
    stream = out.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 16, 16, "yuvj420p"
    stream.codec_context.time_base = Fraction(1, 1)
    stream.disposition = 0
    return stream


def _write_preview(out: av.container.OutputContainer, stream: av.VideoStream) -> None:
    for second in range(2):
        frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 77, np.uint8), format="rgb24")
        frame.pts, frame.time_base = second, Fraction(1, 1)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def random_video(folder: Path, seed: int) -> Made:
    """One of everything, by its seed."""
    rng = np.random.default_rng(seed)
    makers = (_file, _file, _transport, _transport, _images, _doubled, _avi)
    return makers[rng.integers(len(makers))](folder, rng)


def _file(folder: Path, rng: np.random.Generator) -> Made:
    """mp4, mov or mkv with a matrix, an edit list, pauses, a preview, a wall clock."""
    ending = str(rng.choice(["mp4", "mov", "mkv"]))
    count, size = int(rng.integers(6, 30)), (int(rng.choice([64, 48])), 48)
    rate = Fraction(*[(25, 1), (30, 1), (24000, 1001), (60, 1)][rng.integers(4)])
    base = Fraction(1, 1000) if ending == "mkv" else Fraction(1, 24000 if rate.denominator > 1 else 12000)
    seconds = [float(number / rate) for number in range(count)]
    says, about = [], [ending]
    if rng.random() < 0.4:  # the median step must stay the usual one
        at, pause = int(rng.integers(1, count)), float(rng.choice([3.0, 60.0, 3600.0]))
        seconds = [second + pause * (number >= at) for number, second in enumerate(seconds)]
        says, about = ["pauses once"], [*about, f"pause {pause}"]
    even = not says
    hidden = int(rng.integers(1, count // 2)) if ending != "mkv" and rng.random() < 0.4 and even else 0
    mirrored, turns = bool(rng.random() < 0.5), int(rng.integers(4))
    offset = 1_700_000_000 if ending == "mkv" and rng.random() < 0.4 else 0
    how = Encoding(
        time_base=base,
        b_frames=int(rng.choice([0, 2])) if even else 0,
        hidden=hidden,
        preview=bool(rng.random() < 0.3) and not hidden,
    )
    stamps = [round((second + offset) / base) for second in seconds]
    stamps = [stamp - stamps[hidden] for stamp in stamps] if hidden else stamps
    images = [image_of(number, size) for number in range(count)]
    path = folder / f"odd.{ending}"
    matrix = ending != "mkv"
    encode(path, [stored(image, mirrored, turns) for image in images] if matrix else images, stamps, how)
    if matrix:
        set_matrix(path, mirrored, turns)
        about.append(f"mirrored {mirrored}, turned {turns}")
    shown = list(range(hidden, count))
    times = [seconds[number] - seconds[hidden] for number in shown]
    about += [f"hidden {hidden}, B {how.b_frames}, preview {how.preview}, offset {offset}"]
    return Made(path, shown, times, size, says, float(rate) if len(shown) > 3 else None, ", ".join(about))


def _transport(folder: Path, rng: np.random.Generator) -> Made:
    """Recordings one after the other in a transport stream: clocks that start anew or go on, sizes that change."""
    path, sizes = folder / "odd.ts", [(64, 48), (48, 64), (96, 48)]
    step, data, says, about = 3600, b"", [], []
    numbers: list[int] = []
    times: list[float] = []
    first_size, size, clock_s = sizes[0], sizes[0], 1.0
    for part in range(int(rng.integers(1, 4))):
        count = int(rng.integers(12, 20))
        if part:
            way = str(rng.choice(["anew", "goes on", "pause"]))
            size = sizes[int(rng.integers(3))] if rng.random() < 0.4 else size
            clock_s = {"anew": 0.3, "goes on": clock_s, "pause": clock_s + 3600.0}[way]
            pause = 3600.0 if way == "pause" else 0.0
            says += {"anew": ["starts anew"], "goes on": [], "pause": ["pauses"]}[way]
            about += [way, str(size)]
        else:
            pause = 0.0
        # a part that begins within a group of images: nothing is shown before its next key frame
        lost = int(rng.integers(1, 8)) if part == 0 and rng.random() < 0.3 else 0
        says += ["within a group of images"] if lost else []
        segment = folder / "segment.ts"
        how = Encoding(time_base=TS_BASE, skip_packets=lost, b_frames=0 if lost else int(rng.choice([0, 2])))
        stamps = [round(clock_s * 90000) + step * number for number in range(count)]
        images = [image_of(len(numbers) + number, size) for number in range(count)]
        encode(segment, images, stamps, how)
        data += segment.read_bytes()
        begins = 8 if lost else 0
        start = (times[-1] + 0.04 if times else 0.0) + pause
        times += [start + 0.04 * number for number in range(count - begins)]
        numbers += [len(numbers) + number for number in range(begins, count)]
        clock_s += count * 0.04
    says += ["image size changes"] if "(48" in str(about) or "(96" in str(about) else []
    path.write_bytes(data)
    return Made(path, numbers, times, first_size, sorted(set(says)), 25.0, ", ".join(about))


def _images(folder: Path, rng: np.random.Generator) -> Made:
    """Images with missing numbers, perhaps in steps, perhaps with another camera's beside them."""
    place = folder / "images"
    place.mkdir()
    count, step = int(rng.integers(6, 25)), int(rng.choice([1, 1, 10]))
    keep = sorted({0, 1, *rng.choice(count, size=count - int(rng.integers(0, 4)), replace=False).tolist()})
    begin, size = int(rng.integers(0, 1200)), (40, 32)
    for number in keep:
        name = f"camA_{begin + step * number:05d}.png"
        assert cv2.imwrite(str(place / name), image_of(number, size)[..., ::-1])
    says = ["missing"] if keep[-1] + 1 > len(keep) else []
    if rng.random() < 0.3:
        for number in range(4):
            assert cv2.imwrite(str(place / f"camB_{begin + step * number:05d}.png"), image_of(9, size))
        says.append("camB_#####.png")
    return Made(place, keep, [number / 25 for number in keep], size, says, 25.0, f"images {keep}, step {step}")


def _doubled(folder: Path, rng: np.random.Generator) -> Made:
    """Every stamp twice: the second frame of each pair is left out, which is told once."""
    count, size = int(rng.integers(6, 12)) * 2, (64, 48)
    plain, path = folder / "plain.mkv", folder / "odd.mkv"
    images = [image_of(number, size) for number in range(count)]
    encode(plain, images, [40 * number for number in range(count)], Encoding(time_base=Fraction(1, 1000)))
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        number = 0
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts = packet.dts = number // 2 * 80
                packet.stream = stream
                out.mux(packet)
                number += 1
    shown = list(range(0, count, 2))
    return Made(
        path, shown, [0.04 * number for number in shown], size, [f"{count // 2} frames repeat"], 12.5, "doubled"
    )


def _avi(folder: Path, rng: np.random.Generator) -> Made:
    """AVI, which has no presentation stamps, with frames that are stored in another order."""
    count, size = int(rng.integers(6, 30)), (64, 48)
    codec = str(rng.choice(["libx264", "mpeg4"]))
    options = {"bf": "2"} if codec == "libx264" else {"bf": "2", "b": "8000000", "qmin": "1", "qmax": "1", "mbd": "rd"}
    how = replace(Encoding(), time_base=Fraction(1, 25), codec=codec, options=options)
    path = folder / "odd.avi"
    encode(path, [image_of(number, size) for number in range(count)], list(range(count)), how)
    return Made(path, list(range(count)), [number / 25 for number in range(count)], size, [], 25.0, f"avi {codec}")
