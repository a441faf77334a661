"""A manifest: which clips to convert, each with options of its own, as CSV with a head line or JSON.

May import stdlib, `backend.batch.tasks` and `backend.errors`. Paths in it are relative to the manifest.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from backend.batch.take_folders import take_of, take_of_folder
from backend.batch.tasks import AnimateSettings, ClipTask, Fault, OutputKind, SolveSettings
from backend.errors import BadInputError
from blender_addon.motion.looping import Loop
from blender_addon.motion.straight_legs import MOST_DEG

_PATHS: Final = frozenset({"clip", "rig", "calibration", "setup", "towers", "bank"})
_SHORT: Final = {"height": "height_m", "fov": "fov_deg", "formats": "format", "straighten": "straighten_deg"} | {
    "offsets": "offset",
    "close_up": "close_ups",
    "close_up_offsets": "close_up_offset",
}
_BETWEEN_VIDEOS: Final = "|"  # which no file name has on Windows, and few have elsewhere
_YES: Final = frozenset({"1", "yes", "true", "y", "x"})
_NO: Final = frozenset({"0", "no", "false", "n", "-"})


def parse_kinds(text: str) -> tuple[OutputKind, ...]:
    """Read `fbx,bvh`, or `all`. Raises BadInputError for a format that is not made."""
    words = [word.strip().lower().lstrip(".") for word in text.replace(";", ",").split(",") if word.strip()]
    names = [kind.value for kind in OutputKind]
    if words == ["all"]:
        return tuple(OutputKind)
    unknown = [word for word in words if word not in names]
    if unknown or not words:
        raise BadInputError(f"Unknown format {(unknown or [text])[0]!r}", f"Choose from {', '.join(names)}, or all")
    return tuple(dict.fromkeys(OutputKind(word) for word in words))


def _yes(text: str) -> bool:
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise ValueError(text)
    return word in _YES


def _bend(text: str) -> float:
    degrees = float(text)
    if not 0.0 <= degrees <= MOST_DEG:
        raise ValueError(text)
    return degrees


def _loop(text: str) -> str:
    return Loop(text.strip().lower()).value


_ANIMATE: Final[dict[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("rig", "armature", "smooth", "rate"), str),
    **dict.fromkeys(("ground", "in_place", "mirror"), _yes),
    "straighten_deg": _bend,
    "loop": _loop,
}
# column -> field of SolveSettings or AnimateSettings
_SOLVE: Final[dict[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("range", "person", "calibration", "camera", "gravity", "quality", "towers", "bank"), str),
    **dict.fromkeys(("offset", "setup", "close_up_offset"), str),
    **dict.fromkeys(("height_m", "fov_deg", "focal_px", "slow_motion", "fps"), float),
    "max_people": int,
    **dict.fromkeys(("hands", "face"), _yes),
}
COLUMNS: Final = ("clip", "videos", "close_ups", "name", "format", *_SOLVE, *_ANIMATE)


def read_manifest(path: Path, template: ClipTask) -> list[ClipTask]:
    """The rows as orders; a cell that is empty takes the template's value. A row that cannot be read carries its
    trouble, the others stand. Raises BadInputError for a file that is no manifest or has a column that is none.
    """
    rows = _rows(path)
    if not rows:
        raise BadInputError(f"The manifest {path} has no rows", "Give it a head line with `clip` and a line a clip")
    return [_order(row, number, path, template) for number, row in enumerate(rows, start=1)]


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = _json_rows(text) if path.suffix.lower() == ".json" else _csv_rows(text)
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as fault:
        raise BadInputError(
            f"The manifest {path} cannot be read ({fault})", "Save it as CSV or JSON in UTF-8"
        ) from fault
    for number, row in enumerate(rows, start=1):
        unknown = sorted(set(row) - set(COLUMNS))
        if unknown:
            remedy = f"Columns are {', '.join(COLUMNS)}"
            raise BadInputError(f"The manifest {path} has an unknown column {unknown[0]!r} (row {number})", remedy)
    return rows


def _json_rows(text: str) -> list[dict[str, str]]:
    record = json.loads(text)
    entries = record.get("clips") if isinstance(record, dict) else record
    listed = entries if isinstance(entries, list) else [None]
    plain = [{"clip": entry} if isinstance(entry, str) else entry for entry in listed]
    objects = [entry for entry in plain if isinstance(entry, dict)]
    if len(objects) < len(plain):
        raise ValueError("it holds no list of names or objects")
    return [
        {_column(key): _text(value, _column(key)) for key, value in entry.items() if value is not None}
        for entry in objects
    ]


def _csv_rows(text: str) -> list[dict[str, str]]:
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    rows = []
    for record in reader:
        if None in record:
            raise ValueError(f"line {reader.line_num} has more cells than the head line")
        rows.append({_column(key): (value or "").strip() for key, value in record.items() if key and key.strip()})
    return [row for row in rows if any(row.values())]


def _column(name: str) -> str:
    word = name.strip().lower().replace("-", "_").replace(" ", "_")
    return _SHORT.get(word, word)


def _text(value: Any, column: str) -> str:
    if isinstance(value, list):
        between = _BETWEEN_VIDEOS if column in ("videos", "close_ups") else ","
        return between.join("?" if part is None else str(part) for part in value)
    return str(value)


def _order(row: Mapping[str, str], number: int, path: Path, template: ClipTask) -> ClipTask:
    given = {name: _absolute(path, value) if name in _PATHS else value for name, value in row.items() if value}
    order = replace(template, source=given.get("clip", f"{path.name} row {number}"))
    if ("clip" in given) == ("videos" in given):
        what = "a clip and videos" if "clip" in given else "no clip"
        return _troubled(order, f"Row {number} of {path} has {what}")
    if "clip" in given and (of_takes := [name for name in ("offset", "setup") if name in given]):
        return _troubled(order, f"Row {number} of {path} has one clip, and {of_takes[0]} is for several videos")
    try:
        order = replace(
            order,
            name=given.get("name", template.name),
            kinds=parse_kinds(given["format"]) if "format" in given else template.kinds,
            solve=_settings(template.solve, given, _SOLVE),
            animate=_settings(template.animate, given, _ANIMATE),
            close_ups=tuple(map(str, _videos(given.get("close_ups", ""), path))),
        )
        order = _take(order, given["videos"], path) if "videos" in given else _beside_close_ups(order)
        if order.solve.close_up_offset and not order.close_ups and order.trouble is None:
            return _troubled(order, f"Row {number} of {path} has an offset of close-ups, and no close-ups")
        return order
    except BadInputError as fault:
        return _troubled(order, f"Row {number} of {path}: {fault.message}", fault.remedy)


def _take(order: ClipTask, text: str, path: Path) -> ClipTask:
    """The order for several videos, or for all videos in the one folder that is named."""
    videos = _videos(text, path)
    if len(videos) == 1 and videos[0].is_dir():
        return take_of_folder(videos[0], order)
    return take_of(videos, order)


def _beside_close_ups(order: ClipTask) -> ClipTask:
    """The order for one clip: a take where it has close-ups."""
    return take_of([Path(order.source)], order) if order.close_ups else order


def _videos(text: str, path: Path) -> list[Path]:
    return [Path(_absolute(path, part.strip())) for part in text.split(_BETWEEN_VIDEOS) if part.strip()]


def _settings(template: Any, given: Mapping[str, str], columns: Mapping[str, Callable[[str], Any]]) -> Any:
    changes = {}
    for name, read in columns.items():
        if name not in given:
            continue
        try:
            changes[name] = read(given[name])
        except ValueError:
            raise BadInputError(
                f"{given[name]!r} is not a valid value for {name}", "Leave the cell empty for the default"
            ) from None
    return replace(template, **changes)


def _absolute(manifest: Path, text: str) -> str:
    return str(manifest.absolute().parent / Path(text).expanduser())


def _troubled(order: ClipTask, message: str, remedy: str = "Correct the row and run again") -> ClipTask:
    return replace(order, trouble=Fault(BadInputError.code, message, remedy))


assert set(_SOLVE) == set(SolveSettings.__dataclass_fields__)
assert set(_ANIMATE) == set(AnimateSettings.__dataclass_fields__)
