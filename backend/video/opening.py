"""Opening a video file, with a named fault for each way in which a file is no readable video.

May import PyAV, `backend.errors` and its own room.
"""

from __future__ import annotations

import re
import stat
from collections import Counter
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from backend.errors import VideoError
from backend.video.bounds import MOST_PIXELS
from blender_addon.wire.windows_paths import LONGEST_PATH, is_too_long

# demuxers that read text as an image, or a list of other files: neither is a video of a person
_FOREIGN_FORMATS: Final = frozenset({"tty", "concat", "hls", "dash", "srt", "ass", "webvtt", "lrc", "data", "bin"})
_ADDRESS: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/+")
_SPECIAL: Final = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_NO_VIDEO: Final = (
    av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails | av.stream.Disposition.still_image
)
# a stream with less than this part of the largest one's pixels is a preview
_PREVIEW_SHARE: Final = 0.25
_COUNTED_PACKETS: Final = 400


def check_readable(path: Path) -> None:
    """Raise VideoError for what is missing, empty, unreadable, or no regular file."""
    try:
        check_regular(path)
        if path.is_dir():
            raise VideoError(f"{path} is a folder", "Give a file")
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except (OSError, ValueError) as fault:
        raise VideoError(f"{path} cannot be opened ({_reason(fault)})", "Check its name and permissions") from fault
    if empty:
        raise VideoError(f"{path} is empty (0 bytes)", "Copy or export the video again")


def check_regular(path: Path) -> None:
    """Raise VideoError where there is nothing, or something that is neither a file nor a folder; it is not opened."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError) as fault:
        address = _address(path)
        if address:  # Windows calls the name of one impossible, other systems call it missing
            raise VideoError(f"{address} is an address, and only files are read", "Download the video first") from fault
        if is_too_long(path.absolute()):  # and this one it calls missing
            words = f"{path} cannot be opened: Windows takes paths of {LONGEST_PATH} characters"
            remedy = "Move it to a folder with a shorter path, or turn on long paths as docs/how_to/install.md says"
            raise VideoError(words, remedy) from fault
        if isinstance(fault, FileNotFoundError | NotADirectoryError):
            raise VideoError(f"There is no file {path}", "Check the path") from fault
        raise VideoError(f"{path} cannot be opened ({_reason(fault)})", "Check its name and permissions") from fault
    if kind in _SPECIAL:
        raise VideoError(f"{path} is {_SPECIAL[kind]}, no file", "Save the video to a file first")


def _address(path: Path) -> str:
    """The address that a path was made from, "" where it was none; a path keeps one slash of the two."""
    name = path.as_posix()
    found = _ADDRESS.match(name)
    return f"{found[1]}://{name[found.end() :]}" if found else ""


def open_container(path: Path) -> InputContainer:
    """Open a video file, reading nothing but that file. Raises VideoError that says what the file is instead."""
    try:
        options = {"protocol_whitelist": "file", "max_pixels": str(MOST_PIXELS)}
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
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


def choose_stream(container: InputContainer, path: Path) -> tuple[int, str]:
    """Index of the stream to read, and a sentence for the user where there was a choice (else empty).

    Covers, thumbnails, stills and previews are passed over; of the rest the default stream is taken, then the
    largest, then the first. Raises VideoError for sound only, no decoder or encryption.
    """
    streams = [s for s in container.streams.video if not s.disposition & _NO_VIDEO]
    if not streams:
        what = "sound but no image" if container.streams.audio else "no image"
        raise VideoError(f"{path} has {what}", "Give a file with a video stream")
    if is_encrypted(path):
        raise VideoError(f"{path} is encrypted (DRM)", "Use a copy without copy protection")
    readable = [s for s in streams if s.codec_context is not None]
    if not readable:
        raise VideoError(
            f"{path} uses a codec that cannot be decoded here", "Convert it to H.264; `doctor` lists codecs"
        )
    if len(readable) == 1:
        return readable[0].index, ""
    moving = _moving(container, readable)
    largest = max(_pixels(s) for s in moving)
    whole = [s for s in moving if _pixels(s) >= _PREVIEW_SHARE * largest]
    default = av.stream.Disposition.default
    chosen = max(whole, key=lambda s: (bool(s.disposition & default), _pixels(s), -s.index))
    if len(whole) == 1:
        return chosen.index, ""
    others = ", ".join(f"{s.index} ({s.width}x{s.height})" for s in whole if s is not chosen)
    text = f"the file has {len(whole)} video streams: {chosen.index} ({chosen.width}x{chosen.height}) is read"
    return chosen.index, f"{text}, not {others}"


def video_stream(container: InputContainer, index: int) -> VideoStream:
    """The container's stream of that index, ready to be decoded, too large images refused by the decoder."""
    stream = next(s for s in container.streams.video if s.index == index)
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return stream


def _moving(container: InputContainer, streams: list[VideoStream]) -> list[VideoStream]:
    """The streams that hold more than one frame where others do: a cover may be marked as nothing at all."""
    counts: Counter[int] = Counter()
    try:
        for number, packet in enumerate(container.demux(streams)):
            counts[packet.stream_index] += packet.size > 0
            if number >= _COUNTED_PACKETS:
                break
    except av.error.FFmpegError:  # what is damaged is told where it is decoded
        return streams
    moving = [s for s in streams if counts[s.index] > 1]
    return moving or streams


def _pixels(stream: VideoStream) -> int:
    return int(stream.width or 0) * int(stream.height or 0)


def _reason(fault: Exception) -> str:
    return getattr(fault, "strerror", None) or str(fault)


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


def is_encrypted(path: Path) -> bool:
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
