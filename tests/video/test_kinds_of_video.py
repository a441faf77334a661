"""Kinds of input one by one: interlaced video, streams to choose from, bounds on size, what is no file or no video."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from fractions import Fraction
from pathlib import Path, PureWindowsPath

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from backend.errors import BadInputError, VideoError
from backend.types import CancelToken
from backend.video import FrameRange, VideoOptions, open_video, seeking
from backend.video.clock import Clock, ClockSettings
from backend.video.image_file import read_image
from backend.video.opening import check_regular
from backend.video.orientation import Orientation, from_matrix
from backend.video.prefetch import Prefetcher
from backend.video.sequence import STILL_FRAMES, choose_series
from tests.video.odd_videos import IDENTITY, MATRICES, TS_BASE, Encoding, encode, image_of, number_in, stored

ROOT = Path(__file__).parents[2]


def refused(path: Path, options: VideoOptions | None = None) -> VideoError:
    with pytest.raises(VideoError) as caught:
        list(open_video(path, options).frames())
    assert caught.value.remedy
    return caught.value


def images(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    return [image_of(number, size) for number in range(count)]


@pytest.mark.parametrize(("mirrored", "turns"), MATRICES)
def test_the_whole_display_matrix_is_heeded(mirrored: bool, turns: int) -> None:
    assert from_matrix(*MATRICES[(mirrored, turns)]) == Orientation(turns, mirrored)
    upright = np.random.default_rng(turns).integers(0, 255, (6, 9, 3), np.uint8)
    lying = stored(upright, mirrored, turns)
    np.testing.assert_array_equal(Orientation(turns, mirrored).apply(lying), upright)
    assert Orientation(turns, mirrored).size(lying.shape[1], lying.shape[0]) == (9, 6)


def test_angles_between_are_rounded_and_no_matrix_asks_for_nothing() -> None:
    assert from_matrix(0.1, 0.99, -0.99, 0.1) == Orientation(1)
    assert from_matrix(0, 0, 0, 0) == Orientation()


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_interlaced_video_is_deinterlaced_and_said_to_be(tmp_path: Path, codec: str) -> None:
    frames = []
    for number in range(12):
        frame = np.full((96, 128, 3), 40, np.uint8)
        for field in (0, 1):  # a bar that moves eight pixels from field to field
            left = 8 * (2 * number + field) % 110
            frame[field::2, left : left + 16] = 220
        frames.append(frame)
    flags = {"flags": "+ildct+ilme", "x264-params": "tff=1"} if codec == "libx264" else {"flags": "+ildct+ilme"}
    path = tmp_path / "tape.ts"
    quality = {"b": "8000000"} if codec == "mpeg2video" else {}
    how = Encoding(time_base=Fraction(1, 25), codec=codec, options=flags | quality)
    encode(path, frames, list(range(12)), how)
    reader = open_video(path)
    decoded = list(reader.frames())
    assert [frame.index for frame in decoded] == list(range(12))
    np.testing.assert_allclose([frame.time_s for frame in decoded], np.arange(12) / 25, atol=1e-6)
    assert [warning for warning in reader.warnings if "interlaced and was deinterlaced" in warning] == list(
        reader.warnings
    )

    def comb(image: np.ndarray) -> float:
        lines = image[..., 0].astype(float)
        return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())

    assert comb(decoded[5].image) < 0.35 * comb(frames[5])
    part = list(open_video(path, VideoOptions(range=FrameRange(5, 8))).frames())
    for one in part:
        np.testing.assert_array_equal(one.image, decoded[one.index].image)


def test_the_default_stream_is_taken_then_the_largest(tmp_path: Path) -> None:
    def write(name: str, sizes: list[tuple[int, int]], default: int | None) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as out:
            streams = []
            for place, size in enumerate(sizes):
                stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
                stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
                stream.disposition = int(place == default)
                streams.append(stream)
            for number in range(10):
                for stream in streams:
                    image = image_of(number, (stream.width, stream.height))
                    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                    frame.pts, frame.time_base = number, Fraction(1, 25)
                    out.mux(stream.encode(frame))
            for stream in streams:
                out.mux(stream.encode(None))
        return path

    info = open_video(write("two.mkv", [(64, 48), (96, 64)], default=0))
    assert (info.info.width, info.info.height) == (64, 48)
    assert info.warnings == ("the file has 2 video streams: 0 (64x48) is read, not 1 (96x64)",)
    assert open_video(write("none.mkv", [(64, 48), (96, 64)], default=None)).info.width == 96
    preview = open_video(write("preview.mkv", [(32, 16), (128, 96)], default=0))
    assert (preview.info.width, preview.warnings) == (128, ())


def test_a_cover_that_is_marked_as_nothing_is_passed_over(tmp_path: Path) -> None:
    cover = io.BytesIO()
    Image.new("RGB", (400, 400)).save(cover, "JPEG")
    path = tmp_path / "covered.mkv"
    with av.open(str(path), "w") as out:
        still = out.add_stream("mjpeg", rate=1)
        still.width = still.height = 400
        still.pix_fmt = "yuvj420p"
        stream = out.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        packet = av.Packet(cover.getvalue())
        packet.pts = packet.dts = 0
        packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 1000), still, True
        out.mux(packet)
        for number, image in enumerate(images(10)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert [number_in(frame.image) for frame in open_video(path).frames()] == list(range(10))


def test_sound_that_is_longer_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "long_sound.mkv"
    with av.open(str(path), "w") as out:
        stream, sound = out.add_stream("libx264", rate=25), out.add_stream("aac", rate=16000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound.layout = "mono"
        for number, image in enumerate(images(10)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for number in range(80):
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            tone.sample_rate, tone.pts = 16000, number * 1024
            out.mux(sound.encode(tone))
        out.mux(sound.encode(None))
    reader = open_video(path)
    assert (len(list(reader.frames())), reader.warnings, reader.info.frame_count) == (10, (), 10)


def test_a_matroska_file_that_is_cut_off_is_said_to_be(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (60, 96, 128, 3), dtype=np.uint8)
    encode(tmp_path / "whole.mkv", list(noise), [40 * k for k in range(60)], Encoding(time_base=Fraction(1, 1000)))
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    reader = open_video(tmp_path / "cut.mkv")
    assert 10 < len(list(reader.frames())) < 50
    assert any("ends early" in warning for warning in reader.warnings)


@pytest.mark.parametrize("ending", ["h264", "hevc", "m2v"])
def test_raw_streams_are_read(tmp_path: Path, ending: str) -> None:
    codec = {"h264": "libx264", "hevc": "libx265", "m2v": "mpeg2video"}[ending]
    options = {"b": "8000000"} if codec == "mpeg2video" else {"x265-params": "log-level=none"}
    path = tmp_path / f"raw.{ending}"
    how = Encoding(time_base=Fraction(1, 25), codec=codec, options=options if codec != "libx264" else {})
    encode(path, images(20, (128, 96)), list(range(20)), how)
    reader = open_video(path)
    frames = list(reader.frames())
    assert [number_in(frame.image) for frame in frames] == list(range(20))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(20) / 25, atol=1e-6)
    part = list(open_video(path, VideoOptions(range=FrameRange(7, 9))).frames())
    assert [number_in(frame.image) for frame in part] == [7, 8]


@pytest.mark.parametrize(("name", "b_frames"), [("long.mp4", 2), ("long.mkv", 0), ("long.ts", 2), ("long.mov", 0)])
def test_the_way_by_key_frames_is_taken_in_long_videos_and_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, b_frames: int
) -> None:
    base = {"ts": TS_BASE, "mkv": Fraction(1, 1000)}.get(name.rpartition(".")[2], Fraction(1, 12800))
    stamps = [round(number / 25 / base) for number in range(700)]
    encode(tmp_path / name, images(700), stamps, Encoding(time_base=base, b_frames=b_frames))
    whole = list(open_video(tmp_path / name).frames())
    taken: list[object] = []
    landing = seeking._landing
    monkeypatch.setattr(seeking, "_landing", lambda *words: taken.append(landing(*words)) or taken[-1])
    part = list(open_video(tmp_path / name, VideoOptions(range=FrameRange(600, 620))).frames())
    assert taken
    assert taken[-1] is not None
    assert taken[-1].index > 500
    assert [frame.index for frame in part] == list(range(600, 620))
    for one in part:
        assert one.time_s == whole[one.index].time_s
        np.testing.assert_array_equal(one.image, whole[one.index].image)


def test_more_frames_than_the_limit_are_refused_whatever_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    encode(path, images(40), [512 * number for number in range(40)], Encoding())
    with pytest.raises(BadInputError, match="has 40 frames, the limit is 30"):
        open_video(path, VideoOptions(most_frames=30))
    reader = open_video(path, VideoOptions(most_frames=30, range=FrameRange(0.0, 1e9)))
    with pytest.raises(BadInputError, match="the limit is 30"):
        list(reader.frames())
    assert len(list(open_video(path, VideoOptions(most_frames=30, range=FrameRange(5, 20))).frames())) == 15
    offset = 1_700_000_000_000
    encode(tmp_path / "wall.mkv", images(20), [offset + 40 * k for k in range(20)], Encoding(Fraction(1, 1000)))
    assert len(list(open_video(tmp_path / "wall.mkv", VideoOptions(most_frames=20)).frames())) == 20


def png(width: int, height: int, rows: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


_MEASURE = """
import sys, time
from pathlib import Path
from backend.errors import VideoError
from backend.video import open_video
if sys.platform == "win32":
    import psutil
    peak_mib = lambda: psutil.Process().memory_info().peak_wset >> 20
else:
    import resource
    peak_mib = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before, began = peak_mib(), time.monotonic()
try:
    count = len(list(open_video(Path(sys.argv[1])).frames()))
except VideoError as fault:
    count = str(fault)
print(time.monotonic() - began, peak_mib() - before, count)
"""


@pytest.mark.parametrize("kind", ["huge.png", "says_small.png", "huge.tif", "frame.avi", "later"])
def test_a_small_file_cannot_ask_for_gigabytes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "huge.png":
        path.write_bytes(png(30_000, 30_000, 300))
    elif kind == "says_small.png":
        path.write_bytes(png(64, 64, 30_000))
    elif kind == "huge.tif":
        tags = ((256, 40_000), (257, 40_000), (258, 16), (259, 1), (262, 2), (277, 3), (273, 8), (279, 9))
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags))
        path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(64))
    elif kind == "frame.avi":
        large = io.BytesIO()
        Image.new("L", (16_000, 16_000)).save(large, "JPEG")
        with av.open(str(path), "w") as out:
            stream = out.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
            for number in range(3):
                packet = av.Packet(large.getvalue())
                packet.pts = packet.dts = number
                packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
                out.mux(packet)
    else:
        path.mkdir()
        cv2.imwrite(str(path / "shot_1.png"), np.zeros((64, 64, 3), np.uint8))
        (path / "shot_2.png").write_bytes(png(30_000, 30_000, 300))
    words = [sys.executable, "-c", _MEASURE, str(path)]
    told = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60).stdout.split(
        maxsplit=2
    )
    assert float(told[0]) < 1.0
    assert int(told[1]) < 200
    assert told[2].strip() == str(STILL_FRAMES) or "pixels" in told[2] or "no image can be decoded" in told[2]


def test_images_of_other_formats_are_not_tried(tmp_path: Path) -> None:
    path = tmp_path / "shot.png"
    ok, data = cv2.imencode(".jp2", np.zeros((64, 64, 3), np.uint8))
    assert ok
    path.write_bytes(data.tobytes())
    with pytest.raises(VideoError, match="not a readable image"):
        read_image(path)


def test_sixteen_bit_images_are_read(tmp_path: Path) -> None:
    for name in ("deep.png", "deep.tif"):
        assert cv2.imwrite(str(tmp_path / name), np.full((32, 40, 3), 40_000, np.uint16))
        assert abs(int(read_image(tmp_path / name)[5, 5, 0]) - 40_000 // 257) <= 1


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("number", range(1, 9))
def test_the_orientation_of_images_is_heeded(tmp_path: Path, ending: str, number: int) -> None:
    path, tags = tmp_path / f"a.{ending}", Image.Exif()
    tags[0x112] = number
    shown = Image.fromarray(image_of(20, (64, 48)))
    shown.save(path, tiffinfo={0x112: number}) if ending == "tif" else shown.save(path, exif=tags, quality=95)
    with Image.open(path) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.int16)
    read = read_image(path)
    assert read.shape == wanted.shape
    assert np.abs(read - wanted).mean() < 6.0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes, devices and sockets among its files")
def test_what_is_no_file_is_named_and_not_opened(tmp_path: Path) -> None:
    for name in ("pipe.mp4", "pipe.png"):
        os.mkfifo(tmp_path / name)
        assert "is a pipe" in refused(tmp_path / name).message
    folder = tmp_path / "images"
    folder.mkdir()
    os.mkfifo(folder / "shot_1.png")
    assert "holds no images" in refused(folder).message
    assert "is a device" in refused(Path("/dev/zero")).message
    os.chdir(tmp_path)  # the name of a socket has little room
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("s.mp4")
            assert "is a socket" in refused(tmp_path / "s.mp4").message
    finally:
        os.chdir(ROOT)


def test_an_address_is_told_where_the_system_calls_its_name_impossible() -> None:
    fault = OSError(22, "The filename, directory name, or volume label syntax is incorrect")

    class WindowsPath(PureWindowsPath):
        def stat(self) -> None:
            raise fault

        def absolute(self) -> PureWindowsPath:
            return self

    with pytest.raises(VideoError, match=r"^https://videos\.example/a\.mp4 is an address"):
        check_regular(WindowsPath("https://videos.example/a.mp4"))
    with pytest.raises(VideoError, match="cannot be opened"):
        check_regular(WindowsPath("C:\\a?.mp4"))


def test_what_names_no_file_is_told(tmp_path: Path) -> None:
    for address in ("https://videos.example/a.mp4", "rtsp://camera/1", "s3://bucket/a.mov"):
        assert refused(Path(address)).message == f"{address} is an address, and only files are read"
    assert "cannot be opened" in refused(tmp_path / ("x" * 300 + ".mp4")).message
    assert "cannot be opened" in refused(Path("a\0b.mp4")).message
    assert "no file" in refused(tmp_path / "video.mp4" / "under.mp4").message


@pytest.mark.parametrize("ending", ["webp", "png"])
def test_an_animated_image_is_named(tmp_path: Path, ending: str) -> None:
    shades = [Image.new("RGB", (64, 64), (40 * k, 0, 0)) for k in range(5)]
    shades[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=shades[1:])
    assert "animated image of 5 images" in refused(tmp_path / f"a.{ending}").message


def test_an_animated_gif_is_a_video(tmp_path: Path) -> None:
    shades = [Image.new("RGB", (64, 64), (40 * k, 0, 0)) for k in range(5)]
    shades[0].save(tmp_path / "a.gif", save_all=True, append_images=shades[1:], duration=40)
    assert len(list(open_video(tmp_path / "a.gif").frames())) == 5


def test_absurd_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    encode(path, images(5), [512 * number for number in range(5)], Encoding())
    data = bytearray(path.read_bytes())
    place = data.index(IDENTITY, data.index(b"tkhd")) + len(IDENTITY)
    data[place : place + 4] = struct.pack(">I", 100 * struct.unpack_from(">I", data, place)[0])
    path.write_bytes(data)
    assert "100 times as wide as high" in refused(path).message


def test_a_rate_for_images_is_refused_for_a_video(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", images(5), [512 * number for number in range(5)], Encoding())
    with pytest.raises(BadInputError, match="--fps 50 is for image sequences"):
        open_video(tmp_path / "a.mp4", VideoOptions(sequence_fps=50.0))


@pytest.mark.skipif(sys.platform == "win32", reason="names are UTF-16 there")
def test_names_that_are_no_utf8_are_read(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    encode(tmp_path / "a.mp4", images(5), [512 * number for number in range(5)], Encoding())
    (tmp_path / "a.mp4").rename(tmp_path / name)
    assert len(list(open_video(tmp_path / name).frames())) == 5


def test_a_clock_of_33_bits_that_starts_anew_is_no_pause() -> None:
    settings = ClockSettings(TS_BASE, 3600, wraps=True)
    assert not settings.restarts((1 << 33) - 3600, 1 << 33)  # it ran over
    assert settings.restarts(90_000 * 60_000, (1 << 33) + 126_000)  # it started anew, FFmpeg added a turn
    clock = Clock(settings, 0)
    assert [clock.read(stamp) for stamp in (0, 3600, 7200, 7000, 10_800)] == [0, 3600, 7200, None, 10_800]
    assert clock.warnings() == ["1 frames repeat the time of an earlier frame and were left out"]
    assert clock.read(None) == 14_400


def paths(*names: str) -> list[Path]:
    return [Path("folder") / name for name in names]


def test_series_are_told_apart_by_their_names() -> None:
    plain = choose_series(paths("b10.png", "b9.png", "b11.png"))
    assert ([path.name for path in plain.paths], plain.places) == (["b9.png", "b10.png", "b11.png"], (0, 1, 2))
    two = choose_series(paths("cam1_0001.png", "cam1_0002.png", "cam2_0001.png", "cam2_0002.png", "cam2_0003.png"))
    assert two.places == (0, 1, 2)
    assert "cam1_####.png (2 images), cam2_####.png (3 images)" in two.warnings[0]
    named = choose_series(paths("left.png", "right.png", "middle.png"))
    assert (len(named.paths), named.warnings) == (3, ())
    dated = choose_series(paths("2024-05-01_12.30.59.png", "2024-05-01_12.31.00.png", "2024-05-01_12.31.01.png"))
    assert (dated.places, dated.warnings) == ((0, 1, 2), ())
    epoch = choose_series(paths("1700000000123.png", "1700000000156.png", "1700000000190.png"))
    assert epoch.places == (0, 1, 2)
    assert "leap" in epoch.warnings[0]
    tens = choose_series(paths("f0010.png", "f0020.png", "f0040.png"))
    assert tens.places == (0, 1, 3)
    assert tens.warnings == ("1 images are missing, first number 30: the images after them keep their time",)


def test_a_cancel_ends_the_waiting_for_a_disk_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.video.prefetch._PATIENCE_S", 0.3)
    cancel, answer = CancelToken(), threading.Event()

    def produce():
        yield 1
        answer.wait(30.0)

    items = iter(Prefetcher(produce(), 2, cancel))
    assert next(items) == 1
    threading.Timer(0.2, cancel.cancel).start()
    began = time.monotonic()
    assert list(items) == []
    assert time.monotonic() - began < 5.0
    answer.set()
