"""Which way up a video is: the matrix that a phone writes into an MP4 or MOV file. stdlib; bpy only inside functions.

The backend heeds all of it. Blender 4.2 and 4.3 show such a video as it was stored, lying on its side; 4.5 and later
turn it, and pass over mirrors.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_FOLDERS = (b"moov", b"trak", b"mdia")  # each in the one before
_READ = frozenset({b"tkhd", b"hdlr"})
_MOST_BYTES = 1 << 16
# a and b of a track's matrix (ISO/IEC 14496-12) by quarter turns clockwise
_TURNS = {(1, 0): 0, (0, 1): 1, (-1, 0): 2, (0, -1): 3}


@dataclass(frozen=True, slots=True)
class Orientation:
    """What brings a stored image upright: first a mirror of left and right, then clockwise quarter turns, 0 to 3."""

    quarter_turns: int = 0
    mirrored: bool = False

    def after_turning(self) -> Orientation:
        """What is left to do where a program has turned the image as the matrix says, and passed over the mirror.

        Such a program takes the direction of the stored x axis alone, which a mirror reverses.
        """
        return Orientation((2 * self.quarter_turns + 2) % 4, True) if self.mirrored else Orientation()


def quarter_turns(path: Path) -> int:
    """Clockwise quarter turns, 0 to 3, that bring the stored image upright; 0 for files that do not say."""
    return orientation(path).quarter_turns


def orientation(path: Path) -> Orientation:
    """The orientation that a video asks for; as it is stored for files that do not say."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            found = Orientation()
            for kind, data in _boxes(stream, 0, stream.tell()):
                if kind == b"tkhd":
                    found = _orientation(data)
                elif data[8:12] == b"vide":  # the handler comes after its track's header
                    return found
    except (OSError, struct.error):
        pass
    return Orientation()


def turn_point(
    x_px: float, y_px: float, size: tuple[int, int], turns: int, mirrored: bool = False
) -> tuple[float, float]:
    """A point of an image of (width, height), from its top left corner, after a mirror of left and right, where asked
    for, and clockwise quarter turns of it.
    """
    if mirrored:
        x_px = size[0] - x_px
    for _ in range(turns % 4):
        x_px, y_px, size = size[1] - y_px, x_px, (size[1], size[0])
    return x_px, y_px


def left_out(video: Path) -> Orientation:
    """What brings the image that this Blender shows of a video upright.

    Blender 4.2 and 4.3 ignore the whole display matrix, later ones ignore mirrors.
    """
    import bpy

    wanted = orientation(video)
    return wanted.after_turning() if bpy.app.version >= (4, 4, 0) else wanted


def turns_left_out(video: Path) -> int:
    """Clockwise quarter turns that a video asks for and this Blender does not make: 4.2 and 4.3 make none."""
    import bpy

    return 0 if bpy.app.version >= (4, 4, 0) else orientation(video).quarter_turns


def clip_orientation(clip: Any) -> Orientation:
    """What brings the image which this Blender shows of a movie clip upright."""
    import bpy

    return left_out(Path(bpy.path.abspath(clip.filepath))) if clip.source == "MOVIE" else Orientation()


def upright_size(clip: Any) -> tuple[int, int]:
    """Width and height in px of a movie clip's upright image; its pixels are those stored, square or not."""
    width, height = clip.size
    return (height, width) if clip_orientation(clip).quarter_turns % 2 else (width, height)


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


def _orientation(header: bytes) -> Orientation:
    numbers = struct.unpack_from(">9i", header, 52 if header[:1] == b"\x01" else 40)
    a, b, c, d = (round(numbers[index] / 0x10000) for index in (0, 1, 3, 4))
    determinant = a * d - b * c
    if abs(determinant) != 1:
        return Orientation()
    along = (a, b) if determinant > 0 else (-a, -b)
    return Orientation(_TURNS.get(along, 0), determinant < 0)
