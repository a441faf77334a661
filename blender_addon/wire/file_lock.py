"""The lock that a backend holds on its data folder, and by which a client knows that one works there. stdlib only.

The operating system lets go of it when its holder ends, however it ends.
"""

from __future__ import annotations

import os
import sys

LOCK_FILE = "lock"


def lock_now(descriptor: int) -> None:
    """Lock an open file for this process alone. Raises OSError at once where another process holds it."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
