"""The motion clip: one person's solved motion, and its file (`.npz`, format version 1, `docs/clip_format.md`).

May import numpy and its own room only. Shapes: T frames, J joints of the canonical body, K keypoints.
Frames without the person hold NaN in every motion array and 0 in `confidence`.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

CLIP_FORMAT_VERSION = 1


class ClipError(ValueError):
    """A clip file that cannot be read or written; the message names the file, the fault and the remedy."""


@dataclass(frozen=True, slots=True)
class ClipHeader:
    """What a clip says about itself; written as JSON beside the arrays."""

    source: str = ""
    source_width: int = 0
    source_height: int = 0
    source_fps: float = 0.0
    person: int = 0
    body_height_m: float = 1.70
    body_height_source: str = "assumed"
    intrinsics_source: str = "assumed"
    gravity_source: str = ""
    gravity_uncertainty_deg: float = 0.0
    camera_moves: bool = False
    cuts_s: tuple[float, ...] = ()
    model: str = ""
    quality: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MotionClip:
    """One person's motion.

    times_s (T,) presentation times of the source, strictly increasing.
    rotations_wxyz (T, J, 4) local rotations on the canonical body; joint 0 holds the root orientation in the world
    (Z up, metres, the floor at z = 0, the world's X along the camera's right of the first frame).
    root_world_m (T, 3) pelvis position in the world; root_camera_m (T, 3) the same in the camera.
    joints_camera_m (T, 17, 3) the Human3.6M joints in OpenCV camera coordinates (x right, y down, z forward).
    keypoints_px (T, K, 2) and keypoint_confidence (T, K): detected points in pixels of the upright frame.
    confidence (T,) 0..1; score (T,) of the best candidate; margin (T,) to the best candidate that differs.
    contacts (T, 4) probability that left heel, left toe, right heel, right toe stand on the ground.
    intrinsics K (3, 3) in px; world_from_camera (T, 4, 4); bone_scales (J,) of the person's body shape.
    """

    times_s: Array
    rotations_wxyz: Array
    root_world_m: Array
    root_camera_m: Array
    joints_camera_m: Array
    keypoints_px: Array
    keypoint_confidence: Array
    confidence: Array
    score: Array
    margin: Array
    contacts: Array
    intrinsics: Array
    world_from_camera: Array
    bone_scales: Array
    body_joint_names: tuple[str, ...]
    joint_names: tuple[str, ...]
    keypoint_names: tuple[str, ...]
    header: ClipHeader

    def __len__(self) -> int:
        return len(self.times_s)


_ARRAYS = (
    "times_s",
    "rotations_wxyz",
    "root_world_m",
    "root_camera_m",
    "joints_camera_m",
    "keypoints_px",
    "keypoint_confidence",
    "confidence",
    "score",
    "margin",
    "contacts",
    "intrinsics",
    "world_from_camera",
    "bone_scales",
)
_NAMES = ("body_joint_names", "joint_names", "keypoint_names")


def check_clip(clip: MotionClip) -> None:
    """Raise ClipError when shapes disagree, times do not increase, or rotations are not unit quaternions."""
    frames, joints = len(clip.times_s), len(clip.body_joint_names)
    expected = {
        "times_s": (frames,),
        "rotations_wxyz": (frames, joints, 4),
        "root_world_m": (frames, 3),
        "root_camera_m": (frames, 3),
        "joints_camera_m": (frames, len(clip.joint_names), 3),
        "keypoints_px": (frames, len(clip.keypoint_names), 2),
        "keypoint_confidence": (frames, len(clip.keypoint_names)),
        "confidence": (frames,),
        "score": (frames,),
        "margin": (frames,),
        "contacts": (frames, 4),
        "intrinsics": (3, 3),
        "world_from_camera": (frames, 4, 4),
        "bone_scales": (joints,),
    }
    for name, shape in expected.items():
        actual = np.shape(getattr(clip, name))
        if actual != shape:
            raise ClipError(f"clip array {name} has shape {actual}, expected {shape}")
    if frames > 1 and not (np.diff(clip.times_s) > 0).all():
        raise ClipError("clip times_s must increase from frame to frame")
    norm = np.linalg.norm(clip.rotations_wxyz, axis=-1)
    if np.nanmax(np.abs(norm - 1.0), initial=0.0) > 1e-3:
        raise ClipError("clip rotations_wxyz must be unit quaternions")


def write_clip(clip: MotionClip, path: Path) -> None:
    """Write a clip whole or not at all: a temporary file beside `path` is renamed over it.

    Raises ClipError when the clip is malformed, OSError when the disk refuses.
    """
    check_clip(clip)
    payload = clip_to_bytes(clip)
    # not mkstemp: its files are for their owner alone, and a clip in a shared folder is for everyone who may read there
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as stream:
            stream.write(payload)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def clip_to_bytes(clip: MotionClip) -> bytes:
    """The file's bytes: an uncompressed-name, compressed-data npz with the header as one JSON string array."""
    header = {"format": "marionet-clip", "version": CLIP_FORMAT_VERSION, **asdict(clip.header)}
    arrays = {name: np.asarray(getattr(clip, name)) for name in _ARRAYS}
    names = {name: np.array(getattr(clip, name)) for name in _NAMES}
    stream = io.BytesIO()
    np.savez_compressed(stream, header=np.array(json.dumps(header)), **arrays, **names)
    return stream.getvalue()


def read_clip(path: Path | BinaryIO) -> MotionClip:
    """Read a clip file. Raises ClipError for a foreign, truncated, malformed or newer file."""
    # read whole: np.load leaves a damaged file open, and Windows cannot delete an open file
    stream = io.BytesIO(path.read_bytes()) if isinstance(path, Path) else path
    try:
        with np.load(stream, allow_pickle=False) as data:
            header = json.loads(str(data["header"]))
            _check_version(header, path)
            parts: dict[str, Any] = {name: data[name] for name in _ARRAYS}
            parts |= {name: tuple(str(item) for item in data[name]) for name in _NAMES}
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as fault:
        if isinstance(fault, ClipError):
            raise
        raise ClipError(f"{path} is not a readable Marionet clip ({fault}); solve the video again") from fault
    clip = MotionClip(header=_header_from_record(header), **parts)
    check_clip(clip)
    return clip


def _check_version(header: dict[str, object], path: object) -> None:
    if header.get("format") != "marionet-clip":
        raise ClipError(f"{path} is an npz file but not a Marionet clip")
    if header.get("version") != CLIP_FORMAT_VERSION:
        raise ClipError(
            f"{path} has clip format version {header.get('version')}, this program reads {CLIP_FORMAT_VERSION}; "
            "update Marionet on this side or solve the video again"
        )


def _header_from_record(record: dict[str, object]) -> ClipHeader:
    known = {key: value for key, value in record.items() if key in ClipHeader.__dataclass_fields__}
    for key in ("cuts_s", "warnings"):
        if key in known:
            known[key] = tuple(known[key])  # type: ignore[arg-type]
    return ClipHeader(**known)  # type: ignore[arg-type]
