"""What commands write: plain lines, a progress line with an estimate, or one JSON event a line. stdlib, types, errors.

Results go to standard output, progress and errors to the error stream; with `--json` every event goes to standard
output as one line of JSON, so that another program can follow.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from types import FrameType
from typing import Any, Final

from backend.errors import MarionetError
from backend.types import CancelToken, Progress

_REDRAW_S: Final = 0.1
_JSON_EVERY_S: Final = 0.5
_BAR: Final = 28
# how long a termination may take: to finish what is under way, and then to leave by the way of Ctrl-C
_FINISH_S: Final = 25.0
_LEAVE_S: Final = 15.0


class Terminal:
    """Where a command reports. `as_json` writes events, otherwise text with a progress line on a terminal."""

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self._json = as_json
        self._quiet = quiet
        self._out = sys.stdout  # kept, so that a library's chatter can be sent elsewhere
        self._live = sys.stderr.isatty() and not as_json and not quiet
        self._last_s = 0.0
        self._drawn = False
        self._stage = ""

    def progress(self, now: Progress) -> None:
        """Show where the work stands; drawn at most ten times a second, and always when a stage ends."""
        clock = time.monotonic()
        about = f"video {now.video} {now.stage}" if now.video else now.stage
        ended, fresh = now.done >= now.total, about != self._stage
        self._stage = about
        if self._json:
            if ended or fresh or clock - self._last_s >= _JSON_EVERY_S:
                self._last_s = clock
                video = {"video": now.video} if now.video else {}
                known = {"done": now.done, "total": now.total, "remaining_s": now.remaining_s}
                self.event("progress", stage=now.stage, **known, **video)
        elif self._live and (ended or fresh or clock - self._last_s >= _REDRAW_S):
            self._last_s = clock
            self._draw(progress_line(now))
        elif not self._quiet and not self._live and fresh:
            print(f"{about} ...", file=sys.stderr, flush=True)

    def status(self, text: str) -> None:
        """Show a line that the next one takes the place of; on a terminal only."""
        if self._live:
            self._draw(text)

    def line(self, text: str = "") -> None:
        """Write a line of the result; nothing with `--json`, whose events carry it."""
        if not self._json:
            self._clear()
            print(text, file=self._out, flush=True)

    def warn(self, text: str, code: str = "") -> None:
        """Write a warning to the error stream, or as an event; `code` is for programs, where there is one."""
        if self._json:
            self.event("warning", message=text, **({"code": code} if code else {}))
        else:
            self._clear()
            print(f"warning: {text}", file=sys.stderr, flush=True)

    def event(self, kind: str, **values: Any) -> None:
        """Write one JSON event; nothing without `--json`."""
        if self._json:
            print(json.dumps({"event": kind, **values}), file=self._out, flush=True)

    def _draw(self, text: str) -> None:
        width = shutil.get_terminal_size((100, 24)).columns
        sys.stderr.write("\r" + text[: width - 1].ljust(width - 1))
        sys.stderr.flush()
        self._drawn = True

    def _clear(self) -> None:
        if self._drawn:
            width = shutil.get_terminal_size((100, 24)).columns
            sys.stderr.write("\r" + " " * (width - 1) + "\r")
            sys.stderr.flush()
            self._drawn = False


def progress_line(now: Progress) -> str:
    """`people  [#####-----]  120/430   28 %   0:35 left`."""
    share = min(1.0, now.done / max(now.total, 1))
    filled = round(share * _BAR)
    left = "" if now.remaining_s is None else f"   {clock_text(now.remaining_s)} left"
    bar = "#" * filled + "-" * (_BAR - filled)
    video = f"video {now.video} " if now.video else ""
    return f"{video}{now.stage:<8} [{bar}] {now.done}/{now.total}  {share:4.0%}{left}"


def clock_text(seconds: float) -> str:
    """`1:05` or `2:03:20`."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def report_error(error: MarionetError, as_json: bool) -> None:
    """Tell an error and its remedy, as an event on standard output or as text on the error stream."""
    if as_json:
        record = {"code": error.code, "message": error.message, "remedy": error.remedy, "exit_code": error.exit_code}
        print(json.dumps({"event": "error", **record}), flush=True)
    else:
        print(f"{error.code.replace('_', ' ')}: {error.message}", file=sys.stderr)
        if error.remedy:
            print(f"  {error.remedy}", file=sys.stderr)


def make_streams_safe() -> None:
    """Let no character and no missing stream end a command: what cannot be written is written as its number."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the caller closed it; its number must not become another file's
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def is_reader_gone() -> bool:
    """Whether nobody reads the output or error stream any more."""
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            number = -1 if stream is None else stream.fileno()
        except (OSError, ValueError):
            continue
        if number < 0 or not hasattr(select, "poll"):
            continue
        poller = select.poll()
        poller.register(number, 0)
        if any(happened & (select.POLLERR | select.POLLNVAL) for _, happened in poller.poll(0)):
            return True
    return not hasattr(select, "poll")


def let_go_of_streams() -> None:
    """Send what is still buffered nowhere, so that leaving says nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]  # None has no fileno, which is passed over
    os.close(nowhere)


@contextmanager
def private_stdout() -> Iterator[None]:
    """Keep standard output for what this process says; child processes and libraries that write to the file
    descriptor reach the error stream instead. OpenCV, for one, complains there when an import is interrupted.
    """
    shared = sys.stdout
    try:
        number = shared.fileno()
    except (OSError, ValueError):  # not a file: somebody in this process collects it
        yield
        return
    shared.flush()
    kept = os.dup(number)
    os.dup2(2, number)
    try:
        stream = os.fdopen(os.dup(kept), "w", encoding="utf-8", errors="backslashreplace")
        with stream as own, redirect_stdout(own):
            yield
    finally:
        os.dup2(kept, number)
        os.close(kept)


@contextmanager
def cancel_on_interrupt() -> Iterator[CancelToken]:
    """A token that Ctrl-C or a polite termination sets; a second Ctrl-C ends the program at once.

    A termination is always heeded: what does not end by itself within a while is ended.
    """
    token, over = CancelToken(), threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if token.cancelled:
            raise KeyboardInterrupt
        token.cancel()
        if number == signal.SIGTERM:
            threading.Thread(target=_end_in_time, args=(over,), name="termination", daemon=True).start()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield token
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_in_time(over: threading.Event) -> None:
    """Interrupt the main thread when the work does not end, and the program when even that does not help."""
    main = threading.main_thread().ident
    if over.wait(_FINISH_S) or main is None:
        return
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGTERM)
    if not over.wait(_LEAVE_S):
        os._exit(130)
