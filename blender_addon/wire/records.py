"""The parts that messages are made of: sources, options, files, workers, jobs. stdlib only."""

from __future__ import annotations

from dataclasses import dataclass

from .fields import unit

MOST_TAKE_VIDEOS = 16
MAX_SETUP_CHARS = 128 << 10
"""Of all texts of a take's set-up together, and of those of its calibration."""


@dataclass(frozen=True, slots=True)
class Source:
    """The source of the images of a job: `kind` is "path", "upload" or "live".

    Of a live source `path` is `camera:NAME` or a URL; size and rate are what a camera is asked for, 0: its own choice.
    """

    kind: str
    path: str = ""
    name: str = ""
    size_bytes: int = unit("bytes", 0)
    sha256: str = ""
    width_px: int = unit("px", 0)
    height_px: int = unit("px", 0)
    fps: float = unit("fps", 0.0)
    record: bool = False


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera of the server: `name` for display, `source` for `Source.path`."""

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class SolveOptions:
    """Options of a solve, as in the command `solve`: range, person, body, camera, quality. None: the backend's default.

    `person` is "largest", "longest", "moving", "all", a number, or "X,Y@FRAME". The point is counted in an upright
    image of `picture_width_px` x `picture_height_px`; 0: in the video's own upright image of square pixels.
    """

    start_s: float | None = unit("s", None)
    """First time to solve; null: from the start."""
    end_s: float | None = unit("s", None)
    """Last time to solve; null: to the end."""
    person: str = "largest"
    """`largest`, `longest`, `moving`, `all`, a number, or `X,Y@FRAME`."""
    height_m: float | None = unit("m", None)
    """Body height."""
    fov_deg: float | None = unit("deg", None)
    """Field of view over the longer side of the image."""
    quality: str = "best"
    """`fast`, `balanced` or `best`."""
    smoothing: str = "off"
    """Name of a smoothing preset."""
    slow_motion: float = 1.0
    """How many times slower than life the video plays."""
    max_people: int = 4
    """How many people are followed at once."""
    sequence_fps: float | None = unit("fps", None)
    """Frames per second of an image sequence."""
    picture_width_px: int = unit("px", 0)
    """Width of the upright image in which the point of `person` is counted; 0: the video's own."""
    picture_height_px: int = unit("px", 0)
    """Height of that image."""
    hands: bool = False
    """Solve the fingers too."""
    face: bool = False
    """Solve the face too."""
    gravity_camera: tuple[float, ...] = ()
    """Direction down in the camera: x right, y down, z forward; empty to estimate it. Of a take: in its first video."""


@dataclass(frozen=True, slots=True)
class VideoOffset:
    """A known clock of a take; `source` is the place among the job's sources, from 1: the first one is the clock.

    The video's time 0 is `start_s` of the first video's time: positive where its recording began later.
    """

    source: int
    start_s: float = unit("s", 0.0)


@dataclass(frozen=True, slots=True)
class CalibrationFile:
    """One calibration file: its name, whose ending tells the format, and its text, cut into texts that fit the wire."""

    name: str
    text: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TakeOptions:
    """What is known of a take beforehand; it has a meaning only where a job has several sources.

    `offsets` may leave sources out: their clocks are found. `setup` is the text of a set-up file (`setup.json` of an
    earlier take of the same cameras, in the same order), cut into texts that fit the wire; empty: cameras are found.
    The last `close_ups` sources show the face or the hands alone. `calibration` is a file of cameras, or one a camera.
    """

    offsets: tuple[VideoOffset, ...] = ()
    setup: tuple[str, ...] = ()
    close_ups: int = 0
    calibration: tuple[CalibrationFile, ...] = ()


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One file of a result; `fetch` uses its index in the list."""

    name: str
    size_bytes: int = unit("bytes", 0)
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process: id, device, state ("starting", "idle", "busy", "down") and current job."""

    worker: str
    device: str
    state: str
    job_id: str = ""
    memory_bytes: int = unit("bytes", 0)


@dataclass(frozen=True, slots=True)
class JobInfo:
    """The state of one job.

    `state` is "receiving", "queued", "running", "done", "failed" or "cancelled". `attempt` counts the runs: chunks
    of an earlier attempt are void. `position` is the place in the queue, 0 when not queued. `upload_offset` counts in
    the source at place `upload_source`, the first one that is not there yet.
    """

    job_id: str
    state: str
    label: str = ""
    submitted_unix_s: float = unit("s", 0.0)
    position: int = 0
    attempt: int = 0
    chunk_count: int = 0
    upload_offset: int = unit("bytes", 0)
    worker: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0
    remaining_s: float | None = unit("s", None)
    upload_source: int = 0
    video: int = 0
