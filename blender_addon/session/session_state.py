"""What the add-on knows while Blender runs and no file may store: the backend link, jobs, loaded clips, previews.

May import its own bpy-free rooms. A .blend file holds settings and paths only, so that no stale state can wedge it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..client.backend_setup import SetupRun
from ..client.link import BackendLink, LinkStatus
from ..motion.clip import MotionClip, read_clip

_ICONS = {
    "open": "CHECKMARK",
    "starting": "SORTTIME",
    "connecting": "SORTTIME",
    "lost": "ERROR",
    "dead": "ERROR",
    "refused": "ERROR",
    "closed": "RADIOBUT_OFF",
}
_MAX_NOTES = 200
SOURCE_VERSION = "0.0.0"


@dataclass(slots=True)
class LoadedClip:
    """A clip in memory, with its cleaned form and the settings that made it."""

    path: Path
    clip: MotionClip
    cleaned: MotionClip
    cleanup_key: Any = None


@dataclass(slots=True)
class State:
    """Everything of one Blender run. `capture`, `overlay`, `live` are the running capture and previews, or None.

    `ended_live` is the last live pose, which knows what was there before it. `finishing` are stopped captures whose
    clip the backend still makes; `news` is what the panel says of the last one.
    """

    link: BackendLink | None = None
    link_key: tuple[str, ...] = ()
    setup: SetupRun | None = None
    capture: Any = None
    overlay: Any = None
    live: Any = None
    ended_live: Any = None
    people: Any = None
    finishing: list[Any] = field(default_factory=list)
    news: str = ""
    clips: dict[str, LoadedClip] = field(default_factory=dict)
    map_report: Any = None
    bake_lines: list[str] = field(default_factory=list)
    bake_report: Any = None
    rig_warnings: tuple[str, ...] = ()
    last_error: str = ""
    link_error: str = ""
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=_MAX_NOTES))

    def backend_text(self, own_version: str) -> str:
        """The status light's words."""
        if self.link is None:
            return "Backend not started"
        status = self.link.status
        if status.state == "open":
            known = [device for device in status.devices if device != "auto"]  # auto: not chosen before the first job
            device = f" on {', '.join(known)}" if known else ""
            differs = version_mismatch(own_version, status.server_version)
            version = "from source" if status.server_version == SOURCE_VERSION else status.server_version
            return f"Backend {version}{device}" + (f": {differs}" if differs else "")
        return status.words or status.state.capitalize()

    def backend_icon(self, own_version: str) -> str:
        """The status light's icon."""
        if self.link is None:
            return _ICONS["closed"]
        status: LinkStatus = self.link.status
        if status.state == "open" and version_mismatch(own_version, status.server_version):
            return "ERROR"
        return _ICONS.get(status.state, "QUESTION")

    def note(self, line: str) -> None:
        """Keep a line for "Copy Report"."""
        self.notes.append(line)

    def fail(self, message: str) -> str:
        """Keep the last error for the panel and the report; returns it."""
        self.last_error = message
        self.note(f"Error: {message}")
        return message

    def load_clip(self, path: Path) -> LoadedClip:
        """The clip of a file, read once. Raises ClipError or OSError when it cannot be read."""
        key = str(path)
        if key not in self.clips:
            clip = read_clip(path)
            self.clips[key] = LoadedClip(path, clip, clip)
        return self.clips[key]

    def forget_clip(self, path: Path) -> None:
        """Drop a clip from memory, say because its file changed."""
        self.clips.pop(str(path), None)


def version_mismatch(own: str, server: str) -> str:
    """Empty when add-on and backend are of one minor version, else what to do.

    A backend that runs from a checkout, not installed, calls itself 0.0.0; the protocol's own version guards it.
    """
    if server == SOURCE_VERSION or own.split(".")[:2] == server.split(".")[:2]:
        return ""
    older = "the backend" if _numbers(server) < _numbers(own) else "the extension"
    return f"the extension is {own}; update {older}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


STATE = State()
