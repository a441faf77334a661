"""A folder of its own for each local backend: two Blenders share a profile, and one backend holds one folder.

stdlib and `wire` only. The backend locks `service/lock` in its folder for as long as it lives
(`backend.files`).
"""

from __future__ import annotations

from pathlib import Path

from ..wire.file_lock import LOCK_FILE, lock_now

_MOST = 32


def free_state_dir(first: Path) -> Path:
    """`first`, or where another backend works in it, the first of `first-2`, `first-3`, ... in which none does.

    With all of them taken it is `first`: the backend then says who holds it.
    """
    others = (first.with_name(f"{first.name}-{number}") for number in range(2, _MOST + 1))
    return next((folder for folder in (first, *others) if not _is_held(folder / "service" / LOCK_FILE)), first)


def _is_held(lock: Path) -> bool:
    """Whether a living process holds the lock; a file that a dead one left is free."""
    try:
        with lock.open("r+b") as stream:
            lock_now(stream.fileno())  # closing the file lets it go again
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
