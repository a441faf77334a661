"""Names of what a batch keeps for itself below `.batch`, and how solved clips are put there and found again.

May import stdlib, `backend.batch`, `backend.errors` and `blender_addon.motion`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from backend.batch.storage import STATE, Storage
from backend.errors import MarionetError, OutputError


def record_name(base: str) -> str:
    """Where a clip's record lies: readable, and of one kind of letters on every disk."""
    mark = hashlib.sha256(base.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    readable = short_name(PurePosixPath(base).name, 150)
    return f"{STATE}/records/{readable}-{mark}.json"


def short_name(name: str, most_bytes: int) -> str:
    """A name cut to `most_bytes` of UTF-8, with a mark of the whole at its end where it was cut."""
    raw = name.encode("utf-8", "surrogatepass")
    if len(raw) <= most_bytes:
        return name
    mark = hashlib.sha256(raw).hexdigest()[:6]
    return f"{raw[: most_bytes - 7].decode('utf-8', 'ignore')}~{mark}"


def thumbnail_name(solve_key: str) -> str:
    """Where a clip's thumbnail lies: a JSON object with base64 in it."""
    return f"{STATE}/thumbnails/{solve_key[:32]}.json"


@dataclass(frozen=True, slots=True)
class CachedThumbnail:
    """A thumbnail as the page needs it: base64 of a small mp4 (or empty) and of JPEG images."""

    video: str
    images: tuple[str, ...]


def read_thumbnail(storage: Storage, solve_key: str) -> CachedThumbnail | None:
    """A clip's thumbnail; None where there is none or it is damaged."""
    try:
        raw = storage.read(thumbnail_name(solve_key))
        record = json.loads(raw) if raw else None
        return CachedThumbnail(str(record["film"]), tuple(map(str, record["pictures"]))) if record else None
    except (MarionetError, ValueError, KeyError, TypeError):
        return None


def solved_name(solve_key: str, person: int) -> str:
    """Where one person's solved clip lies."""
    return f"{STATE}/solved/{solve_key[:32]}.{person}.npz"


def keep_solved(storage: Storage, solve_key: str, clips: Sequence[Path]) -> None:
    """Put solved clips there; the list comes last, so that a list means that all of it is there."""
    for person, clip in enumerate(clips):
        storage.put(clip, solved_name(solve_key, person))
    storage.write(_list_name(solve_key), json.dumps({"people": len(clips)}).encode())


def people_solved(storage: Storage, solve_key: str) -> int:
    """How many people of a clip are solved; 0 when it is not (or no longer) solved."""
    try:
        raw = storage.read(_list_name(solve_key))
        people = int(json.loads(raw)["people"]) if raw else 0
    except (MarionetError, ValueError, KeyError, TypeError):
        return 0
    return people if all(storage.size(solved_name(solve_key, person)) for person in range(people)) else 0


def fetch_solved(storage: Storage, solve_key: str, folder: Path) -> list[Path]:
    """Copies of a clip's solved people in a local folder. Raises OutputError when they are gone."""
    people = people_solved(storage, solve_key)
    if not people:
        raise OutputError(f"The solved clip {solved_name(solve_key, 0)} is gone", "Run again: it will be solved anew")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"person.{person}.npz" for person in range(people)]
    for person, path in enumerate(paths):
        storage.get(solved_name(solve_key, person), path)
    return paths


def forget_solved(storage: Storage, solve_key: str) -> None:
    """Let a clip be solved anew, and its thumbnail made anew."""
    storage.remove(_list_name(solve_key))
    storage.remove(thumbnail_name(solve_key))


def _list_name(solve_key: str) -> str:
    return f"{STATE}/solved/{solve_key[:32]}.json"
