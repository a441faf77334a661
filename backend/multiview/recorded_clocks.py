"""What the files themselves say of the videos' clocks: sound first, then time codes.

May import the backend's requests and its own room.

Cameras that share a clock write time codes into their files (SMPTE ST 12-1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from backend.multiview.sound import offset_by_sound, read_sound
from backend.multiview.types import Offset, OffsetSource
from backend.solving.request import SolveRequest
from backend.video.opening import choose_stream, open_container

_TIME_CODE = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})([:;.])(\d{1,3})")
_DAY_S = 86_400.0


def read_time_code(path: Path) -> tuple[float, float] | None:
    """Seconds since midnight at the video's first frame, and the length of a frame; None where there is no time code.

    Raises VideoError as opening a video does.
    """
    with open_container(path) as container:
        video = container.streams[choose_stream(container, path)[0]]
        texts = [stream.metadata.get("timecode") for stream in (video, *container.streams)]
        texts.append(container.metadata.get("timecode"))
        rate = Fraction(getattr(video, "average_rate", None) or 0)
    text = next((text for text in texts if text), None)
    seconds = parse_time_code(text, rate) if text and rate > 0 else None
    return None if seconds is None else (seconds, float(1 / rate))


def parse_time_code(text: str, rate: Fraction) -> float | None:
    """Seconds since midnight of "HH:MM:SS:FF", with ";" before the frames for drop-frame; None for anything else.

    Time code counts whole frames a second: at 24000/1001 its seconds are longer than real ones.
    """
    found = _TIME_CODE.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds, frames = (int(found[group]) for group in (1, 2, 3, 5))
    nominal = round(rate)
    if hours > 23 or minutes > 59 or seconds > 59 or frames >= max(1, nominal):
        return None
    count = ((hours * 60 + minutes) * 60 + seconds) * nominal + frames
    if found[4] == ";":  # two numbers a minute (four at 60) are left out, but not in every tenth minute
        dropped = round(nominal / 15)
        count -= dropped * ((hours * 60 + minutes) - (hours * 60 + minutes) // 10)
    return float(count / rate)


def offset_by_time_code(first: tuple[float, float], second: tuple[float, float]) -> Offset:
    """The second video's offset against the first; midnight between them is no matter. Good to half a frame."""
    apart = (second[0] - first[0] + _DAY_S / 2) % _DAY_S - _DAY_S / 2
    return Offset(apart, 1.0, 0.5 * max(first[1], second[1]), OffsetSource.TIME_CODE)


def recorded_offsets(videos: Sequence[SolveRequest], known: Sequence[Offset | None]) -> list[Offset | None]:
    """The offset of each video against the first, where its file tells it and it is not `known`; None elsewhere.

    Sound of slow motion is not compared: its clock is not that of the frames.
    """
    open_clocks = [place for place in range(1, len(videos)) if known[place] is None]
    found: list[Offset | None] = [None for _ in videos]
    files = [video.video for video in videos]
    if not open_clocks or not all(file.is_file() for file in files):
        return found
    at_speed = all(video.slow_motion == 1.0 for video in videos)
    sound = read_sound(files[0]) if at_speed else None
    code = read_time_code(files[0]) if at_speed else None
    for place in open_clocks:
        other = read_sound(files[place]) if sound is not None else None
        if sound is not None and other is not None:
            found[place] = offset_by_sound(sound, other)
        stamp = read_time_code(files[place]) if code is not None and found[place] is None else None
        if code is not None and stamp is not None:
            found[place] = offset_by_time_code(code, stamp)
    return found
