"""Decoding: exact times, rotation, ranges, sequences, bounded memory, and every kind of bad file."""

from __future__ import annotations

import struct
import sys
import threading
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest

from backend.errors import BadInputError, VideoError
from backend.types import Frame
from backend.video import CutDetector, VideoOptions, open_video, parse_range, probe
from backend.video.prefetch import Prefetcher
from backend.video.sequence import STILL_FRAMES


def times_of(path: Path, **options) -> list[float]:
    return [frame.time_s for frame in open_video(path, VideoOptions(**options)).frames()]


@pytest.mark.parametrize("rate", [24000, 60000], ids=["23.976", "59.94"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_times_of_broadcast_rates_are_exact(write_video, name, rate):
    path = write_video(name, [i * 1001 for i in range(40)], Fraction(1, rate))
    times = times_of(path)
    # Matroska keeps milliseconds; the others keep the exact fraction
    tolerance = 0.6e-3 if name.endswith("mkv") else 1e-12
    np.testing.assert_allclose(times, np.arange(40) * 1001 / rate, rtol=0, atol=tolerance)
    info = probe(path)
    assert info.fps == pytest.approx(rate / 1001, rel=2e-3)
    assert not info.variable_frame_rate


CODECS = [
    ("a.mp4", "libx265", "yuv420p"),
    ("a.mov", "libx265", "yuv420p10le"),  # as phones record it
    ("a.webm", "libvpx-vp9", "yuv420p"),
    ("a.mkv", "libvpx-vp9", "yuv420p"),
    ("a.mkv", "libsvtav1", "yuv420p"),
    ("a.mp4", "libsvtav1", "yuv420p10le"),
    ("a.avi", "libx264", "yuv420p"),
    ("a.avi", "mpeg4", "yuv420p"),
    ("a.mov", "mjpeg", "yuvj420p"),
    ("a.mov", "prores_ks", "yuv422p10le"),
    ("a.mkv", "libx264", "yuv444p"),
]


@pytest.mark.parametrize(("name", "codec", "pixels"), CODECS)
def test_codecs_and_containers(write_video, name, codec, pixels):
    path = write_video(name, list(range(12)), Fraction(1, 25), codec=codec, size=(128, 96), pixels=pixels)
    frames = list(open_video(path).frames())
    assert [f.index for f in frames] == list(range(12))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(12) / 25, atol=0.6e-3)
    assert all(abs(int(f.image[72, 64].mean()) - f.index * 5) < 8 for f in frames)


def test_variable_frame_rate_keeps_each_time(write_video):
    stamps = np.cumsum([0] + [1001, 1001, 3000, 500, 500, 9000, 1001, 250, 1001] * 3)
    path = write_video("vfr.mp4", [int(s) for s in stamps], Fraction(1, 30000))
    np.testing.assert_allclose(times_of(path), stamps / 30000, rtol=0, atol=1e-12)
    assert probe(path).variable_frame_rate


def test_times_begin_at_the_first_image(write_video):
    path = write_video("late.mkv", [500 + 40 * i for i in range(10)], Fraction(1, 1000))
    np.testing.assert_allclose(times_of(path), np.arange(10) * 0.04, atol=1e-9)


def test_slow_motion_divides_times(write_video):
    path = write_video("slow.mp4", list(range(10)), Fraction(1, 30))
    reader = open_video(path, VideoOptions(slow_motion=4.0))
    np.testing.assert_allclose([f.time_s for f in reader.frames()], np.arange(10) / 120, atol=1e-12)
    assert reader.info.fps == pytest.approx(120)
    with pytest.raises(BadInputError, match="slow-motion"):
        open_video(path, VideoOptions(slow_motion=0.0))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_metadata_turns_images_upright(write_video, turns):
    path = write_video("turned.mp4", list(range(5)), Fraction(1, 30), size=(64, 48))
    # the track header's matrix of ISO/IEC 14496-12, as phones write it: display turns the image clockwise
    one, matrices = 0x10000, {1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}
    a, b, c, d = (v * one for v in matrices[turns])
    data = bytearray(path.read_bytes())
    place = data.index(struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 0x40000000), data.index(b"tkhd"))
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
    reader = open_video(path)
    frame = next(iter(reader.frames()))
    assert (reader.info.width, reader.info.height) == ((48, 64) if turns % 2 else (64, 48))
    assert frame.image.shape == (reader.info.height, reader.info.width, 3)
    # the white corner starts top left and moves clockwise
    y, x = {1: (8, -8), 2: (-8, -8), 3: (-8, 8)}[turns]
    assert frame.image[y, x].mean() > 200
    assert frame.image[-y, -x].mean() < 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10:14", range(10, 14)),
        ("36:", range(36, 40)),
        (":3", range(3)),
        ("0.5s:0.7s", range(12, 17)),
        ("0:00.5-0:00.7", range(12, 17)),
    ],
)
@pytest.mark.parametrize("name", ["r.mp4", "r.mkv"])
def test_range_picks_the_same_frames_as_decoding_everything(write_video, name, text, expected):
    path = write_video(name, [i * 1001 for i in range(40)], Fraction(1, 24000))
    everything = {f.index: f for f in open_video(path).frames()}
    reader = open_video(path, VideoOptions(range=parse_range(text)))
    frames = list(reader.frames())
    assert [f.index for f in frames] == list(expected)
    assert abs(reader.expected_frames - len(expected)) <= 1
    for frame in frames:
        assert frame.time_s == everything[frame.index].time_s
        np.testing.assert_array_equal(frame.image, everything[frame.index].image)


def test_start_index_continues_where_a_reader_stopped(write_video):
    path = write_video("vfr.mp4", [int(s) for s in np.cumsum([0] + [700, 1300, 5000] * 15)], Fraction(1, 30000))
    reader = open_video(path)
    whole = list(reader.frames())
    rest = list(reader.frames(start_index=29))
    assert [(f.index, f.time_s) for f in rest] == [(f.index, f.time_s) for f in whole[29:]]
    np.testing.assert_array_equal(rest[0].image, whole[29].image)


@pytest.mark.parametrize(
    "text", ["5:5", "9:3", "2s:1s", "a:b", "12", "1.5:3", "1:05:10", "1:2:3:4", "infs:", ":nans", "1-2-3"]
)
def test_bad_ranges_are_refused(text):
    with pytest.raises(BadInputError, match="--range"):
        parse_range(text)


def test_range_outside_the_video_is_refused(write_video):
    path = write_video("r.mp4", list(range(10)), Fraction(1, 30))
    with pytest.raises(BadInputError, match=r"holds no frame of r.mp4.*10 frames"):
        list(open_video(path, VideoOptions(range=parse_range("500:600"))).frames())


def refused(path: Path) -> str:
    with pytest.raises(VideoError) as caught:
        list(open_video(path).frames())
    assert caught.value.exit_code == 3
    assert caught.value.remedy
    return caught.value.message


def test_missing_file(tmp_path):
    assert "no file" in refused(tmp_path / "nowhere.mp4")


def test_empty_file(tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert "is empty (0 bytes)" in refused(tmp_path / "empty.mp4")


@pytest.mark.parametrize("content", [b"just some notes\n" * 50, bytes(range(256)) * 40, b"%PDF-1.7\n" + b"\0" * 4000])
def test_wrong_extension(tmp_path, content):
    (tmp_path / "notes.mp4").write_bytes(content)
    assert "not a video" in refused(tmp_path / "notes.mp4")


def test_text_file_is_not_drawn_as_ansi_art(tmp_path):
    (tmp_path / "notes.txt").write_text("walk cycle, take 3\n" * 100)
    assert "not a video" in refused(tmp_path / "notes.txt")


def test_truncated_without_index(write_video, tmp_path):
    whole = write_video("whole.mp4", list(range(60)), Fraction(1, 30))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert "cut off" in refused(cut)


def test_truncated_with_index_yields_what_decodes_and_warns(write_video, tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (60, 96, 128, 3), dtype=np.uint8)
    options = {"movflags": "faststart"}
    whole = write_video("whole.mp4", list(range(60)), Fraction(1, 30), size=(128, 96), images=noise, options=options)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    reader = open_video(cut)
    frames = list(reader.frames())
    assert 10 < len(frames) < 50
    assert any("ends early" in warning for warning in reader.warnings)


def test_audio_only(tmp_path):
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        for index in range(8):
            frame.pts = index * 1024
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert "sound but no image" in refused(path)


def test_encrypted(write_video):
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00" * 16, "encryption_kid": "11" * 16}
    assert "encrypted" in refused(write_video("video.mp4", list(range(20)), Fraction(1, 30), options=options))


def test_damaged_middle_is_survived(write_video):
    noise = np.random.default_rng(1).integers(0, 255, (60, 96, 128, 3), dtype=np.uint8)
    path = write_video("hurt.mp4", list(range(60)), Fraction(1, 30), size=(128, 96), images=noise)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20000] = bytes(20000)
    path.write_bytes(data)
    frames = list(open_video(path).frames())
    assert len(frames) > 30
    assert all(b.time_s > a.time_s for a, b in pairwise(frames))


def test_image_sequence_by_folder_and_pattern(tmp_path):
    for index in (9, 10, 11):
        assert cv2.imwrite(str(tmp_path / f"shot_{index}.png"), np.full((32, 40, 3), index * 10, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    for path in (tmp_path, tmp_path / "shot_##.png", tmp_path / "shot_%d.png"):
        expected = [100, 110] if "##" in path.name else [90, 100, 110]
        reader = open_video(path, VideoOptions(sequence_fps=12.0))
        frames = list(reader.frames())
        if "##" not in path.name:
            assert [int(f.image[0, 0, 0]) for f in frames] == expected
        np.testing.assert_allclose([f.time_s for f in frames], np.arange(len(frames)) / 12)
    assert reader.info.fps == 12.0


def test_image_sequence_of_mixed_sizes_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((32, 40, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((32, 44, 3), np.uint8))
    assert "b.png is 44x32" in refused(tmp_path)


def test_folder_without_images(tmp_path):
    assert "holds no images" in refused(tmp_path)


def test_cut_is_found_and_motion_is_not_a_cut():
    rng = np.random.default_rng(3)
    greys = ((0, 90), (120, 255))
    rooms = [cv2.resize(rng.integers(low, high, (9, 16, 3), dtype=np.uint8), (320, 180)) for low, high in greys]
    detector, cuts = CutDetector(), []
    for index in range(60):
        image = np.roll(rooms[index // 30], 4 * index, axis=1).copy()
        image[60:140, (index * 9) % 250 : (index * 9) % 250 + 50] = 255
        if detector.update(Frame(index, index / 30, image)):
            cuts.append(index)
    assert cuts == [30]


@pytest.mark.shared
def test_real_clips_have_no_cuts(shared):
    for path in sorted((shared / "real").glob("*/*.mp4")):
        detector, reader = CutDetector(), open_video(path, VideoOptions(range=parse_range(":150")))
        assert not [frame.index for frame in reader.frames() if detector.update(frame)]


def test_prefetch_stays_within_its_depth():
    made = []

    def produce():
        for item in range(100):
            made.append(item)
            yield item

    for count, _ in enumerate(Prefetcher(produce(), depth=4), start=1):
        time.sleep(0.001)
        assert len(made) <= count + 6


def test_prefetch_raises_in_order_and_ends_its_thread():
    def produce():
        yield 1
        raise ValueError("broken")

    items = iter(Prefetcher(produce(), depth=2))
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)
    for _ in Prefetcher(iter(range(10**9)), depth=2):
        break
    assert not [t for t in threading.enumerate() if t.name == "prefetch"]


def test_memory_is_bounded_for_large_images(write_video):
    images = [np.zeros((2160, 3840, 3), np.uint8)] * 40
    path = write_video("4k.mp4", list(range(40)), Fraction(1, 30), size=(3840, 2160), images=images)
    process, peak = psutil.Process(), 0
    before = process.memory_info().rss
    for count, _ in enumerate(open_video(path).frames()):
        time.sleep(0.01)
        if count > 10:
            peak = max(peak, process.memory_info().rss - before)
    # 40 images are 1 GB; the queue may hold 96 MB, the decoder's own references as much again
    assert peak < (600 if sys.platform == "win32" else 450) * 2**20


def test_a_single_image_is_a_short_still_video(tmp_path):
    path = tmp_path / "pose.png"
    cv2.imwrite(str(path), np.full((48, 64, 3), (10, 120, 200), np.uint8))
    frames = list(open_video(path).frames())
    assert probe(path).frame_count == STILL_FRAMES
    assert [frame.index for frame in frames] == list(range(STILL_FRAMES))
    assert all(np.array_equal(frame.image, frames[0].image) for frame in frames)
