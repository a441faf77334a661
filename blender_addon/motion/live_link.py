"""A face as a table in the form that Live Link Face writes (CSV): timecode, ARKit's 52 weights, head and eyes.

May import numpy and its own room only. The columns are those of Epic's app: `Timecode` (h:min:s:frame.part), the count
of blend shapes, the weights in ARKit's order with a capital first letter, then yaw, pitch and roll of head and eyes.
"""

from __future__ import annotations

import csv
import io
import math
import re

import numpy as np

from .face import FACE_WEIGHT_NAMES, FaceMotion
from .rotations import Array
from .temporal import interpolate_linear

_ANGLES = tuple(f"{part}{axis}" for part in ("Head", "LeftEye", "RightEye") for axis in ("Yaw", "Pitch", "Roll"))
_TIMECODE = re.compile(r"(\d+):(\d+):(\d+)[:;](\d+)(?:\.(\d+))?$")
_MOST_ROWS = 2_000_000


class LiveLinkError(ValueError):
    """A CSV that holds no face; the message says what is wrong and what to do."""


def write_live_link(times_s: Array, face: FaceMotion, fps: float) -> str:
    """The table's text; frames without the person are left out. Head and eye angles are 0: the clip's body turns the
    head, and the eyes' weights hold their direction.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = [name[0].upper() + name[1:] for name in FACE_WEIGHT_NAMES]
    writer.writerow(["Timecode", "BlendShapeCount", *columns, *_ANGLES])
    for time_s, weights in zip(times_s, face.weights, strict=True):
        if np.isfinite(weights).all():
            row = [f"{float(weight):.8f}" for weight in weights]
            writer.writerow([_timecode(float(time_s), fps), len(columns), *row, *("0.0" for _ in _ANGLES)])
    return stream.getvalue()


def read_live_link(text: str, fps: float | None = None) -> tuple[Array, FaceMotion]:
    """Times (T,) in s from the first row, and the face. Columns may stand in any order; weights that lack are 0.

    `fps` is the recording's rate where it is known, else it is told by the highest frame number (24, 25, 30, 50, 60).
    Raises LiveLinkError for a text without timecodes or without any weight.
    """
    rows = list(csv.DictReader(io.StringIO(text.lstrip("\ufeff"))))[:_MOST_ROWS]
    known = {name.lower(): column for column, name in enumerate(FACE_WEIGHT_NAMES)}
    columns = {
        key: known[key.strip().lower()] for key in (rows[0] if rows else {}) if key and key.strip().lower() in known
    }
    if not columns:
        raise LiveLinkError("the file holds no weight of a face; export a CSV from Live Link Face, with a header row")
    weights = np.zeros((len(rows), len(FACE_WEIGHT_NAMES)))
    stamps = []
    for number, row in enumerate(rows):
        stamp = _TIMECODE.match((row.get("Timecode") or "").strip())
        if stamp is None:
            raise LiveLinkError(f"row {number + 2} has no timecode such as 10:15:30:12.500; export the CSV again")
        stamps.append([float(part) for part in stamp.groups()[:4]] + [float(f"0.{stamp.group(5) or 0}")])
        for key, column in columns.items():
            weights[number, column] = _number(row.get(key), key, number)
    table = np.array(stamps)
    rate = fps or _rate(table[:, 3])
    times_s = table[:, :3] @ np.array([3600.0, 60.0, 1.0]) + (table[:, 3] + table[:, 4]) / rate
    times_s = times_s + 86400.0 * np.concatenate([[0.0], np.cumsum(np.diff(times_s) < -43200.0)])  # past midnight
    keep = np.concatenate([[True], np.diff(np.maximum.accumulate(times_s)) > 0.0])  # dropped and repeated frames
    times_s = times_s[keep] - times_s[0]
    return times_s, FaceMotion(np.clip(weights[keep], 0.0, 1.0), np.ones(int(keep.sum())))


def face_at_times(times_s: Array, face: FaceMotion, at_s: Array) -> FaceMotion:
    """The face at other times (N,), on straight lines; at rest, with confidence 0, where it was not recorded."""
    slack = 1.5 * float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.05
    inside = (at_s >= times_s[0] - slack) & (at_s <= times_s[-1] + slack)
    weights = interpolate_linear(times_s, face.weights, at_s) * inside[:, None]
    return FaceMotion(weights, np.where(inside, 1.0, 0.0))


def _number(value: str | None, key: str, row: int) -> float:
    try:
        number = float(value or 0.0)
    except ValueError as fault:
        raise LiveLinkError(f"row {row + 2}: {key} is {str(value)[:20]!r}, not a number") from fault
    return number if math.isfinite(number) else 0.0


def _rate(frames: Array) -> float:
    """The usual rate above the highest frame number."""
    return next((rate for rate in (24.0, 25.0, 30.0, 50.0, 60.0, 120.0) if frames.max() < rate), frames.max() + 1.0)


def _timecode(time_s: float, fps: float) -> str:
    """h:min:s:frame.part, the part in thousandths of a frame."""
    rate = max(round(fps), 1)
    whole = int(time_s + 1e-9)
    thousandths = min(round((time_s - whole) * rate * 1000.0), rate * 1000 - 1)
    frame, part = divmod(max(thousandths, 0), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{frame:02d}.{part:03d}"
