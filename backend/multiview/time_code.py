"""Time codes in video files, as cameras that share a clock write them (SMPTE ST 12-1). PyAV."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from backend.multiview.types import Offset, OffsetSource
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
