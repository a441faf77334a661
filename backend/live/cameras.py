"""Cameras of this machine: their names, and how FFmpeg opens one. May import PyAV and `backend.live.addresses`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import av

from backend.errors import VideoError
from backend.live.addresses import LiveSource, SourceKind

_FORMATS = {"linux": "v4l2", "win32": "dshow", "darwin": "avfoundation"}
_SYS = Path("/sys/class/video4linux")
LIST_REMEDY = "List the cameras: python -m backend live --list"


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera: `name` for people, `device` for FFmpeg."""

    name: str
    device: str


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What a camera is asked for; it may give something else. None: its own choice."""

    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """What `av.open` takes: file, format (None: found out), and the options to try, the best first."""

    file: str
    format: str | None
    tries: tuple[dict[str, str], ...]


def list_cameras(platform: str = sys.platform, sys_folder: Path = _SYS) -> tuple[Camera, ...]:
    """The cameras that the system offers, in its order."""
    if platform.startswith("linux"):
        return _linux_cameras(sys_folder)
    try:
        found = av.enumerate_input_devices(_FORMATS[platform])
    except (KeyError, OSError, ValueError):
        return ()
    return tuple(
        Camera(device.description or device.name, device.name)
        for device in found
        if "video" in (device.media_types or ["video"])
    )


def _linux_cameras(folder: Path) -> tuple[Camera, ...]:
    """A camera has several nodes; the one that gives images has index 0."""
    cameras = []
    nodes = sorted(folder.glob("video*"), key=lambda node: (len(node.name), node.name)) if folder.is_dir() else []
    for node in nodes:
        try:
            name = (node / "name").read_text(encoding="utf-8").strip()
            index = (node / "index").read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if index == "0":
            cameras.append(Camera(name, f"/dev/{node.name}"))
    return tuple(cameras)


def find_camera(name: str, cameras: tuple[Camera, ...], platform: str = sys.platform) -> Camera:
    """The camera of that name, number, device path or a unique part of a name. Raises VideoError when there is none."""
    if name.startswith("/dev/") and platform.startswith("linux"):
        return Camera(name, name)
    if name.isdigit() and int(name) < len(cameras):
        return cameras[int(name)]
    exact = [camera for camera in cameras if name in (camera.name, camera.device)]
    partly = [camera for camera in cameras if name.lower() in camera.name.lower()]
    for found in (exact[:1], partly if len(partly) == 1 else []):
        if found:
            return found[0]
    there = ", ".join(camera.name for camera in cameras) or "none"
    raise VideoError(f"There is no camera {name!r}; the system has: {there}", LIST_REMEDY)


def opening_of(source: LiveSource, settings: ImageSettings, platform: str = sys.platform) -> Opening:
    """How to open a source. Raises VideoError for a camera that is not there."""
    if source.kind is SourceKind.STREAM:
        return Opening(source.name, None, (_stream_options(source.name.partition("://")[0]),))
    camera = find_camera(source.name, list_cameras(platform), platform)
    wanted = {}
    if settings.width_px and settings.height_px:
        wanted["video_size"] = f"{settings.width_px}x{settings.height_px}"
    if settings.fps:
        wanted["framerate"] = f"{settings.fps:g}"
    # compressed images pass a USB 2 bus at full rate, raw ones often do not
    compressed = {"linux": {"input_format": "mjpeg"}, "win32": {"vcodec": "mjpeg"}}.get(platform, {})
    common = {} if platform == "linux" else {"rtbufsize": "64M"} if platform == "win32" else {"pixel_format": "nv12"}
    tries: tuple[dict[str, str], ...] = ({**common, **wanted, **compressed}, {**common, **wanted}, common, {})
    file = f"video={camera.device}" if platform == "win32" else camera.device
    return Opening(file, _FORMATS.get(platform), tuple(dict(t) for t in dict.fromkeys(tuple(t.items()) for t in tries)))


_PROTOCOLS = {
    "http": "http,tcp",
    "https": "http,https,tls,tcp",
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtp,udp,tcp,tls",
    "srt": "srt,udp",
    "udp": "udp",
}


def _stream_options(scheme: str) -> dict[str, str]:
    """Little buffering, and no way from the stream to files or to other kinds of addresses."""
    options = {
        "protocol_whitelist": _PROTOCOLS[scheme],
        "fflags": "nobuffer+discardcorrupt",
        "flags": "low_delay",
        "probesize": "262144",
        "analyzeduration": "500000",
    }
    if scheme in ("rtsp", "rtsps"):
        options["rtsp_transport"] = "tcp"
    if scheme in ("http", "https"):
        options["max_redirects"] = "0"
    if scheme == "udp":
        options |= {"overrun_nonfatal": "1", "fifo_size": "100000"}
    return options
