"""Messages from a client to the server. stdlib and numpy only. T frames, N bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .fields import Bytes, array
from .records import SolveOptions, Source, TakeOptions


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a connection: identifies the client, with the token of the connection file."""

    kind: ClassVar[str] = "hello"
    token: str = field(default="", repr=False)
    client: str = ""


@dataclass(frozen=True, slots=True)
class Ping:
    """Keep-alive; the reply is `pong`."""

    kind: ClassVar[str] = "ping"


@dataclass(frozen=True, slots=True)
class Status:
    """Ask for the status of the server; the reply is `server_status`."""

    kind: ClassVar[str] = "status"


@dataclass(frozen=True, slots=True)
class Submit:
    """Submit a job under an id that the client generated (32 hex digits). Sent twice, it is still one job.

    `task` is "solve", or "people" (with the capability of that name) to be told who is in the video. With
    `more_sources` (and the capability "take") the job is a take: `source` and these are videos of one performance, the
    last of which may be close-ups (with the capability "close_up").
    """

    kind: ClassVar[str] = "submit"
    job_id: str
    source: Source
    options: SolveOptions = SolveOptions()
    task: str = "solve"
    more_sources: tuple[Source, ...] = ()
    take: TakeOptions = TakeOptions()


@dataclass(frozen=True, slots=True, eq=False)
class UploadPart:
    """The next bytes of an uploaded video; `offset` is where they belong, in the job's source at place `source`."""

    kind: ClassVar[str] = "upload_part"
    job_id: str
    offset: int
    data: Bytes = array("uint8", ("N",), "bytes")
    source: int = 0


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """Record a running live job from now on until its end; the reply is `accepted`."""

    kind: ClassVar[str] = "live_record"
    job_id: str


@dataclass(frozen=True, slots=True)
class ListCameras:
    """List the cameras that this client may open; the reply is `camera_list`."""

    kind: ClassVar[str] = "list_cameras"


@dataclass(frozen=True, slots=True)
class Watch:
    """Follow a job: the replies are `accepted`, the chunks of `attempt` from `next_chunk` on, progress, and the end."""

    kind: ClassVar[str] = "watch"
    job_id: str
    attempt: int = 0
    next_chunk: int = 0


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a job and keep the finished frames; the reply is `accepted`, and the job ends with `cancelled`."""

    kind: ClassVar[str] = "cancel"
    job_id: str


@dataclass(frozen=True, slots=True)
class ListJobs:
    """List the jobs of this client; the reply is `job_list`."""

    kind: ClassVar[str] = "list_jobs"


@dataclass(frozen=True, slots=True)
class Fetch:
    """Fetch `size_bytes` of a result file from `offset` on; the reply is `result_part`."""

    kind: ClassVar[str] = "fetch"
    job_id: str
    file: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Release:
    """Delete the job and its result from the disk of the server; the reply is `released`."""

    kind: ClassVar[str] = "release"
    job_id: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop a backend on this machine; refused by a server that other machines can reach."""

    kind: ClassVar[str] = "shutdown"
