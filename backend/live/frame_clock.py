"""Times of frames since the start of a live capture, from a source's stamps or from when images arrive. stdlib only."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

_MOST_OFF_S: Final = 1.0
# these formats carry no times: FFmpeg counts frames and makes some up
UNTIMED_FORMATS: Final = frozenset({"mpjpeg", "mjpeg", "h264", "hevc", "jpeg_pipe", "image2pipe"})


class FrameClock:
    """One connection's stamps on the capture's time line; stamps that leap are joined to the arrival again."""

    def __init__(self, format_name: str) -> None:
        self._timed = not UNTIMED_FORMATS & set(format_name.split(","))
        self._shift_s: float | None = None

    def shift_s(self, pts: int | None, time_base: Fraction | None, arrival_s: float) -> float | None:
        """What is added to stamps in seconds to get the capture's time; None where the arrival counts."""
        if not self._timed or pts is None or time_base is None:
            return None
        own_s = float(pts * time_base)
        if self._shift_s is None or abs(own_s + self._shift_s - arrival_s) > _MOST_OFF_S:
            self._shift_s = arrival_s - own_s
        return self._shift_s
