"""From the words on the command line to clip orders: files, folders, globs, manifests. stdlib, `backend.video`.

What is no clip is passed over in a folder and a glob; what is named outright is tried, and told when it fails.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from backend.batch.manifest import read_manifest
from backend.batch.take_folders import VIDEO_SUFFIXES, joined_takes
from backend.batch.tasks import ClipTask, Fault
from backend.errors import BadInputError
from backend.video.image_file import IMAGE_SUFFIXES
from blender_addon.motion.read_motion_file import MOTION_ENDINGS, SCENE_ENDINGS

_MANIFESTS: Final = frozenset({".csv", ".json"})
# motion that a folder is searched for: there are many other .pt and .pkl files
_IN_FOLDERS: Final = frozenset({".npz", ".bvh"})
_WILD: Final = frozenset("*?[")


def collect(words: Sequence[str], template: ClipTask, out: str, takes: bool = False) -> list[ClipTask]:
    """The orders of all words, each once, in a stable order. `template` holds what they share. With `takes` those
    videos that lie together in one folder are one take; a manifest says for itself which are.

    Files below the output folder are no input. Raises BadInputError for a manifest that cannot be read and where
    there is nothing to convert at all.
    """
    outside = None if "://" in out else Path(out).resolve()
    found: dict[ClipTask, None] = {}
    of_manifests: set[ClipTask] = set()
    for word in words:
        orders = list(_orders_of(word, template))
        kept = [order for order in orders if outside is None or outside not in Path(order.source).resolve().parents]
        if not kept:
            fault = Fault("bad_input", f"{word} holds no clip", f"Give videos ({', '.join(sorted(VIDEO_SUFFIXES))})")
            kept = [replace(template, source=word, trouble=fault)]
        found |= dict.fromkeys(kept)
        of_manifests |= set(kept) if _is_manifest(Path(word).expanduser()) else set()
    if not found:
        raise BadInputError("There is nothing to convert", "Name files, folders, patterns or a manifest")
    return joined_takes(list(found), of_manifests) if takes else list(found)


def _orders_of(word: str, template: ClipTask) -> Iterator[ClipTask]:
    path = Path(word).expanduser()
    if _is_manifest(path):
        yield from read_manifest(path, template)
    elif path.is_dir():
        yield from _in_folder(path, template)
    elif _WILD & set(word) and not path.exists():
        yield from _matching(path, template)
    else:
        yield replace(template, source=str(path.absolute()))


def _is_manifest(path: Path) -> bool:
    return path.suffix.lower() in _MANIFESTS and path.is_file()


def _in_folder(folder: Path, template: ClipTask) -> Iterator[ClipTask]:
    """Videos, solved clips and BVH below a folder, and folders that hold images and no video, as sequences."""
    videos = sorted(path for path in folder.rglob("*") if _is_video(path, folder))
    holders = {path.parent for path in videos}
    yield from (_below(path, folder, template) for path in videos)
    for place in sorted({folder, *(path for path in folder.rglob("*") if path.is_dir())}):
        if place not in holders and not _is_hidden(place, folder) and _holds_images(place):
            yield _below(place, folder, template)


def _matching(pattern: Path, template: ClipTask) -> Iterator[ClipTask]:
    text = str(pattern)
    fixed = Path(*_before_wild(pattern.parts))
    found = sorted(Path(match) for match in glob.glob(text, recursive=True))
    if found and all(path.suffix.lower() in IMAGE_SUFFIXES for path in found):
        yield replace(template, source=str(pattern.absolute()))  # images of one shot, not many clips
        return
    for path in found:
        if path.is_dir():
            yield from (
                replace(order, folder=_joined(path, fixed, order.folder)) for order in _in_folder(path, template)
            )
        elif path.suffix.lower() in VIDEO_SUFFIXES or path.suffix.lower() in (*MOTION_ENDINGS, *SCENE_ENDINGS):
            yield _below(path, fixed, template)


def _before_wild(parts: Sequence[str]) -> list[str]:
    fixed: list[str] = []
    for part in parts:
        if _WILD & set(part):
            break
        fixed.append(part)
    return fixed or ["."]


def _joined(path: Path, fixed: Path, below: str) -> str:
    return "/".join(part for part in (path.relative_to(fixed).as_posix(), below) if part not in ("", "."))


def _below(path: Path, folder: Path, template: ClipTask) -> ClipTask:
    place = path.parent.relative_to(folder).as_posix() if path != folder else ""
    return replace(template, source=str(path.absolute()), folder="" if place == "." else place)


def _is_video(path: Path, folder: Path) -> bool:
    known = path.suffix.lower() in VIDEO_SUFFIXES or path.suffix.lower() in _IN_FOLDERS
    return known and path.is_file() and not _is_hidden(path, folder)


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _holds_images(folder: Path) -> bool:
    return sum(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir()) > 1
