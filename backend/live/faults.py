"""What PyAV says when a source does not open or ends, in words for the user. May import PyAV and `backend.errors`."""

from __future__ import annotations

import errno
import sys

import av

from backend.errors import MarionetError, VideoError
from backend.live.addresses import LiveSource, SourceKind
from backend.live.cameras import LIST_REMEDY

_PERMISSION = {
    "darwin": "Allow the camera for Blender or the terminal in System Settings, Privacy & Security, Camera",
    "win32": "Allow desktop apps in Settings, Privacy & security, Camera",
    "linux": "Add your user to the group of the device, often `video`, and log in again",
}


class SourceFault(VideoError):
    """A source that does not open or ended. `passing`: it may come back by itself."""

    def __init__(self, message: str, remedy: str, passing: bool) -> None:
        super().__init__(message, remedy)
        self.passing = passing


def fault_of(source: LiveSource, error: BaseException, platform: str = sys.platform) -> SourceFault:
    """The fault in words."""
    if isinstance(error, SourceFault):
        return error
    if isinstance(error, MarionetError):
        return SourceFault(error.message, error.remedy, passing=False)
    label, number = source.label, getattr(error, "errno", None)
    if source.kind is SourceKind.CAMERA:
        return _camera_fault(label, number, error, platform)
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError | PermissionError):
        return SourceFault(
            f"{label} refuses access", "Put user name and password into the URL: http://USER:PW@...", False
        )
    if isinstance(error, av.error.HTTPNotFoundError | av.error.HTTPBadRequestError):
        return SourceFault(f"{label} has no such stream", "Check the path that the camera app shows", False)
    if isinstance(error, av.error.ProtocolNotFoundError | av.error.DemuxerNotFoundError):
        return SourceFault(f"FFmpeg here cannot read {label}", "Use http, rtsp or udp", False)
    if isinstance(error, TimeoutError | av.error.ExitError):
        return SourceFault(f"{label} gives no images", "Check that the camera app is sending", True)
    if isinstance(error, av.error.InvalidDataError):
        return SourceFault(f"{label} sends no video that can be read", "Choose MJPEG or H.264 in the camera app", True)
    return SourceFault(
        f"{label} cannot be reached ({_reason(error)})", "Check the address, and that both are in one network", True
    )


def _camera_fault(label: str, number: int | None, error: BaseException, platform: str) -> SourceFault:
    if number in (errno.EACCES, errno.EPERM):
        return SourceFault(
            f"The system refuses access to {label}",
            _PERMISSION.get(platform, "Allow it in the system's settings"),
            False,
        )
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return SourceFault(f"{label} is not there", f"Plug it in. {LIST_REMEDY}", False)
    if number == errno.EBUSY:
        return SourceFault(f"{label} is in use by another program", "Close the other program, then start again", False)
    return SourceFault(
        f"{label} cannot be read ({_reason(error)})", f"Unplug it and plug it in again. {LIST_REMEDY}", False
    )


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
