"""The motion clip: one person's solved motion, and its file (`.npz`, format version 1, `docs/clip_format.md`).

May import numpy and its own room only. Shapes: T frames, J joints of the canonical body, K keypoints.
Frames without the person hold NaN in every motion array and 0 in `confidence`.
"""

from __future__ import annotations

import io
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from .clip_cameras import ClipCamera, cameras_from_record
from .clip_groups import check_groups, group_arrays, read_groups
from .clip_warning import ClipWarning, warnings_from_record
from .face import FaceMotion
from .hands import HandMotion
from .npz_members import MemberSpec, member_names, read_members

Array = NDArray[np.floating]

CLIP_FORMAT_VERSION = 1
SOURCE_SETTING = "source"
"""The header's setting that says what a clip was made of where that was no video."""


class ClipError(ValueError):
    """A clip file that cannot be read or written; the message names the file and the fault, `remedy` what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class ClipHeader:
    """What a clip says about itself; written as JSON beside the arrays."""

    source: str = ""
    """Path of the video, as it was given."""
    source_width: int = 0
    """Width of the upright frame in px."""
    source_height: int = 0
    """Height of the upright frame in px."""
    source_fps: float = 0.0
    """Mean frames per second of life, after the slow-motion factor."""
    person: int = 0
    """Number of the file among the people solved."""
    body_height_m: float = 1.70
    """Height that scales the motion, in metres."""
    body_height_source: Literal["given", "assumed"] = "assumed"
    """`given` or `assumed`."""
    intrinsics_source: str = "assumed"
    """Where the camera is from, in words for the user."""
    gravity_source: str = ""
    """`given` or `found`; empty in a clip of version 0.7 or older."""
    gravity_uncertainty_deg: float = 0.0
    """How far off the direction of gravity may be, in degrees (one sigma)."""
    camera_moves: bool = False
    """Whether the background moved: the root's path then includes the camera's own."""
    cuts_s: tuple[float, ...] = ()
    """Times at which a new shot begins; nothing is smoothed across them."""
    unseen_parts: tuple[str, ...] = ()
    """Names of the body parts that are never in the image."""
    is_cyclic: bool = False
    """Whether the last frame is the first again, moved on over the floor by one cycle's travel."""
    model: str = ""
    """The pose model with its hash."""
    quality: str = ""
    """`fast`, `balanced` or `best`."""
    settings: dict[str, str] = field(default_factory=dict)
    """Range, smoothing, device and the like, as text."""
    figures: dict[str, float] = field(default_factory=dict)
    """Quality figures of this clip by name, with units in the names."""
    warnings: tuple[ClipWarning, ...] = ()
    """What the user should know; programs decide by the codes."""
    cameras: tuple[ClipCamera, ...] = ()
    """Every video of a take that was solved from several, in their order; empty for one video."""


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
    hands, face: fingers and expression, where they were asked for.
    body_contacts (T, 9) probability that each of `CONTACT_PARTS` touches the floor or a support, joint_confidence
    (T, J) 0 where a joint is not in the frame to 1 where it is seen, focal_scale (T,) of a lens that zooms: each
    frame's focal length over that of `intrinsics`. None in clips without them.
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
    hands: HandMotion | None = None
    face: FaceMotion | None = None
    body_contacts: Array | None = None
    joint_confidence: Array | None = None
    focal_scale: Array | None = None

    def __len__(self) -> int:
        return len(self.times_s)


# What a clip file may hold: more than two hours at 60 frames a second. The bound keeps a damaged or hostile file of a
# few megabytes from taking gigabytes.
MAX_CLIP_BYTES = 512 << 20
_MAX_HEADER_BYTES = 8 << 20
_MAX_NAMES_BYTES = 1 << 20
_MAX_NUMBER = 1e300

_SHAPES: dict[str, tuple[str | int, ...]] = {
    "times_s": ("T",),
    "rotations_wxyz": ("T", "J", 4),
    "root_world_m": ("T", 3),
    "root_camera_m": ("T", 3),
    "joints_camera_m": ("T", "H", 3),
    "keypoints_px": ("T", "K", 2),
    "keypoint_confidence": ("T", "K"),
    "confidence": ("T",),
    "score": ("T",),
    "margin": ("T",),
    "contacts": ("T", 4),
    "intrinsics": (3, 3),
    "world_from_camera": ("T", 4, 4),
    "bone_scales": ("J",),
}
# arrays that a clip may lack: other programs and earlier versions do not write them
_OPTIONAL: dict[str, tuple[str | int, ...]] = {
    "body_contacts": ("T", 9),
    "joint_confidence": ("T", "J"),
    "focal_scale": ("T",),
}
_NAMES: dict[str, tuple[str | int, ...]] = {
    "body_joint_names": ("J",),
    "joint_names": ("H",),
    "keypoint_names": ("K",),
}
_MEMBERS = {
    "header": MemberSpec("U", (), _MAX_HEADER_BYTES),
    **{name: MemberSpec("U", shape, _MAX_NAMES_BYTES) for name, shape in _NAMES.items()},
    **{name: MemberSpec("fiu", shape, MAX_CLIP_BYTES) for name, shape in _SHAPES.items()},
}
_OPTIONAL_MEMBERS = {name: MemberSpec("fiu", shape, MAX_CLIP_BYTES) for name, shape in _OPTIONAL.items()}
# Arrays that are there for every frame; the others hold NaN where the person is not.
_FINITE = ("times_s", "bone_scales")
# a clip that was kept from the preview has no camera: NaN
_FINITE_OR_ABSENT = ("intrinsics", "world_from_camera")


def check_clip(clip: MotionClip) -> None:
    """Raise ClipError when shapes disagree, times do not increase, or rotations are not unit quaternions."""
    frames = len(clip.times_s)
    sizes = {"T": frames} | {str(shape[0]): len(getattr(clip, name)) for name, shape in _NAMES.items()}
    present = {name: letters for name, letters in _OPTIONAL.items() if getattr(clip, name) is not None}
    for name, letters in (_SHAPES | present).items():
        shape = tuple(sizes[letter] if isinstance(letter, str) else letter for letter in letters)
        actual = np.shape(getattr(clip, name))
        if actual != shape:
            raise ClipError(f"clip array {name} has shape {actual}, expected {shape}")
    for name in _FINITE:
        if not np.isfinite(getattr(clip, name)).all():
            raise ClipError(f"clip {name} must be finite")
    for name in _FINITE_OR_ABSENT:
        if np.isinf(getattr(clip, name)).any():
            raise ClipError(f"clip {name} must be finite")
    if frames > 1 and not (np.diff(clip.times_s) > 0).all():
        raise ClipError("clip times_s must increase from frame to frame")
    with np.errstate(all="ignore"):
        norm = np.linalg.norm(clip.rotations_wxyz.astype(np.float64), axis=-1)
    if np.nanmax(np.abs(norm - 1.0), initial=0.0) > 1e-3:
        raise ClipError("clip rotations_wxyz must be unit quaternions")
    try:
        check_groups(frames, clip.hands, clip.face)
    except ValueError as fault:
        raise ClipError(str(fault)) from fault


def write_clip(clip: MotionClip, path: Path) -> None:
    """Write a clip whole or not at all: a temporary file beside `path` is renamed over it.

    Raises ClipError when the clip is malformed, OSError when the disk refuses.
    """
    check_clip(clip)
    payload = clip_to_bytes(clip)
    # not mkstemp: its files are for their owner alone, and a clip in a shared folder is for everyone who may read there
    # a name of its own length: the clip's may be as long as the disk takes
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())  # the name must not reach the disk before the bytes: a power cut would empty it
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def clip_to_bytes(clip: MotionClip) -> bytes:
    """The file's bytes: an uncompressed-name, compressed-data npz with the header as one JSON string array."""
    header = {"format": "marionet-clip", "version": CLIP_FORMAT_VERSION, **_record_of_header(clip.header)}
    arrays = {name: np.asarray(getattr(clip, name)) for name in _SHAPES}
    arrays |= {name: np.asarray(value) for name in _OPTIONAL if (value := getattr(clip, name)) is not None}
    names = {name: np.array(getattr(clip, name)) for name in _NAMES}
    groups = group_arrays(clip.hands, clip.face)
    stream = io.BytesIO()
    np.savez_compressed(stream, header=np.array(json.dumps(header)), **arrays, **names, **groups)
    return stream.getvalue()


def read_clip(path: Path | BinaryIO) -> MotionClip:
    """Read a clip file. Raises ClipError for a foreign, truncated, malformed or newer file, OSError as the disk does.

    A file that is not what it says is refused before it takes more memory than a long clip does.
    """
    if isinstance(path, Path) and path.stat().st_size > MAX_CLIP_BYTES:
        raise ClipError(f"{path} is larger than a clip can be")
    # read whole: a damaged archive would stay open, and Windows cannot delete an open file
    stream = io.BytesIO(path.read_bytes()) if isinstance(path, Path) else path
    try:
        return _read(stream, path)
    except ClipError:
        raise
    except Exception as fault:  # the file's border: zip, zlib, numpy and JSON each raise what they like for damage
        reason = str(fault)[:200] or type(fault).__name__
        raise ClipError(f"{path} is not a readable Marionet clip ({reason})", "solve the video again") from fault


def _read(stream: BinaryIO, path: object) -> MotionClip:
    header_spec = {"header": _MEMBERS["header"]}
    header = json.loads(str(read_members(stream, header_spec, _MAX_HEADER_BYTES)["header"]))
    if not isinstance(header, dict):
        raise ClipError(f"{path} is an npz file but not a Marionet clip")
    _check_version(header, path)
    there = member_names(stream)
    members = _MEMBERS | {name: spec for name, spec in _OPTIONAL_MEMBERS.items() if name in there}
    parts: dict[str, Any] = read_members(stream, members, MAX_CLIP_BYTES)
    del parts["header"]
    parts |= {name: tuple(str(item) for item in parts[name]) for name in _NAMES}
    hands, face = read_groups(stream)
    clip = MotionClip(header=_header_from_record(header), hands=hands, face=face, **parts)
    if not len(clip):
        raise ClipError(f"{path} holds no frame", "solve the video again")
    try:
        check_clip(clip)
    except ClipError as fault:
        raise ClipError(f"{path} is damaged: {fault}", "solve the video again") from fault
    return clip


def _check_version(header: dict[str, object], path: object) -> None:
    if header.get("format") != "marionet-clip":
        raise ClipError(f"{path} is an npz file but not a Marionet clip")
    if header.get("version") != CLIP_FORMAT_VERSION:
        raise ClipError(
            f"{path} has clip format version {str(header.get('version'))[:20]}, "
            f"this program reads {CLIP_FORMAT_VERSION}",
            "update Marionet on this side or solve the video again",
        )


def _record_of_header(header: ClipHeader) -> dict[str, object]:
    """Warnings are stored as sentences, which every version reads, with their codes beside them."""
    record = asdict(header)
    if not header.cameras:
        del record["cameras"]  # a clip of one video is written as ever
    record["warnings"] = [warning.text for warning in header.warnings]
    record["warning_codes"] = [warning.code.value for warning in header.warnings]
    return record


def _header_from_record(record: dict[str, Any]) -> ClipHeader:
    """The header of a file; fields of a later minor version are ignored. Raises ClipError for a value that is none."""
    defaults = ClipHeader()
    known: dict[str, Any] = {}
    for name in ClipHeader.__dataclass_fields__:
        if name == "warnings":
            texts = _header_value(name, record.get(name, []), ())
            known[name] = warnings_from_record(texts, record.get("warning_codes"))
        elif name == "cameras":
            known[name] = _header_cameras(record.get(name, []))
        elif name in record:
            known[name] = _header_value(name, record[name], getattr(defaults, name))
    return ClipHeader(**known)


def _header_cameras(record: Any) -> tuple[ClipCamera, ...]:
    try:
        return cameras_from_record(record)
    except ValueError as fault:
        raise ClipError(f"the clip header's {fault}", "solve the videos again") from fault


def _header_value(name: str, value: Any, default: Any) -> Any:
    """A header field's value as the type of its default. Items of lists and objects are those that the field has."""
    if name in ("cuts_s", "unseen_parts", "warnings") and isinstance(value, list):
        return tuple(_header_value(name, item, 0.0 if name == "cuts_s" else "") for item in value)
    if name in ("settings", "figures") and isinstance(value, dict) and isinstance(default, dict):
        return {key: _header_value(name, item, "" if name == "settings" else 0.0) for key, item in value.items()}
    if isinstance(default, float) and type(value) in (int, float) and not abs(value) > _MAX_NUMBER:
        return float(value)
    if type(value) is not type(default) or (type(value) is int and abs(value) > _MAX_NUMBER):
        raise ClipError(f"the clip header's {name} is {str(value)[:50]!r}", "solve the video again")
    return value
