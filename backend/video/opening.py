"""Opening a video file, with a named fault for each way in which a file is no readable video.

May import PyAV and `backend.errors`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from backend.errors import VideoError

# demuxers that read text as an image, or a list of other files: neither is a video of a person
_FOREIGN_FORMATS: Final = frozenset({"tty", "concat", "hls", "dash", "srt", "ass", "webvtt", "lrc", "data", "bin"})


def check_readable(path: Path) -> None:
    """Raise VideoError for a missing, empty or unreadable file."""
    try:
        if not path.exists():
            raise VideoError(f"There is no file {path}", "Check the path")
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as fault:
        raise VideoError(f"{path} cannot be opened ({fault.strerror})", "Check its permissions") from fault
    if empty:
        raise VideoError(f"{path} is empty (0 bytes)", "Copy or export the video again")


def open_container(path: Path) -> InputContainer:
    """Open a video file, reading nothing but that file. Raises VideoError that says what the file is instead."""
    try:
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (av.error.InvalidDataError, av.error.EOFError, ValueError) as fault:
        raise _unreadable(path) from fault
    except av.error.FFmpegError as fault:
        raise VideoError(
            f"{path} cannot be opened as a video ({fault.strerror})", "Convert it to mp4 (H.264)"
        ) from fault
    if container.format.name in _FOREIGN_FORMATS:
        container.close()
        raise VideoError(f"{path} is not a video (it reads as {container.format.long_name})", "Give a video file")
    return container


def _unreadable(path: Path) -> VideoError:
    with path.open("rb") as stream:
        head = stream.read(16)
    if head[4:8] in {b"ftyp", b"mdat", b"moov", b"wide", b"free"}:
        return VideoError(
            f"{path} is cut off: an mp4 or mov file without its index",
            "Copy it again in full, or repair it with untrunc",
        )
    return VideoError(
        f"{path} is not a video file, whatever its name ends in",
        "Give an mp4, mov, mkv, webm or avi video, or a folder of images",
    )


def image_stream(container: InputContainer, path: Path) -> VideoStream:
    """The first stream of images that is not a cover. Raises VideoError for sound only, no decoder or encryption."""
    images = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not images:
        what = "sound but no image" if container.streams.audio else "no image"
        raise VideoError(f"{path} has {what}", "Give a file with a video stream")
    stream = images[0]
    if stream.codec_context is None:
        raise VideoError(
            f"{path} uses a codec that cannot be decoded here", "Convert it to H.264; `doctor` lists codecs"
        )
    if _is_encrypted(path):
        raise VideoError(f"{path} is encrypted (DRM)", "Use a copy without copy protection")
    return stream


def _is_encrypted(path: Path) -> bool:
    """Whether an mp4/mov's sample description says `encv` (ISO/IEC 23001-7 common encryption)."""
    with path.open("rb") as stream:
        position, size = 0, path.stat().st_size
        while position + 8 <= size:
            stream.seek(position)
            header = stream.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if kind == b"moov":
                stream.seek(position)
                return b"encv" in stream.read(min(length or size, 1 << 26))
            if length < 8 or not kind.isalnum():
                return False
            position += length
    return False
