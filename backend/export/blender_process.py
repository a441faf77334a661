"""One headless Blender that takes orders, restarted after a number of clips and whenever it dies.

May import stdlib and its own room. Blender's noise goes to a log file; the pipe carries one JSON object a line.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backend.errors import BadInputError, BlenderError, MarionetError, OutputError
from backend.export.animate_request import ExportOrder, ExportReply, ReadOrder, order_to_line, reply_from_record
from backend.export.find_blender import Blender
from blender_addon.wire.interpreter import Interpreter, direct_interpreter

StepCallback = Callable[[str, int, int], None]
_START_S: Final = 180.0
_END_S: Final = 5.0
_LOG_LINES: Final = 12
_KINDS: Final[dict[str, type[MarionetError]]] = {
    "output": OutputError,
    "blender": BlenderError,
    "bad_input": BadInputError,
}


@dataclass(frozen=True, slots=True)
class BlenderSettings:
    """Which Blender, where its log goes, after how many clips a fresh one is started, how long it may be silent."""

    blender: Blender
    log: Path
    restart_after: int = 20
    silence_s: float = 900.0


class BlenderProcess:
    """Started by the first order. Not safe to share between threads."""

    def __init__(self, settings: BlenderSettings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._listener: threading.Thread | None = None
        self._profile = ""
        self._served = 0
        self.version = ""

    @property
    def pid(self) -> int:
        """Blender's process id; 0 while none runs."""
        return self._process.pid if self._process is not None else 0

    def export(self, order: ExportOrder, progress: StepCallback | None = None) -> ExportReply:
        """Put a clip onto a rig and into files; `progress` hears (what, done, total).

        Raises BlenderError when the clip cannot go onto the rig, Blender cannot start, dies or falls silent, and
        OutputError where the disk refuses. Single outputs that fail are told in the reply.
        """
        return reply_from_record(self._carried_out(order, progress))

    def read_motion(self, order: ReadOrder) -> list[Path]:
        """The motions of a scene file as clip files.

        Raises BadInputError where it holds none of a person, and what `export` raises.
        """
        return [Path(name) for name in self._carried_out(order, None)["files"]]

    def _carried_out(self, order: ExportOrder | ReadOrder, progress: StepCallback | None) -> dict[str, Any]:
        if self._served >= self._settings.restart_after:
            self.close()
        if self._process is None or self._process.poll() is not None:
            self._start()
        self._served += 1
        self._send(order_to_line(order))
        while True:
            record = self._receive(self._settings.silence_s)
            if record["event"] == "step" and progress is not None:
                progress(record["what"], record["done"], record["total"])
            elif record["event"] == "failed":
                raise _KINDS.get(record["code"], BlenderError)(record["message"], record["remedy"])
            elif record["event"] == "done":
                return record

    def close(self) -> None:
        """End Blender; safe to call when none runs."""
        process = self._process
        if process is not None:
            with suppress(OSError):
                if process.stdin is not None:
                    process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
        self._let_go()

    def _let_go(self) -> int:
        """End Blender at once, if it still runs, and close what was open; its exit code."""
        process, self._process = self._process, None
        code = 0
        if process is not None:
            process.kill()
            code = process.wait()
            if self._listener is not None:
                self._listener.join()  # it reads to the end of what it reads from
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()
        if self._profile:
            shutil.rmtree(self._profile, ignore_errors=True)
            self._profile = ""
        self._served = 0
        return code

    def _start(self) -> None:
        self.close()
        self._profile = tempfile.mkdtemp(prefix="marionet-blender-")
        program, *words = self._settings.blender.command()
        interpreter = (
            direct_interpreter(Path(program)) if self._settings.blender.is_python else Interpreter(Path(program))
        )
        try:
            self._settings.log.parent.mkdir(parents=True, exist_ok=True)
            with self._settings.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [str(interpreter.program), *words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    encoding="utf-8",
                    env=interpreter.started_with(blender_environment(self._profile)),
                    start_new_session=True,  # Ctrl-C is for the batch, which lets this clip finish; on Windows:
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
        except OSError as fault:
            raise BlenderError(
                f"{self._settings.blender.program} cannot be started ({fault.strerror})", "Name another with --blender"
            ) from fault
        self._lines = queue.SimpleQueue()
        self._listener = threading.Thread(target=_listen, args=(self._process, self._lines), daemon=True)
        self._listener.start()
        ready = self._receive(_START_S)
        if ready["event"] != "ready":
            self.close()
            raise BlenderError(str(ready.get("message", ready)), str(ready.get("remedy", "")))
        self.version = str(ready["blender"])

    def _send(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError):  # a Blender that is gone is told by its closed output
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _receive(self, patience_s: float) -> dict[str, Any]:
        """The next message. Raises BlenderError when Blender is gone or silent."""
        while True:
            try:
                line = self._lines.get(timeout=patience_s)
            except queue.Empty:
                self._let_go()
                raise BlenderError(
                    f"Blender gave no sign of life for {patience_s / 60:.0f} min and was ended", "See " + self._tail()
                ) from None
            if line is None:
                raise self._gone()
            with suppress(ValueError):  # a line that is no message is noise of an exporter
                record = json.loads(line)
                if isinstance(record, dict) and "event" in record:
                    return record

    def _gone(self) -> BlenderError:
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)  # its output is closed: it is about to end by itself
        code = self._let_go()
        how = f"was killed (signal {-code})" if code < 0 else f"ended by itself (exit code {code})"
        remedy = "Out of memory? Use fewer Blenders or a lighter rig. " if code == -9 else ""
        return BlenderError(f"Blender {how} while it worked", f"{remedy}See {self._tail()}")

    def _tail(self) -> str:
        """The log's name with its last lines."""
        log = self._settings.log
        with suppress(OSError):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
            return f"{log}:\n" + "\n".join(lines)
        return str(log)


def blender_environment(profile: str) -> dict[str, str]:
    """The environment variables of a headless Blender: none of this Python's own, and names in UTF-8 on every system.

    On Windows a pipe otherwise takes the characters of the code page alone, and an exporter that prints the name of its
    file ends there. "backslashreplace": the name of a file may be no text at all.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    own = {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:backslashreplace", "BLENDER_USER_RESOURCES": profile}
    return {**kept, **own}


def _listen(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None
    with suppress(ValueError):  # closed from the other side
        for line in process.stdout:
            lines.put(line)
    lines.put(None)
