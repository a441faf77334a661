"""Every message of the protocol, gathered: the version, and which side says what.

`kind` is the name on the wire. A field with a default is optional there; fields may be added with a default in a
minor version, anything else is a major one. docs/wire_protocol.md is the authority, and a test holds this room to it.
"""

from __future__ import annotations

from .records import JobInfo, ResultFile, SolveOptions, Source, Worker
from .replies import (
    Accepted,
    Done,
    Failed,
    Goodbye,
    JobCancelled,
    JobList,
    JobProgress,
    MotionChunk,
    Pong,
    Refused,
    Released,
    ResultPart,
    ServerStatus,
    Welcome,
)
from .requests import (
    Cancel,
    Fetch,
    Hello,
    ListJobs,
    LiveFrame,
    Ping,
    Release,
    Shutdown,
    Status,
    Submit,
    UploadPart,
    Watch,
)

__all__ = [
    "CLIENT_MESSAGES",
    "PROTOCOL_MAJOR",
    "PROTOCOL_MINOR",
    "SERVER_MESSAGES",
    "Accepted",
    "Cancel",
    "Done",
    "Failed",
    "Fetch",
    "Goodbye",
    "Hello",
    "JobCancelled",
    "JobInfo",
    "JobList",
    "JobProgress",
    "ListJobs",
    "LiveFrame",
    "MotionChunk",
    "Ping",
    "Pong",
    "Refused",
    "Release",
    "Released",
    "ResultFile",
    "ResultPart",
    "ServerStatus",
    "Shutdown",
    "SolveOptions",
    "Source",
    "Status",
    "Submit",
    "UploadPart",
    "Watch",
    "Welcome",
    "Worker",
]

PROTOCOL_MAJOR = 1
PROTOCOL_MINOR = 2

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
