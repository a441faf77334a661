"""The checkpoint of a running solve: what was learnt from the video so far, so that a killed run can go on.

One npz file in a folder beside the output, replaced whole each time. numpy, stdlib, `backend.solving.request`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.files import whole_file
from backend.solving.request import SolveRequest
from backend.types import VideoInfo
from backend.video.sequence import is_sequence, list_images

log = logging.getLogger(__name__)

CHECKPOINT_VERSION: Final = 6
TRACKED: Final = "tracked.npz"
_SAMPLE_BYTES: Final = 1 << 20
Arrays = dict[str, NDArray[np.generic]]


class Checkpoint:
    """The state of one pass over a video, kept as `name` in `folder` for the request that `key` stands for."""

    def __init__(self, folder: Path, key: str, interval_s: float = 15.0, name: str = TRACKED) -> None:
        self.folder = folder
        self._name = name
        self._key = key
        self._interval_s = interval_s
        self._saved_at_s = time.monotonic()
        self._broken = False

    def beside(self, name: str, what: str) -> Checkpoint:
        """A checkpoint of another pass of the same run, in the same folder; `what` it depends on besides."""
        return Checkpoint(self.folder, f"{self._key} {what}", self._interval_s, name)

    @property
    def is_due(self) -> bool:
        """Whether the last save is long enough ago."""
        return not self._broken and time.monotonic() - self._saved_at_s >= self._interval_s

    def load(self) -> Arrays | None:
        """The state of an earlier run of the same request; None where there is none, or it is foreign or damaged."""
        path = self.folder / self._name
        if not path.is_file():
            return None
        try:
            # opened here: numpy leaves a damaged archive's file open
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
                if str(data["key"]) != self._key:
                    log.warning("%s belongs to another video, settings or version: starting anew", self.folder)
                    return None
                return {name: data[name] for name in data.files if name != "key"}
        except Exception as fault:  # zip, zlib and numpy each raise what they like for a damaged file
            log.warning("%s cannot be read (%s): starting anew", path, fault)
            return None

    def save(self, arrays: Arrays) -> None:
        """Replace the state. A disk that refuses ends the checkpoint with a warning; the solve itself goes on."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self.folder / self._name) as temporary, temporary.open("wb") as stream:
                np.savez(stream, key=np.array(self._key), **arrays)
        except OSError as fault:
            self._broken = True
            log.warning("No checkpoint for --resume: %s cannot be written (%s)", self.folder, fault.strerror)
        self._saved_at_s = time.monotonic()

    def discard(self) -> None:
        """Remove the checkpoint: the clip is written, or the run begins anew."""
        shutil.rmtree(self.folder, ignore_errors=True)


def open_checkpoint(request: SolveRequest, info: VideoInfo, device: str) -> Checkpoint:
    """The checkpoint beside the request's output; an earlier one is removed unless the request resumes."""
    checkpoint = Checkpoint(
        request.output.with_name(request.output.name + ".partial"), checkpoint_key(request, info, device)
    )
    if not request.resume:
        checkpoint.discard()
    return checkpoint


def checkpoint_key(request: SolveRequest, info: VideoInfo, device: str) -> str:
    """A hash of everything that the tracked state depends on: the video's bytes, the range, the networks."""
    record = {
        "version": CHECKPOINT_VERSION,
        "video": _fingerprint(info.path),
        "range": str(request.range),
        "slow_motion": request.slow_motion,
        "fps": info.fps,
        "network": request.quality.landmark_network.value,
        "max_people": request.max_people,
        "choice": request.person.choice.value,
        "device": device.split(":", maxsplit=1)[0],
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _fingerprint(path: Path) -> str:
    """Name-independent identity of a video: size with its first and last megabyte, or a sequence's names, sizes and
    times.
    """
    digest = hashlib.sha256()
    if is_sequence(path) or not path.is_file():
        for image in list_images(path):
            about = image.stat()
            digest.update(f"{image.name} {about.st_size} {about.st_mtime_ns} ".encode())
        return digest.hexdigest()
    size = path.stat().st_size
    digest.update(str(size).encode())
    with path.open("rb") as stream:
        digest.update(stream.read(_SAMPLE_BYTES))
        stream.seek(max(0, size - _SAMPLE_BYTES))
        digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()
