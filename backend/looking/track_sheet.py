"""The contact sheet of tracks: each person found, with its number, so that one can be chosen by looking.

May import numpy, `backend.video`, `backend.types` and its own room.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backend.looking.drawing import draw_keypoints, draw_label
from backend.looking.sheet import CELL_PX, cut_square, tile, write_picture
from backend.types import Frame, Image, PersonTrack
from backend.video import VideoReader

_MOMENTS = 4
_WIDEN = 1.3


def write_track_sheet(reader: VideoReader, tracks: Sequence[PersonTrack], path: Path) -> None:
    """Write a PNG with one row a person: its number and four moments from first to last sight.

    Raises OutputError where it cannot be written, VideoError where the source cannot be read.
    """
    cells: dict[tuple[int, int], Image] = {}
    wanted: dict[int, list[tuple[int, int, int]]] = {}
    for row, track in enumerate(tracks):
        seen = np.flatnonzero((track.presence > 0) & np.isfinite(track.box_px).all(axis=1))
        if not len(seen):
            continue
        for column, at in enumerate(seen[np.linspace(0, len(seen) - 1, _MOMENTS).round().astype(int)]):
            cells[row, column] = np.full((CELL_PX, CELL_PX, 3), 30, np.uint8)
            wanted.setdefault(int(track.frame_index[at]), []).append((row, column, int(at)))
    for frame in reader.frames():
        for row, column, at in wanted.pop(frame.index, ()):
            cells[row, column] = _cell(frame, tracks[row], at)
        if not wanted:
            break
    write_picture(tile([cells[key] for key in sorted(cells)], _MOMENTS), path)


def _cell(frame: Frame, track: PersonTrack, at: int) -> Image:
    x0, y0, x1, y1 = (float(value) for value in track.box_px[at])
    side = max(32.0, _WIDEN * max(x1 - x0, y1 - y0))
    picture, offset, scale = cut_square(frame.image, np.array([x0 + x1, y0 + y1]) / 2, side, CELL_PX)
    draw_keypoints(picture, (track.keypoints_px[at] - offset) * scale, track.visibility[at], 3)
    draw_label(picture, f"{track.track_id}", (8, 34), 34, (255, 220, 60))
    draw_label(picture, f"frame {frame.index}   {frame.time_s:.2f} s", (8, CELL_PX - 8), 14)
    return picture
