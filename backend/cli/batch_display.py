"""What `batch` shows while it works: the whole, every worker, an estimate; or events for programs. stdlib, batch."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Final

from backend.batch.clip_scheduler import ClipScheduler
from backend.batch.eta import OVER, Estimate, Overall
from backend.batch.executor import WorkerView
from backend.batch.records import DONE, FAILED, ClipRecord
from backend.cli.output import Terminal, clock_text

_REDRAW_S: Final = 0.25
_SAY_S: Final = 30.0
_BAR: Final = 24


class Display:
    """A block of lines on a terminal; a line a finished clip, and one every half minute, in a log."""

    def __init__(self, as_json: bool, quiet: bool, estimate: Estimate) -> None:
        self._terminal = Terminal(as_json=as_json, quiet=quiet)
        self._json = as_json
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not as_json and not quiet
        self._estimate = estimate
        self._told: set[str] = set()
        self._block = 0
        self._next_s = 0.0
        self._stop_said = False

    def show(self, scheduler: ClipScheduler, stopping: bool) -> None:
        """Tell what is new, and where everything stands."""
        for base, record in scheduler.records.items():
            if record.status in OVER and base not in self._told:
                self._told.add(base)
                self._tell(record)
        if stopping and not self._stop_said:
            self._stop_said = True
            self._say(f"stopping: {len(scheduler.under_way)} clips that have begun finish; Ctrl-C again stops at once")
        clock = time.monotonic()
        if clock < self._next_s:
            return
        self._next_s = clock + (_REDRAW_S if self._live else _SAY_S)
        views = scheduler.executor.views()
        overall = self._estimate.overall(scheduler.records, views)
        if self._live:
            self._draw([overall_line(overall), *(worker_line(view) for view in views)])
        elif self._json:
            self._terminal.event("progress", **_progress_event(overall, views))
        else:
            self._say("   ".join([overall_line(overall), *(worker_line(view) for view in views if view.base)]))

    def end(self, scheduler: ClipScheduler, page: str, report: str) -> None:
        """The account at the end."""
        self.show(scheduler, stopping=False)
        self._clear()
        overall = self._estimate.overall(scheduler.records, [])
        failed = [record for record in scheduler.records.values() if record.status == FAILED]
        left = overall.total - overall.done - overall.failed
        words = (
            [f"{overall.done} done", f"{overall.reused} of them before"] if overall.reused else [f"{overall.done} done"]
        )
        words += [f"{overall.failed} failed"] if failed else []
        words += [f"{left} not begun"] if left else []
        self._terminal.line(f"{overall.total} clips: {', '.join(words)} in {clock_text(overall.elapsed_s)}")
        for record in failed:
            self._terminal.line(f"  failed: {record.base}: {_headline(record)}")
        self._terminal.line(f"look at {page}")
        self._terminal.event(
            "result",
            total=overall.total,
            done=overall.done,
            reused=overall.reused,
            failed=overall.failed,
            seconds=overall.elapsed_s,
            page=page,
            report=report,
        )

    def _tell(self, record: ClipRecord) -> None:
        if self._json:
            error = str(record.fault) if record.fault else None
            self._terminal.event("clip", clip=record.source, name=record.base, status=record.status, error=error)
        elif record.status == FAILED:
            self._say(f"failed  {record.base}: {_headline(record)}")
        elif record.status == DONE and not record.reused:
            seconds = sum(record.seconds.values())
            self._say(f"done    {record.base}   {len(record.outputs)} files, {seconds:.0f} s of work")

    def _say(self, text: str) -> None:
        if not self._quiet and not self._json:
            self._clear()
            print(text, file=sys.stderr, flush=True)

    def _draw(self, lines: list[str]) -> None:
        self._clear()
        width = shutil.get_terminal_size((100, 24)).columns
        sys.stderr.write("".join(line[: width - 1] + "\n" for line in lines))
        sys.stderr.flush()
        self._block = len(lines)

    def _clear(self) -> None:
        if self._block:
            sys.stderr.write(f"\x1b[{self._block}F\x1b[0J")
            self._block = 0


def overall_line(overall: Overall) -> str:
    """`[#####-----]  7/20 clips  1 failed   12:05   about 0:35:00 left`."""
    filled = round(overall.share * _BAR)
    over = overall.done + overall.failed
    failed = f"  {overall.failed} failed" if overall.failed else ""
    left = "" if overall.remaining_s is None else f"   about {clock_text(overall.remaining_s)} left"
    bar = "#" * filled + "-" * (_BAR - filled)
    return f"[{bar}] {over}/{overall.total} clips{failed}   {clock_text(overall.elapsed_s)}{left}"


def worker_line(view: WorkerView) -> str:
    """`solver 1   dance/dance   people 120/430`."""
    if not view.base:
        return f"  {view.name:<11} idle"
    counted = f" {view.done}/{view.total}" if view.total else ""
    return f"  {view.name:<11} {view.base}   {view.stage}{counted}"


def _progress_event(overall: Overall, views: list[WorkerView]) -> dict[str, object]:
    workers = [
        {"worker": view.name, "clip": view.base, "stage": view.stage, "done": view.done, "total": view.total}
        for view in views
    ]
    return {
        "done": overall.done,
        "failed": overall.failed,
        "total": overall.total,
        "share": round(overall.share, 4),
        "remaining_s": overall.remaining_s,
        "workers": workers,
    }


def _headline(record: ClipRecord) -> str:
    return record.fault.message.splitlines()[0] if record.fault else "no reason is known"
