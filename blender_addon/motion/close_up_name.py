"""Which videos are close-ups by their names. stdlib only."""

from __future__ import annotations

import re
from pathlib import PurePath

_CLOSE_UP = re.compile(r"close[ _-]?up", re.IGNORECASE)


def is_close_up_name(name: str) -> bool:
    """Whether a file is called a close-up: `face_closeup.mp4`, `close-up 2.mov`, `FaceCloseUp.mp4`."""
    return _CLOSE_UP.search(PurePath(name).stem) is not None
