"""What processes of this program have in common. Standard library only."""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def end_with_parent() -> bool:
    """On Linux, have the kernel kill this process when its parent ends, even while native code holds the interpreter.

    False on systems that cannot: the caller has to look after its parent itself.
    """
    if not sys.platform.startswith("linux"):
        return False
    return int(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)) == 0
