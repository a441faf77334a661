"""The add-on reads a video's turn from the file alone, and agrees with FFmpeg about it."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from backend.video.source import probe
from blender_addon.rig.video_rotation import Orientation, orientation, quarter_turns, turn_point
from tests.video.odd_videos import MATRICES as ODD_MATRICES
from tests.video.odd_videos import Encoding, encode, image_of, set_matrix, stored

ONE = 0x10000
IDENTITY = struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, 0x40000000)
MATRICES = {1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}


def turn(path: Path, turns: int, track: int = 0) -> None:
    """Write clockwise quarter turns into the header of the file's track, as phones do."""
    a, b, c, d = (value * ONE for value in MATRICES[turns])
    data = bytearray(path.read_bytes())
    place = -1
    for _ in range(track + 1):
        place = data.index(b"tkhd", place + 1)
    place = data.index(IDENTITY, place)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(data)


def ffmpegs_turns(path: Path) -> int:
    return -probe(path).rotation_deg // 90 % 4


@pytest.mark.parametrize("turns", MATRICES)
@pytest.mark.parametrize(("name", "options"), [("a.mp4", {}), ("a.mov", {}), ("a.mp4", {"movflags": "faststart"})])
def test_it_is_the_turn_that_ffmpeg_sees(write_video, name, options, turns):
    path = write_video(name, list(range(5)), Fraction(1, 30), options=options)
    assert quarter_turns(path) == ffmpegs_turns(path) == 0
    turn(path, turns)
    assert quarter_turns(path) == ffmpegs_turns(path) == turns


def test_the_sound_s_header_is_not_the_image_s(tmp_path):
    path = tmp_path / "sound_first.mp4"
    with av.open(str(path), "w") as out:
        sound, image = out.add_stream("aac", rate=48000), out.add_stream("libx264", rate=25)
        image.width, image.height, image.pix_fmt = 64, 48, "yuv420p"
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48000
        out.mux([*sound.encode(frame), *sound.encode(None)])
        for _ in range(3):
            out.mux(image.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        out.mux(image.encode(None))
    turn(path, 2, track=0)
    assert quarter_turns(path) == ffmpegs_turns(path) == 0
    turn(path, 1, track=1)
    assert quarter_turns(path) == ffmpegs_turns(path) == 1


def test_a_file_that_says_nothing_has_no_turn(write_video, tmp_path):
    assert quarter_turns(write_video("a.mkv", list(range(5)), Fraction(1, 1000))) == 0
    assert quarter_turns(tmp_path / "missing.mp4") == 0
    rng = np.random.default_rng(0)
    video = write_video("whole.mp4", list(range(5)), Fraction(1, 30))
    turn(video, 1)
    data = video.read_bytes()
    broken = tmp_path / "broken.mp4"
    for _ in range(200):
        noise = bytearray(data[: rng.integers(1, len(data) + 1)])
        for place in rng.integers(0, len(noise), 20):
            noise[place] = rng.integers(256)
        broken.write_bytes(noise)
        assert quarter_turns(broken) in range(4)


def test_folders_in_folders_without_end_are_no_video(tmp_path):
    data = b""
    for _ in range(3000):
        data = struct.pack(">I4s", 8 + len(data), b"moov") + data
    (tmp_path / "deep.mp4").write_bytes(data)
    assert quarter_turns(tmp_path / "deep.mp4") == 0


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_turned_point_shows_what_it_showed(turns):
    image = np.arange(6 * 9).reshape(6, 9)
    turned = np.rot90(image, -turns)
    for y in range(6):
        for x in range(9):
            at_x, at_y = turn_point(x + 0.5, y + 0.5, (9, 6), turns)
            assert turned[int(at_y), int(at_x)] == image[y, x]


@pytest.mark.parametrize(("mirrored", "turns"), ODD_MATRICES)
def test_mirrors_are_read_as_the_backend_reads_them(tmp_path, mirrored, turns):
    path = tmp_path / "phone.mp4"
    images = [stored(image_of(0, (64, 48)), mirrored, turns)] * 5
    encode(path, images, [512 * number for number in range(5)], Encoding())
    set_matrix(path, mirrored, turns)
    assert orientation(path) == Orientation(turns, mirrored)
    info = probe(path)
    assert (info.mirrored, -info.rotation_deg // 90 % 4) == (mirrored, turns)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_mirrored_point_shows_what_it_showed(turns):
    image = np.arange(6 * 9).reshape(6, 9)
    upright = np.rot90(image[:, ::-1], -turns)
    for y in range(6):
        for x in range(9):
            at_x, at_y = turn_point(x + 0.5, y + 0.5, (9, 6), turns, mirrored=True)
            assert upright[int(at_y), int(at_x)] == image[y, x]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_what_is_left_after_a_turn_without_the_mirror(turns):
    image = np.arange(6 * 9).reshape(6, 9)
    upright = np.rot90(image[:, ::-1], -turns)
    # the direction of the x axis is reversed by the mirror, so the turn that is made is half a turn off
    shown = np.rot90(image, -(turns + 2))
    left = Orientation(turns, mirrored=True).after_turning()
    np.testing.assert_array_equal(np.rot90(shown[:, ::-1], -left.quarter_turns), upright)
    assert Orientation(turns).after_turning() == Orientation()
