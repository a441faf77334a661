"""What a live capture reads: a camera of this machine or a stream, as text, and which of them a server may open.

May import `backend.errors`. A camera is `camera:NAME`, its number, or its device path; a stream is a URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, urlsplit

from backend.errors import BadInputError

SCHEMES = ("rtsp", "rtsps", "http", "https", "srt", "udp")
_CAMERA = "camera:"
_LONGEST = 1024


class SourceKind(Enum):
    """Where images come from."""

    CAMERA = "camera"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class LiveSource:
    """One source. `name` is a camera's name, number or device path, or a stream's whole URL."""

    kind: SourceKind
    name: str

    @property
    def label(self) -> str:
        """For people and logs: without a user name and password."""
        return f"{_CAMERA}{self.name}" if self.kind is SourceKind.CAMERA else _without_login(self.name)


def parse_source(text: str) -> LiveSource:
    """Read `camera:NAME`, a number, a device path or a URL. Raises BadInputError for anything else."""
    text = text.strip()
    if not text or len(text) > _LONGEST or any(ord(letter) < 32 for letter in text):
        raise BadInputError("The live source is empty or unreadable", f"Name a camera, or a URL ({', '.join(SCHEMES)})")
    if text.startswith(_CAMERA):
        return _camera(text.removeprefix(_CAMERA))
    if "://" not in text:
        return _camera(text)
    try:
        parts = urlsplit(text)
        known = parts.scheme in SCHEMES and bool(parts.netloc) and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known:
        raise BadInputError(
            f"Marionet cannot read a stream from {_without_login(text)!r}",
            f"Use a URL that begins with {', '.join(f'{scheme}://' for scheme in SCHEMES)}",
        )
    return LiveSource(SourceKind.STREAM, text)


def _camera(name: str) -> LiveSource:
    if not name.strip():
        raise BadInputError("The camera has no name", "List the cameras: python -m backend live --list")
    return LiveSource(SourceKind.CAMERA, name.strip())


def _without_login(url: str) -> str:
    return re.sub(r"//[^/?#]*@", "//", url)


@dataclass(frozen=True, slots=True)
class LivePermission:
    """One source, or a family of them, that one client may open, or every client (`client` empty)."""

    pattern: str
    client: str = ""

    def covers(self, source: LiveSource, client: str) -> bool:
        """Whether `client` may open `source` by this."""
        if self.client and self.client != client:
            return False
        if source.kind is SourceKind.CAMERA:
            return fnmatchcase(source.label, self.pattern)
        if "://" not in self.pattern:
            return False
        wanted, scheme, rest = urlsplit(source.name), *self.pattern.split("://", 1)
        host, slash, path = rest.partition("/")
        # piece by piece: a star in the host must not reach over a login or into the path
        return (
            fnmatchcase(wanted.scheme, scheme)
            and _host_fits(wanted, host)
            and (not slash or fnmatchcase(f"{wanted.path.lstrip('/')}", path))
        )


def _host_fits(wanted: SplitResult, pattern: str) -> bool:
    host, _, port = pattern.rpartition(":") if re.search(r":[\d*]+$", pattern) else (pattern, "", "*")
    return fnmatchcase(wanted.hostname or "", host.strip("[]").lower()) and fnmatchcase(str(wanted.port or ""), port)


def parse_permission(text: str) -> LivePermission:
    """Read `PATTERN` or `CLIENT=PATTERN`. Raises BadInputError where neither a camera nor a URL could be meant."""
    named = re.fullmatch(r"([\w.-]+)=(.+)", text)
    client, pattern = (named[1], named[2]) if named else ("", text)
    if not pattern.startswith(_CAMERA) and not re.match(r"[a-z*]+://.", pattern):
        raise BadInputError(
            f"--allow-live {text!r} names no camera and no stream", "Write camera:* or, for example, rtsp://10.0.0.5/*"
        )
    return LivePermission(pattern, client)


EVERYTHING = (LivePermission("camera:*"), LivePermission("*://*"))
"""What a server that only its own user can reach may open."""
