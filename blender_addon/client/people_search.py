"""Who is in a video: a job of the task "people", local or remote, and its list. Free of bpy; may import `client`."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ..wire.messages import SolveOptions
from .job import CaptureJob, JobRequest
from .link import BackendLink

CAPABILITY = "people"
LIST_NAME, SHEET_NAME = "people.json", "people.png"
_PATIENCE_S = 30.0  # the first start of a backend reads its weights from a cold disk


@dataclass(slots=True)
class FoundPerson:
    """One person of the sheet: the number that a capture takes, seconds in the image and height in words.

    `tile_px` is where their small image lies on the sheet (left, top, size); `icon_id` is Blender's icon of it.
    """

    number: int
    label: str
    tile_px: tuple[int, int, int]
    icon_id: int = 0


class PeopleSearch:
    """`state` is "running", "done", "failed" or "cancelled". `sheet` is an image with one row a person."""

    def __init__(self, link: BackendLink, video: Path, options: SolveOptions, upload: bool) -> None:
        self.video = video
        self.state = "running"
        self.message = ""
        self.words = "Finding people"
        self.people: list[FoundPerson] = []
        self.fraction = 0.0
        self._folder = Path(tempfile.mkdtemp(prefix="marionet-people-"))
        self._link = link
        self._request = JobRequest(video, self._folder, options, upload, CAPABILITY)
        self._job: CaptureJob | None = None
        self._began_s = time.monotonic()

    @property
    def sheet(self) -> Path:
        """The contact sheet, once the search is done."""
        return self._folder / SHEET_NAME

    def poll(self, budget_s: float = 0.005) -> str:
        """Do what can be done now; never waits."""
        if self.state != "running":
            return self.state
        if self._job is None:
            self._ask_once_connected(budget_s)
            return self.state
        snapshot = self._job.tick(budget_s)
        self.fraction = min(snapshot.done / snapshot.total, 1.0) if snapshot.total > 0 else 0.0
        if snapshot.state in ("uploading", "queued"):
            self.words = snapshot.words
        elif not snapshot.over:
            self.words = "Finding people"
        if snapshot.state == "done":
            self._take_list(snapshot.paths)
        elif snapshot.over:
            self.state = snapshot.state
            self.message = " ".join(f"{part.rstrip('.')}." for part in (snapshot.words, snapshot.remedy) if part)
        return self.state

    def discard(self) -> None:
        """Stop looking, and delete the sheet."""
        self.cancel()
        shutil.rmtree(self._folder, ignore_errors=True)

    def cancel(self) -> None:
        """Stop looking."""
        if self.state == "running":
            self.state = "cancelled"
            if self._job is not None:
                self._job.cancel()
                self._job.tick(0.0)

    def _ask_once_connected(self, budget_s: float) -> None:
        """Submit when the backend is there and knows the task: an older one would solve the video instead."""
        status = self._link.tick(budget_s)
        if status.state == "open":
            if CAPABILITY in status.capabilities:
                self._job = CaptureJob(self._link, self._request)
            else:
                self._fail(f"The backend {status.server_version} cannot tell who is in a video. Update it")
        elif status.state == "dead" or time.monotonic() - self._began_s > _PATIENCE_S:
            self._fail(f"{status.words or 'The backend does not answer'}. {status.remedy}".strip())

    def _take_list(self, paths: tuple[Path, ...]) -> None:
        listed = next((path for path in paths if path.name == LIST_NAME), None)
        try:
            rows = json.loads(listed.read_text(encoding="utf-8")) if listed else []
            self.people = [_person(row) for row in rows]
        except (OSError, ValueError, KeyError, TypeError) as fault:
            self._fail(f"The list of people cannot be read ({fault}). Update the backend")
            return
        self.state = "done"
        self.message = "" if self.people else "Nobody was found in this video"

    def _fail(self, message: str) -> None:
        self.state, self.message = "failed", message


def _person(row: dict[str, object]) -> FoundPerson:
    number = int(str(row["person"]))
    seconds = float(str(row["last_s"])) - float(str(row["first_s"]))
    label = f"{number}: {seconds:.1f} s, {float(str(row['height_px'])):.0f} px tall"
    left, top, size = (int(str(value)) for value in list(row["tile_px"]))  # type: ignore[call-overload]
    return FoundPerson(number, label, (left, top, size))
