"""A bank larger than memory: a folder of memory-mapped arrays made block by block. numpy only.

`bank.json` (what it is), `rotations_wxyz.npy` (P, J, 4) and, a row a candidate, `pose.npy` (N,), `view_wxyz.npy` (N, 4)
and `embeddings.npy` (N, E), both half precision. Opened, it is a `PoseBank` whose arrays stay on disk, so that the
exact searcher reads them block by block; `disk_index.py` adds an index that reads a fraction of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bank.bank_file import PoseBank
from backend.bank.candidates import Candidates, ViewRange, make_candidates
from backend.embedding.towers_onnx import Towers
from backend.errors import BadInputError, OutputError, WeightsError
from backend.keypoint_layouts import CANONICAL_BODY, HUMAN36M
from backend.types import Array

FORMAT = "marionet-large-bank"
VERSION = 1
HEADER_FILE = "bank.json"
_REMEDY = "Build it again with `python -m backend bank build --large`"
_BLOCK = 65536


@dataclass(frozen=True, slots=True)
class LargeSettings:
    """`size` candidates, `views` of each pose; `block` candidates are in memory at once."""

    size: int
    views: int
    seed: int = 0
    block: int = _BLOCK


def build_large_bank(
    poses_wxyz: Array,
    towers: Towers,
    settings: LargeSettings,
    folder: Path,
    provenance: dict[str, str],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Views of world-rooted poses (P, J, 4), embedded and written block by block; returns how many candidates.

    Raises BadInputError for nothing to build from, OutputError when the disk refuses.
    """
    total = min(settings.size, len(poses_wxyz) * settings.views)
    if total < 1:
        raise BadInputError("no poses to build a bank from", "Give a folder with .bvh or .amc + .asf files")
    rng = np.random.default_rng(settings.seed)
    at_once = max(1, settings.block // settings.views)
    order = rng.permutation(len(poses_wxyz))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / HEADER_FILE).unlink(missing_ok=True)  # no header, no bank: a build that stops leaves none
        _make_arrays(folder, total, len(poses_wxyz), towers.weights.embedding_size)
        done = 0
        for start in range(0, len(order), at_once):
            rows = order[start : start + at_once]
            made = make_candidates(poses_wxyz[rows], settings.views, ViewRange(), rng)
            count = min(len(made), total - done)
            _write(folder / "rotations_wxyz.npy", start, made.rotations_wxyz)
            _write(folder / "pose_joints_m.npy", start, made.pose_joints_m)
            if count:
                keep = slice(0, count)
                _write(folder / "pose.npy", done, made.pose[keep] + start)
                _write(folder / "view_wxyz.npy", done, made.view_wxyz[keep])
                _write(folder / "embeddings.npy", done, towers.embed_poses(made.joints_m(keep)))
                done += count
                progress(done, total)
        header = {"format": FORMAT, "version": VERSION, "candidates": done, "tower_hash": towers.weights.pose_hash}
        (folder / HEADER_FILE).write_text(json.dumps({**header, "provenance": provenance}, indent=1), encoding="utf-8")
    except OSError as fault:
        raise OutputError(
            f"{folder} cannot be written ({fault})", "Free some space or choose another folder"
        ) from fault
    return done


def open_large_bank(folder: Path, tower_hash: str | None = None) -> PoseBank:
    """Open a bank without reading it. Raises WeightsError for a missing, incomplete or foreign folder, and for one of
    another tower.
    """
    try:
        header: dict[str, Any] = json.loads((folder / HEADER_FILE).read_text(encoding="utf-8"))
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise WeightsError(f"{folder} is not a large Marionet bank of version {VERSION}", _REMEDY)
        rotations, pose, view, embeddings = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in ("rotations_wxyz", "pose", "view_wxyz", "embeddings")
        )
    except (OSError, ValueError) as fault:
        raise WeightsError(f"{folder} is not a complete large bank ({fault})", _REMEDY) from fault
    if not len(pose) == len(view) == len(embeddings) == header["candidates"]:
        raise WeightsError(
            f"{folder} holds {len(pose)} poses and {len(embeddings)} embeddings, not {header['candidates']}", _REMEDY
        )
    if tower_hash is not None and header["tower_hash"] != tower_hash:
        raise WeightsError(
            f"{folder} was embedded by pose tower {header['tower_hash']}, the loaded tower is {tower_hash}", _REMEDY
        )
    candidates = Candidates(rotations, np.load(folder / "pose_joints_m.npy", mmap_mode="r"), pose, view)
    return PoseBank(candidates, embeddings, header["tower_hash"], header["provenance"])


def _make_arrays(folder: Path, candidates: int, poses: int, dimensions: int) -> None:
    shapes: dict[str, tuple[tuple[int, ...], type]] = {
        "rotations_wxyz": ((poses, CANONICAL_BODY.count, 4), np.float32),
        "pose_joints_m": ((poses, HUMAN36M.count, 3), np.float32),
        "pose": ((candidates,), np.int32),
        "view_wxyz": ((candidates, 4), np.float16),
        "embeddings": ((candidates, dimensions), np.float16),
    }
    for name, (shape, kind) in shapes.items():
        _mapped(folder / f"{name}.npy", mode="w+", dtype=kind, shape=shape).flush()


def _mapped(path: Path, **how: Any) -> np.memmap:
    return np.lib.format.open_memmap(path, **how)  # type: ignore[no-untyped-call]


def _write(path: Path, start: int, rows: Array | NDArray[np.integer]) -> None:
    """Rows from `start` on; the file is mapped for this block only, so that written pages do not pile up."""
    whole = _mapped(path, mode="r+")
    whole[start : start + len(rows)] = rows
    whole.flush()
