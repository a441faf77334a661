"""What the add-on knows while Blender runs and no file may store: the backend link, jobs, loaded clips, previews.

A .blend file holds settings and paths only, so that no stale state can wedge it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..client.backend_setup import SetupRun
from ..client.capture_run import CaptureRun
from ..client.link import BackendLink, LinkStatus
from ..client.live_run import CameraListing, LiveRun, LostRecordings
from ..client.people_search import PeopleSearch
from ..motion.clip import MotionClip, read_clip
from ..motion.posing import clip_body, pose_clip
from ..rig.draw_details import detail_lines
from ..rig.draw_skeleton import SkeletonOverlay, joint_confidence
from ..rig.live_pose import LivePose

Array = NDArray[np.floating]

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


@dataclass(frozen=True, slots=True)
class Timing:
    """How a clip lies on the timeline: the scene frame of its time zero, and frames a second."""

    frame_start: float
    fps: float

    def time_s(self, frame: float) -> float:
        """The clip's time at a scene frame."""
        return (frame - self.frame_start) / self.fps


def scene_fps(scene: Any) -> float:
    """The scene's frames a second, with its base."""
    return float(scene.render.fps / scene.render.fps_base)


class ClipOverlay:
    """A clip's skeleton in the viewport, scrubbed by the timeline."""

    def __init__(self, clip: MotionClip, timing: Timing, world_matrix: Array) -> None:
        self.overlay = SkeletonOverlay(clip_body(clip))
        self.update(clip, timing, world_matrix)

    def update(self, clip: MotionClip, timing: Timing, world_matrix: Array) -> None:
        """Show another clip or another place; `world_matrix` (4, 4) takes clip metres to scene units."""
        self.timing = timing
        self._times_s = np.asarray(clip.times_s, dtype=np.float64)
        positions = pose_clip(clip).positions_m
        self._joints = positions @ world_matrix[:3, :3].T + world_matrix[:3, 3]
        self._confidence = joint_confidence(clip)
        lines, self._detail_confidence = detail_lines(clip)
        self._details = lines @ world_matrix[:3, :3].T + world_matrix[:3, 3]

    def show(self, frame: float) -> None:
        """Show the clip's frame nearest to a scene frame; nothing outside the clip."""
        time_s = self.timing.time_s(frame)
        half = 0.5 / max(self.timing.fps, 1.0) + 0.05
        if not self._times_s[0] - half <= time_s <= self._times_s[-1] + half:
            self.overlay.show(None)
            return
        row = int(np.abs(self._times_s - time_s).argmin())
        self.overlay.show(self._joints[row], self._confidence[row])
        self.overlay.show_details(self._details[row], self._detail_confidence[row])


@dataclass(slots=True)
class LiveRetarget:
    """A live retarget on one armature of one scene."""

    pose: LivePose
    timing: Timing
    scene: str


@dataclass(slots=True)
class State:
    """Everything of one Blender run.

    `live_capture` is a running live capture, `live_view` its `LiveView`, `cameras` the backend's list,
    `lost_recordings` what it still has of live captures that were cut off. `capture`, `overlay`, `live` are the
    running capture and previews, or None. `ended_live` is the last live pose, which knows what was there before
    it. `finishing` are stopped captures whose clip the backend still makes; `news` is what the panel says of the
    last one. `link_polls` counts how often the link was polled since it was last asked for; while
    `filling_map_rows` the rows' update callbacks do nothing; `thumbnails` is Blender's collection of small images
    of people, made for the first contact sheet.
    """

    link: BackendLink | None = None
    link_key: tuple[str, ...] = ()
    setup: SetupRun | None = None
    link_polls: int = 0
    capture: CaptureRun | None = None
    live_capture: LiveRun | None = None
    live_view: Any = None
    cameras: CameraListing | None = None
    lost_recordings: LostRecordings | None = None
    overlay: ClipOverlay | None = None
    live: LiveRetarget | None = None
    ended_live: LiveRetarget | None = None
    people: PeopleSearch | None = None
    thumbnails: Any = None
    finishing: list[CaptureRun] = field(default_factory=list)
    news: str = ""
    clips: dict[str, LoadedClip] = field(default_factory=dict)
    filling_map_rows: bool = False
    bake_lines: list[str] = field(default_factory=list)
    bake_report: Any = None
    rig_warnings: tuple[str, ...] = ()
    face_lines: tuple[str, ...] = ()
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

    def backend_icon(self, own_version: str) -> Any:
        """The status light's icon."""
        if self.link is None:
            return _ICONS["closed"]
        status: LinkStatus = self.link.status
        if status.state == "open" and version_mismatch(own_version, status.server_version):
            return "ERROR"
        return _ICONS.get(status.state, "QUESTION")

    def backend_log(self, lines: int) -> tuple[str, ...]:
        """The end of the backend's log where the backend is in trouble, else nothing."""
        status = self.link.status if self.link is not None else None
        return status.log_lines[-lines:] if status is not None and status.state in ("dead", "lost") else ()

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

    def forget_people_of_other(self, video: str) -> None:
        """Discard the people that were found in another video than `video` (an absolute path)."""
        if self.people is not None and str(self.people.video) != video:
            self.people.discard()
            self.people = None

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
