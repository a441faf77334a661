"""Where clips go: checked before the work begins, written whole at its end. `backend.errors`, `motion.clip`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from backend.errors import OutputError
from blender_addon.motion.clip import MotionClip, write_clip

_SPACE = "Free some space or choose another folder"


def check_output(output: Path) -> None:
    """Raise OutputError where a clip could not be written, before hours of work are spent."""
    if output.suffix.lower() != ".npz":
        raise OutputError(f"The clip {output} does not end in .npz", "Name it, for example, take.npz")
    check_writable(output)


def check_writable(output: Path) -> None:
    """Raise OutputError where a file of that name could not be made."""
    if output.is_dir():
        raise OutputError(f"{output} is a folder", "Give the name of a file")
    if not output.parent.is_dir():
        raise OutputError(f"There is no folder {output.parent}", "Make it first, or choose another")
    try:
        with tempfile.TemporaryFile(dir=output.parent, prefix=".marionet") as probe:
            probe.write(bytes(4096))
    except OSError as fault:
        raise OutputError(
            f"{output.parent} cannot be written to ({fault.strerror})", "Choose another folder"
        ) from fault


def write_clips(clips: Sequence[MotionClip], output: Path) -> tuple[Path, ...]:
    """Write one clip as `output`, several as `name.0.npz`, `name.1.npz`. Raises OutputError where the disk refuses."""
    many = len(clips) > 1
    paths = tuple(output.with_suffix(f".{i}{output.suffix}") if many else output for i in range(len(clips)))
    for clip, path in zip(clips, paths, strict=True):
        try:
            write_clip(clip, path)
        except OSError as fault:
            raise OutputError(f"The clip {path} cannot be written ({fault.strerror})", _SPACE) from fault
    return paths
