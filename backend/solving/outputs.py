"""Where clips go: checked before the work begins, written whole at its end.

May import `backend.errors`, `backend.video.sequence`, `motion.clip`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from backend.errors import OutputError
from backend.video.sequence import is_sequence, list_images
from blender_addon.motion.clip import MotionClip, write_clip
from blender_addon.wire.windows_paths import LONGEST_PATH, is_too_long

# what is written beside an output while it is made has a name that is so much longer
_BESIDE_CHARACTERS = 20
_SPACE = "Free some space or choose another folder"


def check_output(output: Path) -> None:
    """Raise OutputError where a clip could not be written, before hours of work are spent."""
    if output.suffix.lower() != ".npz":
        raise OutputError(f"The clip {output} does not end in .npz", "Name it, for example, take.npz")
    check_writable(output)
    try:
        output.with_name(f"{output.name}.partial").exists()  # the checkpoint's name is longer than the clip's
    except OSError as fault:
        raise OutputError(f"{output} cannot be written ({fault.strerror})", "Choose a shorter name") from fault


def check_writable(output: Path) -> None:
    """Raise OutputError where a file of that name could not be made."""
    check_length(output)
    try:
        if output.is_dir():
            raise OutputError(f"{output} is a folder", "Give the name of a file")
        if not output.parent.is_dir():
            raise OutputError(f"There is no folder {output.parent}", "Make it first, or choose another")
        output.exists()  # a name that is too long for the disk is refused here
        with tempfile.TemporaryFile(dir=output.parent, prefix=".marionet") as probe:
            probe.write(bytes(4096))
    except OSError as fault:
        raise OutputError(f"{output} cannot be written ({fault.strerror})", "Choose another name or folder") from fault


def check_length(output: Path, long_paths: bool | None = None, platform: str = sys.platform) -> None:
    """Raise OutputError for a path that Windows would call missing because it is too long."""
    if is_too_long(output.absolute(), _BESIDE_CHARACTERS, long_paths, platform):
        most = LONGEST_PATH - _BESIDE_CHARACTERS
        raise OutputError(
            f"The path {output.absolute()} has {len(str(output.absolute()))} characters, Windows takes {most} here",
            "Choose a folder with a shorter path, or turn on long paths as docs/how_to/install.md says",
        )


def check_apart(source: Path, outputs: Sequence[Path]) -> None:
    """Raise OutputError where an output is the video itself, one of its images, or another output."""
    try:
        images = list_images(source) if is_sequence(source) or not source.exists() else (source,)
    except OSError:
        images = ()  # it cannot be opened either, which is told better where it is tried
    taken = {path.resolve(): "is the video itself" for path in images}
    for output in outputs:
        known = taken.get(output.resolve()) or next(
            (what for path, what in taken.items() if output.exists() and path.exists() and output.samefile(path)), None
        )
        if known is not None:
            raise OutputError(f"{output} {known}", "Choose another name")
        taken[output.resolve()] = "is named for two outputs"


def check_ending(output: Path, endings: Sequence[str]) -> None:
    """Raise OutputError for a name whose ending is not the kind of file that is written."""
    if output.suffix.lower() not in endings:
        raise OutputError(f"{output} does not end in {' or '.join(endings)}", f"Name it, for example, look{endings[0]}")


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
