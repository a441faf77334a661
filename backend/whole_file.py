"""Files that are there whole or not at all. stdlib only."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed over it at the end of the block; removed where the block fails.

    A file that was there before stays as it was until then. Raises OSError where the disk refuses.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}"[-250:])
    try:
        yield temporary
        with temporary.open("r+b") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
