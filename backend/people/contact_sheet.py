"""An image of all tracks with their numbers, so that a person can be chosen by looking. numpy, cv2, backend.types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from backend.errors import OutputError
from backend.people.region import Roi, cut
from backend.types import Frame, Image, PersonTrack
from backend.whole_file import whole_file

VIEWS = 6
_TILE_PX, _LABEL_PX, _GAP_PX = 200, 190, 8
_PAPER, _INK, _FAINT = (250, 250, 248), (30, 30, 34), (120, 120, 126)
_COLOURS = ((214, 69, 65), (46, 134, 193), (39, 154, 85), (203, 137, 24), (125, 78, 170), (20, 148, 148))
_BONES = (
    (11, 12), (11, 13), (13, 15), (12, 14), (14, 16), (11, 23), (12, 24), (23, 24),
    (23, 25), (25, 27), (27, 31), (24, 26), (26, 28), (28, 32),
)  # fmt: skip


def frames_for_sheet(tracks: Sequence[PersonTrack], views: int = VIEWS) -> list[int]:
    """Source frames (sorted) that `draw_contact_sheet` wants: `views` a track, spread over the time in sight."""
    return sorted({index for track in tracks for index in _views(track, views)})


def draw_contact_sheet(tracks: Sequence[PersonTrack], frames: Iterable[Frame], views: int = VIEWS) -> Image:
    """One row a track: number, time in sight, size, then `views` crops with landmarks. RGB (H, W, 3).

    `frames` must hold those of `frames_for_sheet`; others are passed over, missing ones leave their place empty.
    """
    wanted: dict[int, list[tuple[int, int]]] = {}
    for row, track in enumerate(tracks):
        for column, index in enumerate(_views(track, views)):
            wanted.setdefault(index, []).append((row, column))
    pitch = _TILE_PX + _GAP_PX
    sheet = np.full((max(len(tracks), 1) * pitch + _GAP_PX, _LABEL_PX + views * pitch, 3), _PAPER, np.uint8)
    for row, track in enumerate(tracks):
        _draw_label(sheet, track, _GAP_PX + row * pitch)
    for frame in frames:
        for row, column in wanted.get(frame.index, ()):
            top, left = _GAP_PX + row * pitch, _LABEL_PX + column * pitch
            sheet[top : top + _TILE_PX, left : left + _TILE_PX] = _tile(tracks[row], frame)
    return sheet


def tile_px(row: int, track: PersonTrack, views: int = VIEWS) -> tuple[int, int, int]:
    """Where on the sheet a track's middle crop lies: left, top and size in px, for a list with small images."""
    pitch = _TILE_PX + _GAP_PX
    return _LABEL_PX + len(_views(track, views)) // 2 * pitch, _GAP_PX + row * pitch, _TILE_PX


def write_contact_sheet(path: Path, sheet: Image) -> None:
    """Write the sheet as PNG. OutputError when the file cannot be written."""
    encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1]
    try:
        with whole_file(path) as whole:
            whole.write_bytes(encoded.tobytes())
    except OSError as error:
        raise OutputError(f"The contact sheet {path} cannot be written ({error})") from error


def track_colour(track_id: int) -> tuple[int, int, int]:
    """RGB colour that a track has in every image."""
    return _COLOURS[track_id % len(_COLOURS)]


def _views(track: PersonTrack, views: int) -> list[int]:
    seen = track.frame_index[track.presence > 0]
    if not len(seen):
        return []
    chosen = np.linspace(0, len(seen) - 1, min(views, len(seen))).round().astype(int)
    return [int(index) for index in seen[chosen]]


def _draw_label(sheet: Image, track: PersonTrack, top: int) -> None:
    colour = track_colour(track.track_id)
    cv2.rectangle(sheet, (_GAP_PX, top), (_GAP_PX + 6, top + _TILE_PX - 1), colour, -1)
    _write(sheet, str(track.track_id), (26, top + 58), 1.9, colour, 3)
    height = float(np.nanmedian(track.box_px[:, 3] - track.box_px[:, 1]))
    lines = (
        f"{track.times_s[0]:.2f} - {track.times_s[-1]:.2f} s",
        f"frames {track.frame_index[0]} - {track.frame_index[-1]}",
        f"in sight {100 * float((track.presence > 0).mean()):.0f} %",
        f"height {height:.0f} px",
    )
    for number, line in enumerate(lines):
        _write(sheet, line, (26, top + 96 + 24 * number), 0.45, _INK if number == 0 else _FAINT, 1)


def _tile(track: PersonTrack, frame: Frame) -> Image:
    row = int(np.flatnonzero(track.frame_index == frame.index)[0])
    x0, y0, x1, y1 = track.box_px[row].tolist()
    roi = Roi((x0 + x1) / 2, (y0 + y1) / 2, 1.25 * max(x1 - x0, y1 - y0, 16.0))
    tile = cut(frame.image, roi, _TILE_PX, border=cv2.BORDER_CONSTANT).copy()
    corner = np.array([roi.x_px, roi.y_px]) - roi.size_px / 2
    points = ((track.keypoints_px[row] - corner) * (_TILE_PX / roi.size_px)).round().astype(int)
    for first, second in _BONES:
        start, end = points[first].tolist(), points[second].tolist()
        cv2.line(tile, start, end, track_colour(track.track_id), 2, cv2.LINE_AA)
    for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        _write(tile, f"{frame.time_s:.2f} s", (6, _TILE_PX - 8), 0.4, colour, width)
    return tile


def _write(image: Image, text: str, at: tuple[int, int], size: float, colour: tuple[int, int, int], width: int) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, width, cv2.LINE_AA)
