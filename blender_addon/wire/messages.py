"""Every message of the protocol, as frozen dataclasses. stdlib and numpy only.

`kind` is the name on the wire. A field with a default is optional there; fields may be added with a default in a
minor version, anything else is a major one. docs/wire_protocol.md is the authority, and a test holds this file to it.
T frames, J joints of the canonical body, N bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .fields import Bytes, Floats, Indices, Times, array, unit

PROTOCOL_MAJOR = 1
PROTOCOL_MINOR = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Where a job's pictures come from: `kind` is "path", "upload" or (kept free for later) "live"."""

    kind: str
    path: str = ""
    name: str = ""
    size_bytes: int = unit("bytes", 0)
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class SolveOptions:
    """What to solve: range, person, body, camera, quality. None leaves the choice to the backend."""

    start_s: float | None = unit("s", None)
    end_s: float | None = unit("s", None)
    person: str = "largest"
    height_m: float | None = unit("m", None)
    fov_deg: float | None = unit("deg", None)
    quality: str = "best"
    smoothing: str = "off"
    slow_motion: float = 1.0


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One file of a result, fetched by its place in the list."""

    name: str
    size_bytes: int = unit("bytes", 0)
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process: its id, device, state ("starting", "idle", "busy", "down") and the job it has."""

    worker: str
    device: str
    state: str
    job_id: str = ""
    memory_bytes: int = unit("bytes", 0)


@dataclass(frozen=True, slots=True)
class JobInfo:
    """One job as the server knows it.

    `state` is "receiving", "queued", "running", "done", "failed" or "cancelled". `attempt` counts the runs: chunks
    of an earlier attempt are void. `position` is the place in the queue, 0 when not queued.
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


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a connection: who asks, with the token of the connection file."""

    kind: ClassVar[str] = "hello"
    token: str = field(default="", repr=False)
    client: str = ""


@dataclass(frozen=True, slots=True)
class Welcome:
    """The server's versions and what it can do."""

    kind: ClassVar[str] = "welcome"
    server_version: str
    protocol_major: int
    protocol_minor: int
    capabilities: tuple[str, ...]
    devices: tuple[str, ...]
    max_jobs: int
    max_frames: int
    max_part_bytes: int = unit("bytes", 0)
    max_upload_bytes: int = unit("bytes", 0)
    keep_alive_s: float = unit("s", 0.0)


@dataclass(frozen=True, slots=True)
class Ping:
    """Keep-alive; the reply is `pong`."""

    kind: ClassVar[str] = "ping"


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to `ping`."""

    kind: ClassVar[str] = "pong"


@dataclass(frozen=True, slots=True)
class Status:
    """Ask how the server is; the reply is `server_status`."""

    kind: ClassVar[str] = "status"


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How the server is: workers, counters of jobs by state and of refusals by code since it started."""

    kind: ClassVar[str] = "server_status"
    uptime_s: float
    memory_bytes: int
    workers: tuple[Worker, ...]
    jobs: dict[str, int]
    refusals: dict[str, int]


@dataclass(frozen=True, slots=True)
class Submit:
    """Ask for a job under an id that the client made (32 hex digits): sent twice, it is still one job."""

    kind: ClassVar[str] = "submit"
    job_id: str
    source: Source
    options: SolveOptions = SolveOptions()


@dataclass(frozen=True, slots=True, eq=False)
class UploadPart:
    """The next bytes of an uploaded video; `offset` is where they belong."""

    kind: ClassVar[str] = "upload_part"
    job_id: str
    offset: int
    data: Bytes = array("uint8", ("N",), "bytes")


@dataclass(frozen=True, slots=True, eq=False)
class LiveFrame:
    """Kept free for live capture: one upright RGB picture. A server without the capability "live" refuses it."""

    kind: ClassVar[str] = "live_frame"
    job_id: str
    time_s: float
    image: Bytes = array("uint8", ("H", "W", 3), "sRGB")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job was taken, or touched, as asked: how it stands now."""

    kind: ClassVar[str] = "accepted"
    job: JobInfo


@dataclass(frozen=True, slots=True)
class Watch:
    """Follow a job by id: `accepted`, then chunks from `next_chunk` of `attempt` on, progress, and the end."""

    kind: ClassVar[str] = "watch"
    job_id: str
    attempt: int = 0
    next_chunk: int = 0


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a job and keep the frames that are finished; the reply is `accepted`, the end `cancelled`."""

    kind: ClassVar[str] = "cancel"
    job_id: str


@dataclass(frozen=True, slots=True)
class ListJobs:
    """Ask for this client's jobs; the reply is `job_list`."""

    kind: ClassVar[str] = "list_jobs"


@dataclass(frozen=True, slots=True)
class JobList:
    """The jobs that this client may see, oldest first."""

    kind: ClassVar[str] = "job_list"
    jobs: tuple[JobInfo, ...]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask for `size_bytes` of a result file from `offset` on; the reply is `result_part`."""

    kind: ClassVar[str] = "fetch"
    job_id: str
    file: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class ResultPart:
    """Bytes of a result file; shorter than asked for at the end of the file."""

    kind: ClassVar[str] = "result_part"
    job_id: str
    file: int
    offset: int
    data: Bytes = array("uint8", ("N",), "bytes")


@dataclass(frozen=True, slots=True)
class Release:
    """The result was taken, or is not wanted: delete the job from the server's disk."""

    kind: ClassVar[str] = "release"
    job_id: str


@dataclass(frozen=True, slots=True)
class Released:
    """The job is gone from the server."""

    kind: ClassVar[str] = "released"
    job_id: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Ask a backend on this machine to stop; refused on a server that other machines can reach."""

    kind: ClassVar[str] = "shutdown"


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The server stops: queued and running jobs are kept on its disk and go on at its next start."""

    kind: ClassVar[str] = "goodbye"
    reason: str


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Where a job stands: stage, done and total in the stage's unit, estimated seconds left."""

    kind: ClassVar[str] = "progress"
    job_id: str
    attempt: int
    stage: str
    done: int
    total: int
    remaining_s: float | None = unit("s", None)
    worker: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class MotionChunk:
    """Frames of one person as soon as they are solved, for preview and live retarget; NaN where the person is lost.

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


@dataclass(frozen=True, slots=True)
class Done:
    """The job is finished: its files, a summary in figures, and what the user should know."""

    kind: ClassVar[str] = "done"
    job_id: str
    attempt: int
    files: tuple[ResultFile, ...]
    figures: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job failed: a stable code, what happened, what to do about it."""

    kind: ClassVar[str] = "failed"
    job_id: str
    attempt: int
    code: str
    message: str
    remedy: str = ""
    files: tuple[ResultFile, ...] = ()


@dataclass(frozen=True, slots=True)
class JobCancelled:
    """The job stopped as asked; chunks that were sent stand, and `files` hold what was finished."""

    kind: ClassVar[str] = "cancelled"
    job_id: str
    attempt: int
    frames_kept: int
    files: tuple[ResultFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that was not carried out: why, and what to do; nothing changed."""

    kind: ClassVar[str] = "refused"
    code: str
    message: str
    remedy: str = ""
    retry_after_s: float | None = unit("s", None)


CLIENT_MESSAGES = (
    Hello,
    Ping,
    Status,
    Submit,
    UploadPart,
    LiveFrame,
    Watch,
    Cancel,
    ListJobs,
    Fetch,
    Release,
    Shutdown,
)
SERVER_MESSAGES = (
    Welcome,
    Pong,
    ServerStatus,
    Accepted,
    JobList,
    ResultPart,
    Released,
    JobProgress,
    MotionChunk,
    Done,
    Failed,
    JobCancelled,
    Refused,
    Goodbye,
)
