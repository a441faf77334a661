"""Messages from the server to a client; every reply contains the id of its request. stdlib and numpy only.

T frames, J joints of the canonical body, N bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .fields import Bytes, Floats, Indices, Times, array, unit
from .records import CameraInfo, JobInfo, ResultFile, Worker


@dataclass(frozen=True, slots=True)
class Welcome:
    """The versions and the capabilities of the server."""

    kind: ClassVar[str] = "welcome"
    server_version: str
    """Version of the backend."""
    protocol_major: int
    """A client with another major version is refused."""
    protocol_minor: int
    """Grows with fields that older programs ignore."""
    capabilities: tuple[str, ...]
    """Capabilities beside solving."""
    devices: tuple[str, ...]
    """Device of each worker."""
    max_jobs: int
    """Maximum number of queued and running jobs."""
    max_frames: int
    """Maximum number of frames of a job; of a take, of each video."""
    max_part_bytes: int = unit("bytes", 0)
    """Largest part of an upload or a result."""
    max_upload_bytes: int = unit("bytes", 0)
    """Largest video that can be uploaded."""
    keep_alive_s: float = unit("s", 0.0)
    """Maximum time between two messages of a client."""


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to `ping`."""

    kind: ClassVar[str] = "pong"


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """Status of the server: workers, number of jobs by state, number of refusals by code since the start."""

    kind: ClassVar[str] = "server_status"
    uptime_s: float
    memory_bytes: int
    workers: tuple[Worker, ...]
    jobs: dict[str, int]
    refusals: dict[str, int]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The request was carried out: the current state of the job."""

    kind: ClassVar[str] = "accepted"
    job: JobInfo


@dataclass(frozen=True, slots=True)
class JobList:
    """The jobs that this client can access, oldest first."""

    kind: ClassVar[str] = "job_list"
    jobs: tuple[JobInfo, ...]


@dataclass(frozen=True, slots=True)
class CameraList:
    """The cameras of the server that this client may open."""

    kind: ClassVar[str] = "camera_list"
    cameras: tuple[CameraInfo, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ResultPart:
    """Bytes of a result file; fewer than requested at the end of the file."""

    kind: ClassVar[str] = "result_part"
    job_id: str
    file: int
    offset: int
    data: Bytes = array("uint8", ("N",), "bytes")


@dataclass(frozen=True, slots=True)
class Released:
    """The job was deleted from the server."""

    kind: ClassVar[str] = "released"
    job_id: str


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Progress of a job: stage, done and total in the unit of the stage, estimated remaining time.

    `video` is the video of a take that the stage is about, counted from 1; 0: all of them, or the only one.
    """

    kind: ClassVar[str] = "progress"
    job_id: str
    attempt: int
    stage: str
    done: int
    total: int
    remaining_s: float | None = unit("s", None)
    worker: str = ""
    video: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class MotionChunk:
    """Frames of one person, sent as soon as they are solved, for previews; NaN where the person is lost.

    Chunks of an attempt are numbered from 0 without a gap. A later chunk may hold a frame again: the later counts.
    Rotations are local on the canonical body; joint 0 is the root orientation in the frame that `space` names:
    "world" (Z up, floor at z = 0) or "camera" (OpenCV); `root_m` is in the same frame.
    """

    kind: ClassVar[str] = "motion_chunk"
    job_id: str
    attempt: int
    index: int
    person: int
    space: str
    frame_index: Indices = array("int64", ("T",), "frames")
    times_s: Times = array("float64", ("T",), "s")
    rotations_wxyz: Floats = array("float32", ("T", "J", 4), "quaternion")
    root_m: Floats = array("float32", ("T", 3), "m")
    joints_camera_m: Floats = array("float32", ("T", 17, 3), "m")
    confidence: Floats = array("float32", ("T",), "1")


@dataclass(frozen=True, slots=True, eq=False)
class LiveFrame:
    """The newest pose of a live job, or the reason why there is none (with NaN). Frames are dropped, never queued.

    Rotations are local on the canonical body, joint 0 the root orientation in the world (Z up, floor at z = 0).
    """

    kind: ClassVar[str] = "live_frame"
    job_id: str
    number: int
    state: str
    frame_index: int
    rotations_wxyz: Floats = array("float32", ("J", 4), "quaternion")
    root_m: Floats = array("float32", (3,), "m")
    joints_camera_m: Floats = array("float32", (17, 3), "m")
    time_s: float = unit("s", 0.0)
    arrived_unix_s: float = unit("s", 0.0)
    confidence: float = 0.0
    message: str = ""
    fps: float = unit("fps", 0.0)
    source_fps: float = unit("fps", 0.0)
    latency_s: float = unit("s", 0.0)
    captured: int = 0
    dropped: int = 0
    recorded: int = -1


@dataclass(frozen=True, slots=True)
class Done:
    """The job is finished: its files, quality figures and warnings."""

    kind: ClassVar[str] = "done"
    job_id: str
    attempt: int
    files: tuple[ResultFile, ...]
    figures: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job failed: a stable code, the error message and a remedy."""

    kind: ClassVar[str] = "failed"
    job_id: str
    attempt: int
    code: str
    message: str
    remedy: str = ""
    files: tuple[ResultFile, ...] = ()


@dataclass(frozen=True, slots=True)
class JobCancelled:
    """The job was cancelled; chunks that were sent stay valid, and `files` contains the finished frames.

    With `finishing` the finished frames are still being made into a clip: a second `cancelled` follows with it.
    """

    kind: ClassVar[str] = "cancelled"
    job_id: str
    attempt: int
    frames_kept: int
    files: tuple[ResultFile, ...] = ()
    finishing: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The request was not carried out, and nothing changed: the reason and a remedy."""

    kind: ClassVar[str] = "refused"
    code: str
    message: str
    remedy: str = ""
    retry_after_s: float | None = unit("s", None)


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The server is stopping; queued and running jobs stay on its disk and continue at its next start."""

    kind: ClassVar[str] = "goodbye"
    reason: str
