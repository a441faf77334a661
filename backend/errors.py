"""Errors that reach a user: each carries a stable code, a message that names the value, and a remedy."""

from __future__ import annotations


class MarionetError(Exception):
    """Base of every expected failure. `code` is stable (the wire and exit codes use it); `remedy` says what to do."""

    code = "failed"
    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


class Cancelled(MarionetError):
    """The user asked to stop; finished work is kept."""

    code = "cancelled"
    exit_code = 130


class BadInputError(MarionetError):
    """An argument, option or path that cannot be used."""

    code = "bad_input"
    exit_code = 2


class VideoError(MarionetError):
    """A video that is missing, empty, damaged, encrypted or has no image."""

    code = "video"
    exit_code = 3


class NoPersonError(MarionetError):
    """No person was found where one was expected."""

    code = "no_person"
    exit_code = 4


class WeightsError(MarionetError):
    """A weights or bank file that is missing, truncated, foreign or of another tower."""

    code = "weights"
    exit_code = 5


class OutputError(MarionetError):
    """A result that could not be written: full disk, no permission, file in use."""

    code = "output"
    exit_code = 6


class DeviceError(MarionetError):
    """A compute device that is not there or ran out of memory."""

    code = "device"
    exit_code = 7


class ServiceError(MarionetError):
    """The service cannot start or go on: its address, keys, data folder or a worker process."""

    code = "service"
    exit_code = 8


class BlenderError(MarionetError):
    """Blender is missing, too old or died, or a clip cannot go onto a rig or into a file there."""

    code = "blender"
    exit_code = 9


class WorkerError(MarionetError):
    """A worker process of a batch was killed, gave no sign of life, or needed more memory than it may have."""

    code = "worker"
    exit_code = 10
