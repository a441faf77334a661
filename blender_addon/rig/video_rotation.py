"""Which way up a video is: the turn that a phone writes into an MP4 or MOV file. stdlib; bpy only inside functions.

Blender 4.2 and 4.3 show such a video as it was stored, lying on its side; 4.5 and later, and the backend, turn it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_FOLDERS = (b"moov", b"trak", b"mdia")  # each in the one before
_READ = frozenset({b"tkhd", b"hdlr"})
_MOST_BYTES = 1 << 16
# a, b, c, d of a track's matrix (ISO/IEC 14496-12) by quarter turns clockwise
_TURNS = {(1, 0, 0, 1): 0, (0, 1, -1, 0): 1, (-1, 0, 0, -1): 2, (0, -1, 1, 0): 3}


def quarter_turns(path: Path) -> int:
    """Clockwise quarter turns, 0 to 3, that bring the stored image upright; 0 for files that do not say."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            turns = 0
            for kind, data in _boxes(stream, 0, stream.tell()):
                if kind == b"tkhd":
                    turns = _turns(data)
                elif data[8:12] == b"vide":  # the handler comes after its track's header
                    return turns
    except (OSError, struct.error):
        pass
    return 0


def turn_point(x_px: float, y_px: float, size: tuple[int, int], turns: int) -> tuple[float, float]:
    """A point of an image of (width, height), from its top left corner, after clockwise quarter turns of it."""
    for _ in range(turns % 4):
        x_px, y_px, size = size[1] - y_px, x_px, (size[1], size[0])
    return x_px, y_px


def turns_left_out(video: Path) -> int:
    """Clockwise quarter turns that a video asks for and this Blender does not make: 4.2 and 4.3 make none."""
    import bpy

    return 0 if bpy.app.version >= (4, 4, 0) else quarter_turns(video)


def clip_turns(clip: Any) -> int:
    """Clockwise quarter turns that bring the image which this Blender shows of a movie clip upright."""
    import bpy

    return turns_left_out(Path(bpy.path.abspath(clip.filepath))) if clip.source == "MOVIE" else 0


def upright_size(clip: Any) -> tuple[int, int]:
    """Width and height in px of a movie clip's upright image; its pixels are those stored, square or not."""
    width, height = clip.size
    return (height, width) if clip_turns(clip) % 2 else (width, height)


def _boxes(stream: BinaryIO, start: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the boxes that matter, folders opened; media data is leapt over, not read."""
    while start + 8 <= end:
        stream.seek(start)
        size, kind = struct.unpack(">I4s", stream.read(8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", stream.read(8))[0], 16
        stop = end if size == 0 else min(start + size, end)
        if stop < start + head:
            return  # no such file format
        if kind in _FOLDERS[depth : depth + 1]:
            yield from _boxes(stream, start + head, stop, depth + 1)
        elif kind in _READ:
            yield kind, stream.read(min(stop - start - head, _MOST_BYTES))
        start = stop


def _turns(header: bytes) -> int:
    numbers = struct.unpack_from(">9i", header, 52 if header[:1] == b"\x01" else 40)
    a, b, c, d = (round(numbers[index] / 0x10000) for index in (0, 1, 3, 4))
    return _TURNS.get((a, b, c, d), 0)
