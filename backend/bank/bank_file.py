"""The pose bank's file: candidates with embeddings as safetensors, tied to the tower that made them. numpy only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from backend.bank.candidates import Candidates
from backend.errors import WeightsError

Array = NDArray[np.floating]

FORMAT = "marionet-bank"
VERSION = 1
_QUATERNION_UNIT = 32767.0
_REMEDY = "Build it again with `python -m backend bank build`"


@dataclass(frozen=True, slots=True)
class PoseBank:
    """Candidates with embeddings (N, E) float16 made by the pose tower `tower_hash`, and their provenance."""

    candidates: Candidates
    embeddings: Array
    tower_hash: str
    provenance: dict[str, str]

    def __len__(self) -> int:
        return len(self.candidates)


def write_bank(bank: PoseBank, path: Path) -> None:
    """Write a bank; quaternions as 16-bit integers (0.003 degrees), joints and embeddings as float16."""
    candidates = bank.candidates
    tensors: dict[str, NDArray[Any]] = {
        "rotations_wxyz": _quantised(candidates.rotations_wxyz),
        "pose_joints_m": candidates.pose_joints_m.astype(np.float16),
        "pose": candidates.pose.astype(np.uint16 if len(candidates.rotations_wxyz) <= 1 << 16 else np.int32),
        "view_wxyz": _quantised(candidates.view_wxyz),
        "embeddings": np.ascontiguousarray(bank.embeddings, np.float16),
    }
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "tower_hash": bank.tower_hash,
        "provenance": json.dumps(bank.provenance),
    }
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata=header)
    partial.replace(path)


def read_bank(path: Path, tower_hash: str | None = None) -> PoseBank:
    """Read a bank. Raises WeightsError for a missing, truncated, foreign or empty file and a bank of another tower."""
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT or header.get("version") != str(VERSION):
                raise WeightsError(f"{path} is no Marionet bank of version {VERSION}", _REMEDY)
            tensors = {
                name: file.get_tensor(name)
                for name in ("rotations_wxyz", "pose_joints_m", "pose", "view_wxyz", "embeddings")
            }
    except FileNotFoundError as fault:
        raise WeightsError(f"{path} is missing", _REMEDY) from fault
    except (SafetensorError, OSError) as fault:
        raise WeightsError(f"{path} is damaged or no safetensors file ({fault})", _REMEDY) from fault
    if not len(tensors["pose"]):
        raise WeightsError(f"{path} holds no candidates", _REMEDY)
    if tower_hash is not None and header["tower_hash"] != tower_hash:
        raise WeightsError(
            f"{path} was embedded by pose tower {header['tower_hash']}, the loaded tower is {tower_hash}", _REMEDY
        )
    candidates = Candidates(
        _expanded(tensors["rotations_wxyz"]),
        tensors["pose_joints_m"].astype(np.float32),
        tensors["pose"].astype(np.intp),
        _expanded(tensors["view_wxyz"]),
    )
    return PoseBank(candidates, tensors["embeddings"], header["tower_hash"], json.loads(header["provenance"]))


def _quantised(wxyz: Array) -> NDArray[np.int16]:
    return np.rint(np.asarray(wxyz, np.float64) * _QUATERNION_UNIT).astype(np.int16)


def _expanded(stored: NDArray[np.int16]) -> Array:
    wxyz = stored.astype(np.float32) / np.float32(_QUATERNION_UNIT)
    return wxyz / np.linalg.norm(wxyz, axis=-1, keepdims=True)
