"""What is known of a take before it is submitted, as the wire takes it. May import stdlib and `wire`."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from ..wire import messages as wire
from ..wire.codec import MAX_HEADER_BYTES
from ..wire.records import MAX_SETUP_CHARS
from ..wire.schema import MAX_TEXT_CHARS

CAPABILITY = "take"
CLOSE_UP, CALIBRATION = "close_up", "calibration"
"""Capabilities of backends that take them."""
SETUP_NAME = "setup.json"
_MOST_BYTES = 4 * MAX_SETUP_CHARS
CALIBRATION_ENDINGS = (".toml", ".json", ".yml", ".yaml", ".xml")


def take_options(
    offsets_s: Sequence[float | None] = (),
    setup: Path | None = None,
    close_ups: int = 0,
    calibration: Path | None = None,
) -> wire.TakeOptions:
    """The options of a take: for each video but the first its offset against the first in seconds (None: to be found),
    the `setup.json` of an earlier take, how many of the last videos are close-ups, and a calibration: a file, or a
    folder with one a camera. Raises OSError when a file cannot be read, ValueError when it is none.
    """
    known = tuple(wire.VideoOffset(place, value) for place, value in enumerate(offsets_s, 1) if value is not None)
    return wire.TakeOptions(
        known,
        () if setup is None else setup_texts(setup),
        close_ups,
        () if calibration is None else calibration_texts(calibration),
    )


def setup_texts(path: Path) -> tuple[str, ...]:
    """The text of a set-up file in pieces that fit the wire. Raises OSError, ValueError."""
    text = path.read_text(encoding="utf-8")
    if not text.lstrip().startswith("{") or len(text) > MAX_SETUP_CHARS or not _fits([text]):
        raise ValueError(f"{path.name} is not the set-up of a take. Choose a {SETUP_NAME} that a take has left")
    return _pieces(text)


def calibration_texts(path: Path) -> tuple[wire.CalibrationFile, ...]:
    """A calibration file, or the files of a folder, in pieces that fit the wire. Raises OSError, ValueError."""
    files = [path]
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if is_calibration_name(one.name) and one.is_file())
    if not files or not is_calibration_name(files[0].name):
        raise ValueError(f"{path.name} is not a calibration. Choose a {', '.join(CALIBRATION_ENDINGS)} file")
    # not even read where it is far too long, as a wrong file may be
    short = sum(file.stat().st_size for file in files) <= _MOST_BYTES
    texts = [file.read_text(encoding="utf-8-sig") for file in files] if short else []
    if not short or sum(map(len, texts)) > MAX_SETUP_CHARS or not _fits(texts):
        what = f"{path.name} is longer than {MAX_SETUP_CHARS} characters, or many of them are not ASCII"
        raise ValueError(f"{what}: it is not a calibration of cameras")
    return tuple(wire.CalibrationFile(file.name, _pieces(text)) for file, text in zip(files, texts, strict=True))


def is_calibration_name(name: str) -> bool:
    """Whether a file may be a calibration, by its ending."""
    return name.lower().endswith(CALIBRATION_ENDINGS) and not name.startswith(".")


def why_unsupported(take: wire.TakeOptions, capabilities: Collection[str]) -> tuple[str, str]:
    """What a backend with these capabilities cannot do with a take, and what helps; empty where it can do all of it."""
    if CAPABILITY not in capabilities:
        return "cannot solve several cameras together", "capture one video"
    if take.close_ups and CLOSE_UP not in capabilities:
        return "cannot use close-ups", "remove the close-ups from the list"
    if take.calibration and CALIBRATION not in capabilities:
        return "cannot use a calibration", "turn off Use Calibration"
    return "", ""


def _fits(texts: Sequence[str]) -> bool:
    """Whether texts leave room in a message for the rest of a job; a character may take six there."""
    return len(json.dumps(texts)) <= MAX_HEADER_BYTES * 3 // 4


def _pieces(text: str) -> tuple[str, ...]:
    return tuple(text[start : start + MAX_TEXT_CHARS] for start in range(0, len(text), MAX_TEXT_CHARS))
