"""Time stamps as files have them, made into times that increase: restarts, pauses, repeats, missing stamps. stdlib.

A stamp is a whole number of ticks of the stream's time base. Stamps come in presentation order.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

# a step back of more than this is another recording's clock; a smaller one is a stamp in the wrong place
_BACK_S: Final = 0.3
# a step ahead of more than this is another clock too: nobody pauses a camera for half a day and goes on
_AHEAD_S: Final = 12 * 3600.0
_PAUSE_S: Final = 2.0
_PAUSE_STEPS: Final = 20
# transport streams count in 33 bits; FFmpeg adds a turn to a clock that starts anew, as to one that ran over
_WRAP_TICKS: Final = 1 << 33
_WRAP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """A stream's clock: the time of a tick, the usual ticks from frame to frame, and whether it has 33 bits."""

    time_base: Fraction
    step_ticks: int
    wraps: bool = False

    def seconds(self, ticks: int) -> float:
        """One division at the end keeps steps of 1001/24000 exact to the last bit of a double."""
        return float(ticks * self.time_base)

    def restarts(self, before: int, stamp: int) -> bool:
        """Whether the clock starts anew between two stamps that follow each other in presentation order."""
        ahead_s = self.seconds(stamp - before)
        if ahead_s < -max(_BACK_S, 1.5 * self.seconds(self.step_ticks)) or ahead_s > _AHEAD_S:
            return True
        return self.wraps and before < _WRAP_TICKS <= stamp and ahead_s > _WRAP_S


class Clock:
    """Reads stamps in presentation order and gives ticks from `origin` that increase strictly."""

    def __init__(self, settings: ClockSettings, origin: int | None) -> None:
        self._settings = settings
        self._shift = 0 if origin is None else -origin
        self._origin_known = origin is not None
        self._last_stamp: int | None = None
        self._last_ticks = -1
        self._restarts: list[float] = []
        self._repeats = 0
        self._pauses: list[tuple[float, float]] = []

    def read(self, stamp: int | None) -> int | None:
        """Ticks from the origin; None where the frame repeats an earlier time, and is to be left out."""
        step = self._settings.step_ticks
        if stamp is None:
            self._last_ticks = self._last_ticks + step if self._last_stamp is not None else 0
            return self._last_ticks
        if not self._origin_known:
            self._shift, self._origin_known = -stamp, True
        if self._last_stamp is not None and self._settings.restarts(self._last_stamp, stamp):
            self._shift = self._last_ticks + step - stamp
            self._restarts.append(self._settings.seconds(self._last_ticks + step))
            self._last_stamp = stamp
        self._last_stamp = stamp if self._last_stamp is None else max(stamp, self._last_stamp)
        ticks = stamp + self._shift
        if ticks <= self._last_ticks:
            self._repeats += 1
            return None
        self._tell_pause(ticks)
        self._last_ticks = ticks
        return ticks

    def warnings(self) -> list[str]:
        """One sentence for each kind of trouble, with its count."""
        told = []
        if self._repeats:
            told.append(f"{self._repeats} frames repeat the time of an earlier frame and were left out")
        if self._restarts:
            told.append(
                f"the file's clock starts anew {_times(len(self._restarts))}, first at {self._restarts[0]:.2f} s: "
                "what follows was joined on without a pause"
            )
        if self._pauses:
            at_s, gap_s = max(self._pauses, key=lambda pause: pause[1])
            told.append(
                f"the recording pauses {_times(len(self._pauses))}, the longest for {gap_s:.2f} s after {at_s:.2f} s: "
                "the times keep the pause"
            )
        return told

    def _tell_pause(self, ticks: int) -> None:
        gap_s = self._settings.seconds(ticks - self._last_ticks)
        step_s = self._settings.seconds(self._settings.step_ticks)
        if self._last_ticks >= 0 and gap_s > max(_PAUSE_S, _PAUSE_STEPS * step_s):
            self._pauses.append((self._settings.seconds(self._last_ticks), gap_s))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
