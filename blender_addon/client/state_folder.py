"""A folder of its own for each local backend: two Blenders share a profile, and one backend holds one folder. stdlib.

The backend locks `service/lock` in its folder for as long as it lives (`backend.server.folder_lock`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_MOST = 32


def free_state_dir(first: Path) -> Path:
    """`first`, or where another backend works in it, the first of `first-2`, `first-3`, ... in which none does.

    With all of them taken it is `first`: the backend then says who holds it.
    """
    others = (first.with_name(f"{first.name}-{number}") for number in range(2, _MOST + 1))
    return next((folder for folder in (first, *others) if not _is_held(folder / "service" / "lock")), first)


def _is_held(lock: Path) -> bool:
    """Whether a living process holds the lock; a file that a dead one left is free."""
    try:
        with lock.open("r+b") as stream:
            _try_to_lock(stream.fileno())  # closing the file lets it go again
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _try_to_lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
