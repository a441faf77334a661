"""Who is in a video: the local backend's `tracks` command as a polled child process. stdlib only, free of bpy."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from .backend_setup import clean_environment


@dataclass(slots=True)
class FoundPerson:
    """One person of the sheet: the number that a capture takes, seconds in the picture and height in words.

    `tile_px` is where their small picture lies on the sheet (left, top, size); `icon_id` is Blender's icon of it.
    """

    number: int
    label: str
    tile_px: tuple[int, int, int] | None = None
    icon_id: int = 0


@dataclass(slots=True)
class PeopleSearch:
    """`state` is "running", "done", "failed" or "cancelled". `sheet` is a picture with one row a person."""

    video: Path
    sheet: Path
    state: str = "running"
    message: str = ""
    people: list[FoundPerson] = field(default_factory=list)
    fraction: float = 0.0
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _out: Path = field(default_factory=Path, repr=False)

    def poll(self) -> str:
        """Look whether the search has ended; never waits."""
        if self.state != "running" or self._child is None:
            return self.state
        code = self._child.poll()
        if code is None:
            self.fraction = _fraction(self._out)
            return self.state
        self._child = None
        events = _events(self._out)
        self.people = [_person(event) for event in events if event.get("event") == "track"]
        self.state = "done" if code == 0 else "failed"
        if code != 0:
            faults = [event for event in events if event.get("event") == "error"]
            words = [str(fault.get("message", "")) + ". " + str(fault.get("remedy", "")) for fault in faults]
            self.message = words[-1].strip() if words else _last_line(self._out, code)
        elif not self.people:
            self.message = "Nobody was found in this video"
        return self.state

    def cancel(self) -> None:
        """Stop looking."""
        if self.state == "running":
            self.state = "cancelled"
            if self._child is not None:
                self._child.terminate()
                self._child = None


def search_people(python: Path, backend_dir: Path, video: Path, range_s: tuple[float, float] | None) -> PeopleSearch:
    """Start looking; raises OSError when the backend's Python cannot be started."""
    folder = Path(tempfile.mkdtemp(prefix="marionet-people-"))
    search = PeopleSearch(video, folder / "people.png", _out=folder / "events.jsonl")
    command = [str(python), "-m", "backend", "tracks", str(video), "--json", "--quality", "fast"]
    command += ["--sheet", str(search.sheet)]
    if range_s is not None:
        command += ["--range", f"{range_s[0]:.3f}s:{range_s[1]:.3f}s"]
    with search._out.open("wb") as out:
        search._child = subprocess.Popen(
            command,
            cwd=backend_dir,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return search


def _events(path: Path) -> list[dict[str, object]]:
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # warnings of libraries go to the same file
        if isinstance(event, dict):
            events.append(event)
    return events


def _person(event: dict[str, object]) -> FoundPerson:
    number = int(str(event["person"]))
    seconds = float(str(event["last_s"])) - float(str(event["first_s"]))
    label = f"{number}: {seconds:.1f} s, {float(str(event['height_px'])):.0f} px tall"
    tile = event.get("tile_px")
    if not isinstance(tile, list) or len(tile) != 3:  # a backend of another version
        return FoundPerson(number, label)
    return FoundPerson(number, label, (int(tile[0]), int(tile[1]), int(tile[2])))


def _fraction(path: Path) -> float:
    """How far the search is, 0 to 1, by its last progress event."""
    done = [event for event in _events(path) if event.get("event") == "progress" and event.get("total")]
    return min(float(str(done[-1]["done"])) / float(str(done[-1]["total"])), 1.0) if done else 0.0


def _last_line(path: Path, code: int) -> str:
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else f"The search for people ended with {code}"
