"""A folder of mocap as one library of canonical takes, split by subject. numpy only.

Folders of known collections name their subjects by file name; any other file is its own subject.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from backend.datasets.mocap import load_motion, turns_deg
from backend.datasets.motion import MocapError, Motion
from backend.datasets.straight_knees import with_straight_knees

log = logging.getLogger(__name__)

HELD_OUT_SUBJECTS = ("cmu_05", "cmu_09", "cmu_16", "cmu_127", "hdm05_bd", "hdm05_tr")
"""Never trained on: the evaluation of unseen subjects."""
NOT_IN_BANKS = ("hdm05",)
"""Collections under share-alike terms: their poses stay out of any bank."""

_COLLECTION_FPS = {"cmu_asfamc": 30.0, "hdm05_asfamc": 30.0}
_MAX_TURN_DEG = 80.0
_MIN_FRAMES = 12


@dataclass(frozen=True, slots=True)
class MotionLibrary:
    """Takes that passed the checks, and (path, reason) of those that did not."""

    takes: tuple[Motion, ...]
    refused: tuple[tuple[str, str], ...]

    def training(self) -> tuple[Motion, ...]:
        """The takes of subjects that may be trained on."""
        return tuple(take for take in self.takes if not is_held_out(take))

    def for_banks(self, every_subject: bool = False) -> tuple[Motion, ...]:
        """The takes whose poses a bank may hold: those of training, or of every subject, that may be passed on."""
        takes = self.takes if every_subject else self.training()
        return tuple(take for take in takes if not take.subject.startswith(NOT_IN_BANKS))

    def held_out(self) -> tuple[Motion, ...]:
        """The takes of subjects that were never trained on."""
        return tuple(take for take in self.takes if is_held_out(take))


def is_held_out(take: Motion) -> bool:
    """Whether a take belongs to the evaluation's unseen subjects."""
    return take.subject in HELD_OUT_SUBJECTS


def read_library(root: Path, *, fps: float = 30.0) -> MotionLibrary:
    """Read every .bvh and .amc below `root`, resampled by whole steps to about `fps`; damaged takes are listed."""
    takes: list[Motion] = []
    refused: list[tuple[str, str]] = []
    seen: set[tuple[object, ...]] = set()
    for path in _files(root):
        collection = path.relative_to(root).parts[0]
        subject = _subject(path, collection)
        try:
            take = load_motion(path, fps=_COLLECTION_FPS.get(collection), subject=subject)
            parts = clean_parts(take)
        except MocapError as fault:
            refused.append((str(path), str(fault)))
            continue
        for part in (_thinned(part, fps) for part in parts):
            # the same take occurs in several collections under other names: equal length and pose is the same take
            key = (len(part), *np.round(part.rotations_wxyz[len(part) // 2, :6], 3).ravel())
            if key not in seen:
                seen.add(key)
                takes.append(part)
    if not takes:
        raise MocapError(
            f"{root} holds no readable mocap ({len(refused)} refused)", "Give a folder with .bvh or .amc + .asf files"
        )
    return MotionLibrary(with_straight_knees(takes), tuple(refused))


def clean_parts(take: Motion) -> list[Motion]:
    """Cut a take where a joint flips between frames; parts of a few frames are dropped.

    Raises MocapError for NaN and for takes of which nothing remains.
    """
    if not (np.isfinite(take.rotations_wxyz).all() and np.isfinite(take.root_m).all()):
        raise MocapError(f"{take.source}: NaN in the motion", "Clean the take and export it again")
    flips = np.flatnonzero(turns_deg(take) > _MAX_TURN_DEG) + 1
    bounds = [0, *flips.tolist(), len(take)]
    parts = [
        Motion(take.rotations_wxyz[a:b], take.root_m[a:b], take.fps, take.subject, take.action, take.source)
        for a, b in pairwise(bounds)
        if b - a >= _MIN_FRAMES
    ]
    if not parts:
        raise MocapError(f"{take.source}: no {_MIN_FRAMES} frames in a row without a flip", "Clean the take")
    return parts


def _files(root: Path) -> Iterator[Path]:
    yield from sorted(path for path in root.rglob("*") if path.suffix.lower() in (".bvh", ".amc") and path.is_file())


def _subject(path: Path, collection: str) -> str:
    if collection.startswith("hdm05"):
        return f"hdm05_{path.stem.split('_')[1]}"
    number = (
        re.search(r"subjects_(\d+)_", path.stem)
        or re.match(r"(\d+)[_-]", path.stem)
        or re.search(r"_(\d+)_\d+$", path.stem)
    )
    if collection.startswith("cmu") and number:
        return f"cmu_{int(number.group(1)):02d}"
    if collection == "cmu_bvh_daz":
        return "cmu_" + path.stem.split("_")[-2]
    return f"{collection}_{path.stem}"


def _thinned(take: Motion, fps: float) -> Motion:
    step = max(1, round(take.fps / fps))
    return Motion(
        take.rotations_wxyz[::step].astype(np.float32),
        take.root_m[::step].astype(np.float32),
        take.fps / step,
        take.subject,
        take.action,
        take.source,
    )
