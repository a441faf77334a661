"""A name and a key for every clip: where its files go, and what they depend on, as hashes of content.

May import stdlib, `backend.batch`, `backend.errors` and, for the list of weights, `backend.networks`
and `backend.bank.large`.
"""

from __future__ import annotations

import hashlib
import json
import queue
import string
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Final

from backend.bank.large import HEADER_FILE
from backend.batch.solve_cache import short_name
from backend.batch.tasks import ClipTask, Fault, PlannedClip, SolveSettings
from backend.errors import BadInputError, VideoError
from backend.files import sha256_of
from backend.networks.weights_file import WEIGHTS_DIRECTORY
from backend.video.opening import check_readable
from backend.video.sequence import is_sequence, list_images

# to be raised when the same clip and options would give other results
RESULT_VERSION: Final = 5
DEFAULT_TEMPLATE: Final = "{folder}/{clip}/{clip}"
# a disk takes 255 bytes; `.12.overlay.mp4` and a mark follow
_LONGEST_PART: Final = 200
_OF_TAKES: Final = frozenset({"offset", "setup", "close_up_offset"})
_FIELDS: Final = ("clip", "folder", "rig", "range", "person", "quality", "index")


def check_template(template: str) -> None:
    """Raise BadInputError for a naming template with a field that there is not, or that leads out of the folder."""
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as fault:
        raise BadInputError(
            f"--name {template!r} cannot be read ({fault})", "Write, for example, {clip}_{rig}"
        ) from None
    unknown = sorted(names - set(_FIELDS))
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in _FIELDS)
        raise BadInputError(f"--name has no field {{{unknown[0]}}}", f"Fields are {known}")


def name_clips(orders: Sequence[ClipTask], template: str = "") -> list[PlannedClip]:
    """Every order with the base of its files' names.

    With the default template, takes of one clip that differ in rig, range or person have that in their names. An
    order whose files would have the names of another's carries that as its trouble.
    """
    planned = [_named(order, index, order.name or template) for index, order in enumerate(orders, start=1)]
    if not template:
        planned = _told_apart(planned)
    taken: dict[str, PlannedClip] = {}
    return [_alone(clip, taken.setdefault(clip.base.lower(), clip)) for clip in planned]


def with_keys(clip: PlannedClip) -> PlannedClip:
    """The clip with its keys: reads the clip and the rig. Raises VideoError or BadInputError where one is missing."""
    order = clip.order
    source = take_digests(order.videos) if order.is_take else source_digest(Path(order.source))
    solve: dict[str, Any] = {"source": source, "version": RESULT_VERSION}
    if order.close_ups:
        solve["close_ups"] = take_digests(order.close_ups, all_may_fail=True)
    if order.is_solved:
        solve |= {"fps": order.solve.fps} if order.solve.fps else {}
    else:
        solve |= {"settings": _settings_of(order), "weights": weights_digest()}
        solve |= _digests(order.solve if order.is_take else replace(order.solve, setup=""))
    solve_key = _hashed(solve)
    rig = file_digest(Path(order.animate.rig), "rig") if order.animate.rig and order.needs_blender else ""
    rest = {
        "solve": solve_key,
        "rig": rig,
        "animate": asdict(replace(order.animate, rig="")) if order.needs_blender else None,
        "kinds": sorted(kind.value for kind in order.kinds),
        "base": clip.base,
    }
    return replace(clip, solve_key=solve_key, key=_hashed(rest))


def _digests(settings: SolveSettings) -> dict[str, str]:
    """What tells the files apart that the settings name. Of a large bank, a folder, it is the header and its time:
    the rest is gigabytes.
    """
    digests: dict[str, str] = {}
    for what in ("calibration", "setup", "towers", "bank"):
        path = Path(getattr(settings, what))
        if path == Path():
            continue
        header = path / HEADER_FILE
        if what == "bank" and header.is_file():
            digests[what] = f"{file_digest(header, what)} {header.stat().st_mtime_ns}"
        elif what == "calibration" and path.is_dir():  # one file a camera
            digests[what] = _hashed({one.name: file_digest(one, what) for one in path.iterdir() if one.is_file()})
        else:
            digests[what] = file_digest(path, what)
    return digests


def _settings_of(order: ClipTask) -> dict[str, Any]:
    """The settings that a solve depends on; those of takes count in takes alone."""
    settings = asdict(order.solve)
    if not order.close_ups:  # as it was before there were any
        del settings["close_up_offset"]
    return settings if order.is_take else {name: value for name, value in settings.items() if name not in _OF_TAKES}


def take_digests(videos: Sequence[str], all_may_fail: bool = False) -> list[str]:
    """One digest a video; a video that cannot be read counts by its fault. Raises VideoError where none can be, unless
    `all_may_fail`.
    """
    digests: list[str] = []
    faults: list[VideoError] = []
    for video in videos:
        try:
            digests.append(source_digest(Path(video)))
        except VideoError as fault:
            faults.append(fault)
            digests.append(fault.message)
    if len(faults) == len(digests) and not all_may_fail:
        raise faults[0]
    return digests


def source_digest(path: Path) -> str:
    """SHA-256 of a video's or clip's bytes, or of all images of a sequence with their names' order."""
    if not is_sequence(path):
        check_readable(path)
        return _read(path, "clip")
    digest = hashlib.sha256()
    for image in list_images(path):
        digest.update(_read(image, "image").encode())
    return digest.hexdigest()


def file_digest(path: Path, what: str) -> str:
    """SHA-256 of a file. Raises BadInputError, which says what the file is for, where it cannot be read."""
    if not path.is_file():
        raise BadInputError(f"There is no {what} {path}", "Check the path")
    return _read(path, what)


@cache
def weights_digest() -> str:
    """One hash over all networks, towers and the bank."""
    files = sorted(WEIGHTS_DIRECTORY.glob("*.safetensors"))
    return _hashed({path.name: sha256_of(path) for path in files})


def _read(path: Path, what: str) -> str:
    try:
        return sha256_of(path)
    except OSError as fault:
        raise VideoError(f"The {what} {path} cannot be read ({fault.strerror})", "Check its permissions") from fault


def _named(order: ClipTask, index: int, template: str) -> PlannedClip:
    fields = {
        "clip": _clip_word(order),
        "folder": "".join("_" if _is_stray(mark) else mark for mark in order.folder),
        "rig": Path(order.animate.rig).stem or "body",
        "range": _word(order.solve.range) or "all",
        "person": _word(order.solve.person),
        "quality": order.solve.quality,
        "index": f"{index:04d}",
    }
    try:
        text = (template or DEFAULT_TEMPLATE).format(**fields)
    except (KeyError, IndexError, ValueError, AttributeError):
        text = DEFAULT_TEMPLATE.format(**fields)
        fault = Fault(
            BadInputError.code, f"The name {order.name!r} has a field that there is not", f"Fields: {_FIELDS}"
        )
        order = replace(order, trouble=order.trouble or fault)
    parts = [part.strip() for part in text.replace("\\", "/").split("/")]
    parts = [part for part in parts if part not in ("", ".", "..") and not part.startswith(".")]
    return PlannedClip(order, "/".join(short_name(part, _LONGEST_PART) for part in parts) or f"clip_{index:04d}")


def _alone(clip: PlannedClip, first: PlannedClip) -> PlannedClip:
    """The clip; with trouble, and a base of its own, when `first` has its name already. Case does not count."""
    if first is clip:
        return clip
    message = f"Its files would have the names of those of {first.order.source} ({clip.base})"
    fault = Fault(BadInputError.code, message, "Tell them apart with --name, for example {clip}_{rig}_{range}")
    mark = hashlib.sha256(repr(clip.order).encode()).hexdigest()[:6]
    order = replace(clip.order, trouble=clip.order.trouble or fault)
    return replace(clip, order=order, base=f"{clip.base} (again {mark})")


def _told_apart(planned: Sequence[PlannedClip]) -> list[PlannedClip]:
    groups: dict[str, list[PlannedClip]] = {}
    for clip in planned:
        groups.setdefault(clip.base.lower(), []).append(clip)
    return [_with_differences(clip, groups[clip.base.lower()]) for clip in planned]


def _with_differences(clip: PlannedClip, group: Sequence[PlannedClip]) -> PlannedClip:
    if len(group) == 1 or clip.order.name:
        return clip
    aspects = [
        [Path(one.order.animate.rig).stem or "body" for one in group],
        [_word(one.order.solve.range) or "all" for one in group],
        [_word(one.order.solve.person) for one in group],
    ]
    place = next(index for index, one in enumerate(group) if one is clip)
    words = [values[place] for values in aspects if len(set(values)) > 1]
    path = PurePosixPath(clip.base)
    return replace(clip, base=str(path.with_name(short_name("_".join([path.name, *words]), _LONGEST_PART))))


def _clip_word(order: ClipTask) -> str:
    if order.word:
        return _word(order.word) or "take"
    name = Path(order.source).name
    stem = name if Path(order.source).is_dir() else Path(name).stem
    return _word(stem) or "clip"


def _word(text: str) -> str:
    """A text as part of a file's name on every system."""
    kept = "".join("_" if mark in '<>:"/\\|?*#%' or ord(mark) < 32 or _is_stray(mark) else mark for mark in text)
    return kept.strip(" ._") if kept.strip(" ._") else ""


def _is_stray(mark: str) -> bool:
    """Whether this stands for a byte of a name that is not UTF-8: no other program could read such a name."""
    return 0xD800 <= ord(mark) <= 0xDFFF


def _hashed(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


class Hasher:
    """Gives clips their keys in the order in which they come."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[PlannedClip, Future[PlannedClip]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="hash", daemon=True).start()

    def submit(self, clip: PlannedClip) -> Future[PlannedClip]:
        """The clip with its keys, some time; the future raises what `with_keys` raises."""
        future: Future[PlannedClip] = Future()
        self._waiting.put((clip, future))
        return future

    def _work(self) -> None:
        while True:
            clip, future = self._waiting.get()
            try:
                future.set_result(with_keys(clip))
            except Exception as fault:  # whoever asked decides what it means
                future.set_exception(fault)
