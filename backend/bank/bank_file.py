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

from backend.bank.candidates import Candidates, unturned_joints_m
from backend.errors import WeightsError
from backend.files import whole_file
from backend.types import Array
from blender_addon.motion.rotations import quaternion_to_rotvec, rotvec_to_quaternion

FORMAT = "marionet-bank"
VERSION = 2
_TURN_UNIT = 32767.0 / np.pi
_LEVELS = 127.0
_REMEDY = "Build it again with `python -m backend bank build`"


@dataclass(frozen=True, slots=True)
class PoseBank:
    """Candidates with embeddings (N, E) made by the pose tower `tower_hash`, and their provenance."""

    candidates: Candidates
    embeddings: Array
    tower_hash: str
    provenance: dict[str, str]

    def __len__(self) -> int:
        return len(self.candidates)


def write_bank(bank: PoseBank, path: Path) -> None:
    """Write a bank: rotations as 16-bit rotation vectors (0.006 degrees), embeddings as 8-bit levels of each dimension.

    Joints are left out: forward kinematics gives them back. Embeddings come back on the levels, so a bank that is
    written and read again scores as the file does.
    """
    candidates = bank.candidates
    embeddings = np.asarray(bank.embeddings, np.float32)
    scale = np.maximum(np.abs(embeddings).max(axis=0, initial=0.0), 1e-6) / _LEVELS
    tensors: dict[str, NDArray[Any]] = {
        "rotations": _quantised(candidates.rotations_wxyz),
        "pose": candidates.pose.astype(np.uint16 if len(candidates.rotations_wxyz) <= 1 << 16 else np.int32),
        "view": _quantised(candidates.view_wxyz),
        "embeddings": np.rint(embeddings / scale).astype(np.int8),
        "embedding_scale": scale.astype(np.float32),
    }
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "tower_hash": bank.tower_hash,
        "provenance": json.dumps(bank.provenance),
    }
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata=header)


def read_bank(path: Path, tower_hash: str | None = None) -> PoseBank:
    """Read a bank. Raises WeightsError for a missing, truncated, foreign or empty file and a bank of another tower."""
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT or header.get("version") != str(VERSION):
                raise WeightsError(f"{path} is no Marionet bank of version {VERSION}", _REMEDY)
            tensors = {
                name: file.get_tensor(name) for name in ("rotations", "pose", "view", "embeddings", "embedding_scale")
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
    rotations = _expanded(tensors["rotations"])
    candidates = Candidates(
        rotations, unturned_joints_m(rotations), tensors["pose"].astype(np.intp), _expanded(tensors["view"])
    )
    embeddings = tensors["embeddings"].astype(np.float32) * tensors["embedding_scale"]
    return PoseBank(candidates, embeddings, header["tower_hash"], json.loads(header["provenance"]))


def _quantised(wxyz: Array) -> NDArray[np.int16]:
    turns = quaternion_to_rotvec(np.asarray(wxyz, np.float64))
    return np.rint(turns * _TURN_UNIT).astype(np.int16)


def _expanded(stored: NDArray[np.int16]) -> Array:
    return rotvec_to_quaternion(stored.astype(np.float32) / np.float32(_TURN_UNIT)).astype(np.float32)
