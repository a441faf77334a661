"""Offsets between videos from their sound and their time codes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from backend.multiview.recorded_clocks import offset_by_time_code, parse_time_code, read_time_code
from backend.multiview.sound import offset_by_sound, read_sound
from backend.multiview.types import OffsetSource

RATE = 48_000
Samples = NDArray[np.float64]


def performance(seconds: float, seed: int = 0) -> Samples:
    """Somebody speaks, steps and knocks: syllables of coloured noise at irregular times."""
    rng = np.random.default_rng(seed)
    sound = 1e-3 * rng.standard_normal(int(seconds * RATE))
    at = 0.2
    while at < seconds - 0.6:
        length = rng.uniform(0.05, 0.4)
        n = int(length * RATE)
        tone = np.sin(2 * np.pi * rng.uniform(200, 2500) * np.arange(n) / RATE) + 0.5 * rng.standard_normal(n)
        start = int(at * RATE)
        sound[start : start + n] += rng.uniform(0.05, 0.5) * tone * np.hanning(n) ** 0.5
        at += length + rng.exponential(0.25)
    return sound


def as_heard(sound: Samples, seed: int, noise: float = 0.02) -> Samples:
    """Another microphone in the same room: echoes, another gain, noise of its own."""
    rng = np.random.default_rng(seed)
    echo = np.zeros(RATE // 4)
    echo[0] = 1.0
    echo[rng.integers(200, RATE // 4, 60)] += 0.3 * rng.standard_normal(60) * np.exp(-np.linspace(0, 3, 60))
    return rng.uniform(0.2, 1.0) * fftconvolve(sound, echo)[: len(sound)] + noise * rng.standard_normal(len(sound))


def write_take(path: Path, sound: Samples | None, fps: Fraction = Fraction(30), **more: str) -> Path:
    """A small video with this sound as AAC; `more` are the container's metadata."""
    seconds = 2.0 if sound is None else len(sound) / RATE
    with av.open(str(path), "w") as container:
        container.metadata.update(more)
        video = container.add_stream("mpeg4", rate=fps)
        video.width, video.height = 64, 48
        heard = container.add_stream("aac", rate=RATE, layout="mono") if sound is not None else None
        for _ in range(max(2, int(seconds * fps))):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(video.encode())
        if heard is not None and sound is not None:
            for start in range(0, len(sound), 1024):
                block = np.clip(sound[None, start : start + 1024], -1, 1).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                container.mux(heard.encode(frame))
            container.mux(heard.encode())
    return path


@pytest.mark.parametrize(
    ("first_s", "second_s", "rates", "suffix"),
    [
        ((0, 12), (3.217, 14), (Fraction(30), Fraction(60)), ".mp4"),
        ((5.5, 15), (0, 11), (Fraction(24000, 1001), Fraction(60)), ".mkv"),
        ((0, 6), (2.85, 14), (Fraction(25), Fraction(30000, 1001)), ".mov"),
    ],
)
def test_an_offset_is_found_within_ten_milliseconds(
    tmp_path: Path,
    first_s: tuple[float, float],
    second_s: tuple[float, float],
    rates: tuple[Fraction, ...],
    suffix: str,
) -> None:
    whole = performance(15.0)
    paths = []
    for place, (begin, end) in enumerate((first_s, second_s)):
        part = as_heard(whole, 10 + place)[round(begin * RATE) : round(end * RATE)]
        paths.append(write_take(tmp_path / f"{place}{suffix}", part, rates[place]))
    first, second = (read_sound(path) for path in paths)
    assert first is not None
    assert second is not None
    offset = offset_by_sound(first, second)
    assert offset is not None
    assert offset.source is OffsetSource.SOUND
    # AAC's encoder delay shifts both alike
    assert abs(offset.start_s - (round(second_s[0] * RATE) - round(first_s[0] * RATE)) / RATE) < 0.010
    back = offset_by_sound(second, first)
    assert back is not None
    assert abs(back.start_s + offset.start_s) < 0.002


def test_the_drift_of_a_clock_is_told(tmp_path: Path) -> None:
    whole = performance(150.0, seed=3)
    drift = 2e-4
    slow = np.interp(np.arange(0, len(whole) * (1 - drift) - 1) * (1 + drift), np.arange(len(whole)), whole)
    first = read_sound(write_take(tmp_path / "a.mp4", as_heard(whole, 1)))
    second = read_sound(write_take(tmp_path / "b.mp4", as_heard(slow, 2)[RATE:]))
    assert first is not None
    assert second is not None
    offset = offset_by_sound(first, second)
    assert offset is not None
    assert offset.rate == pytest.approx(1 + drift, abs=3e-5)
    for video_s in (0.0, 70.0, 140.0):
        assert float(offset.take_time_s(np.array(video_s))) == pytest.approx((video_s + 1.0) * (1 + drift), abs=0.01)


def test_unrelated_and_silent_videos_have_no_offset(tmp_path: Path) -> None:
    mine, other = (read_sound(write_take(tmp_path / f"{n}.mp4", performance(12.0, seed=n))) for n in (1, 2))
    assert mine is not None
    assert other is not None
    assert offset_by_sound(mine, other) is None
    assert read_sound(write_take(tmp_path / "silence.mp4", np.zeros(3 * RATE))) is None
    hum = 0.1 * np.sin(2 * np.pi * 50 * np.arange(3 * RATE) / RATE)
    assert read_sound(write_take(tmp_path / "hum.mp4", hum)) is None
    assert read_sound(write_take(tmp_path / "mute.mp4", None)) is None
    assert read_sound(write_take(tmp_path / "short.mp4", performance(0.7))) is None


def test_noises_have_no_offset() -> None:
    """Fifty pairs of unrelated recordings: none may be taken for one performance."""
    from backend.multiview.sound import Sound

    rng = np.random.default_rng(5)
    for _ in range(50):
        pair = [Sound(0.0, rng.standard_normal((rng.integers(500, 9000), 3)).astype(np.float32)) for _ in range(2)]
        assert offset_by_sound(*pair) is None


def test_a_beat_that_repeats_is_not_guessed(tmp_path: Path) -> None:
    click = np.zeros(RATE // 2)
    click[:400] = np.hanning(400)
    music = np.tile(click, 20)
    first, second = (
        read_sound(write_take(tmp_path / f"{n}.mp4", as_heard(music, n, 0.002)[n * RATE :])) for n in (0, 1)
    )
    assert first is not None
    assert second is not None
    assert offset_by_sound(first, second) is None


def test_a_damaged_sound_track_is_read_up_to_the_damage(tmp_path: Path) -> None:
    path = write_take(tmp_path / "a.mkv", performance(10.0))
    data = bytearray(path.read_bytes())
    data[len(data) * 6 // 10 :] = bytes(len(data) - len(data) * 6 // 10)
    path.write_bytes(data)
    sound = read_sound(path)
    assert sound is None or 0.5 < sound.end_s < 11.0


@pytest.mark.parametrize(
    ("text", "rate", "seconds"),
    [
        ("01:00:00:00", Fraction(25), 3600.0),
        ("00:00:10:12", Fraction(24), 10.5),
        ("00:01:00;02", Fraction(30000, 1001), 60.06),
        ("00:10:00;00", Fraction(30000, 1001), 599.9994),
        ("00:01:00;04", Fraction(60000, 1001), 60.06),
        ("01:00:00:00", Fraction(24000, 1001), 3603.6),
        ("25:00:00:00", Fraction(25), None),
        ("00:00:00:25", Fraction(25), None),
        ("noon", Fraction(25), None),
    ],
)
def test_time_codes_are_read(text: str, rate: Fraction, seconds: float | None) -> None:
    found = parse_time_code(text, rate)
    assert found == (None if seconds is None else pytest.approx(seconds, abs=1e-3))


def test_files_with_time_codes_are_lined_up(tmp_path: Path) -> None:
    first = read_time_code(write_take(tmp_path / "a.mov", None, Fraction(25), timecode="23:59:58:00"))
    second = read_time_code(write_take(tmp_path / "b.mov", None, Fraction(25), timecode="00:00:01:05"))
    assert first is not None
    assert second is not None
    offset = offset_by_time_code(first, second)
    assert offset.start_s == pytest.approx(3.2)
    assert offset.uncertainty_s == pytest.approx(0.02)
    assert read_time_code(write_take(tmp_path / "c.mov", None)) is None
