"""Live captures as the server sees them: who may open what, and what is left when a server or worker ends.

May import `backend.live.addresses`, `blender_addon.wire` and its own room; the rest of `backend.live` late, for the
server's own process needs no networks.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.errors import MarionetError
from backend.live.addresses import EVERYTHING, LivePermission, LiveSource, parse_source
from backend.server.errors import RequestRefused
from backend.server.logs import log_event
from blender_addon.wire.messages import CameraInfo, ResultFile, Source

_REMEDY = "Ask the owner of the server to start it with --allow-live"


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """Which sources clients may open; `allowed` is empty where live capture is not offered."""

    allowed: tuple[LivePermission, ...] = ()

    @staticmethod
    def of_server(asked: Sequence[LivePermission], private: bool) -> LivePolicy:
        """What was asked for; without it, everything on a server that only its own user reaches, else nothing."""
        return LivePolicy(tuple(asked) or (EVERYTHING if private else ()))

    @property
    def offered(self) -> bool:
        """Whether there is live capture for anybody."""
        return bool(self.allowed)

    def may_open(self, source: LiveSource, client: str) -> bool:
        """Whether a client may open a source."""
        return any(one.covers(source, client) for one in self.allowed)

    def checked(self, source: Source, client: str, task: str) -> Source:
        """A submitted live source. Raises RequestRefused where it makes no sense or is not allowed."""
        if not self.offered:
            raise RequestRefused("unsupported", "This server offers no live capture", _REMEDY)
        if task != "solve":
            raise RequestRefused("bad_request", "A live source can only be solved", "Ask for the task solve")
        try:
            live = parse_source(source.path)
        except MarionetError as fault:
            raise RequestRefused("bad_source", fault.message, fault.remedy) from fault
        if not self.may_open(live, client):
            raise RequestRefused("not_allowed", f"This server does not open {live.label} for you", _REMEDY)
        name = live.label[:200]
        return Source(
            "live",
            source.path,
            name,
            width_px=source.width_px,
            height_px=source.height_px,
            fps=source.fps,
            record=source.record,
        )

    def cameras(self, client: str) -> tuple[CameraInfo, ...]:
        """The cameras of this machine that a client may open."""
        from backend.live.cameras import list_cameras

        found = [CameraInfo(camera.name[:200], f"camera:{camera.name}") for camera in list_cameras()]
        return tuple(camera for camera in found if self.may_open(parse_source(camera.source), client))


def salvaged(work: Path) -> tuple[ResultFile, ...]:
    """What a live capture left in its folder when its worker or server ended: the clip of its poses, its recordings."""
    from backend.live.pose_log import clip_from_log, has_log

    files = sorted(work.glob("recording*.mkv"))
    try:
        if has_log(work):
            clip = work / "live.npz"
            clip_from_log(work, clip)
            files = [clip, *files]
        return tuple(_described(path) for path in files if path.stat().st_size)
    except (OSError, ValueError, MarionetError) as fault:
        log_event("live capture cannot be salvaged", logging.ERROR, reason=str(fault))
        return ()


def _described(path: Path) -> ResultFile:
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ResultFile(path.name, path.stat().st_size, digest)
