"""The clip's optional groups: hands and face, as members of its file. May import numpy and its own room only.

A file has all members of a group or none. Readers that do not know a group pass it over, so the version stays 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .face import FACE_WEIGHT_NAMES, FaceMotion
from .hands import HAND_JOINTS, HandMotion
from .npz_members import MemberSpec, member_names, read_members

# two hours at 60 frames a second, as for the other arrays
_MAX_GROUP_BYTES = 384 << 20
_MAX_NAMES_BYTES = 1 << 20
_HAND_MEMBERS = {
    "hand_joint_names": MemberSpec("U", (len(HAND_JOINTS),), _MAX_NAMES_BYTES),
    "hand_rotations_wxyz": MemberSpec("f", ("T", 2, len(HAND_JOINTS), 4), _MAX_GROUP_BYTES),
    "hand_confidence": MemberSpec("f", ("T", 2), _MAX_GROUP_BYTES),
}
_FACE_MEMBERS = {
    "face_weight_names": MemberSpec("U", (len(FACE_WEIGHT_NAMES),), _MAX_NAMES_BYTES),
    "face_weights": MemberSpec("f", ("T", len(FACE_WEIGHT_NAMES)), _MAX_GROUP_BYTES),
    "face_confidence": MemberSpec("f", ("T",), _MAX_GROUP_BYTES),
}


def group_arrays(hands: HandMotion | None, face: FaceMotion | None) -> dict[str, NDArray[Any]]:
    """The members of the groups that a clip has, by name."""
    arrays: dict[str, NDArray[Any]] = {}
    if hands is not None:
        arrays["hand_joint_names"] = np.array(HAND_JOINTS)
        arrays["hand_rotations_wxyz"] = np.asarray(hands.rotations_wxyz)
        arrays["hand_confidence"] = np.asarray(hands.confidence)
    if face is not None:
        arrays["face_weight_names"] = np.array(FACE_WEIGHT_NAMES)
        arrays["face_weights"] = np.asarray(face.weights)
        arrays["face_confidence"] = np.asarray(face.confidence)
    return arrays


def read_groups(stream: BinaryIO) -> tuple[HandMotion | None, FaceMotion | None]:
    """The groups of a clip file, None for what it does not have.

    Raises ValueError for a group that is not whole or not as expected, and what `read_members` raises for damage.
    """
    there = member_names(stream)
    hands = _read_group(stream, _HAND_MEMBERS, there, "hand_joint_names", HAND_JOINTS)
    face = _read_group(stream, _FACE_MEMBERS, there, "face_weight_names", FACE_WEIGHT_NAMES)
    return (
        None if hands is None else HandMotion(hands["hand_rotations_wxyz"], hands["hand_confidence"]),
        None if face is None else FaceMotion(face["face_weights"], face["face_confidence"]),
    )


def check_groups(frames: int, hands: HandMotion | None, face: FaceMotion | None) -> None:
    """Raise ValueError when shapes disagree, rotations are not unit quaternions, or weights are not 0 to 1."""
    if hands is not None:
        _check_shape("hand_rotations_wxyz", hands.rotations_wxyz, (frames, 2, len(HAND_JOINTS), 4))
        _check_shape("hand_confidence", hands.confidence, (frames, 2))
        _check_range("hand_confidence", hands.confidence)
        with np.errstate(all="ignore"):
            norm = np.linalg.norm(np.asarray(hands.rotations_wxyz, dtype=np.float64), axis=-1)
        if np.nanmax(np.abs(norm - 1.0), initial=0.0) > 1e-3:
            raise ValueError("clip hand_rotations_wxyz must be unit quaternions")
    if face is not None:
        _check_shape("face_weights", face.weights, (frames, len(FACE_WEIGHT_NAMES)))
        _check_shape("face_confidence", face.confidence, (frames,))
        _check_range("face_confidence", face.confidence)
        _check_range("face_weights", face.weights[~np.isnan(face.weights)])


def _read_group(
    stream: BinaryIO, specs: Mapping[str, MemberSpec], there: frozenset[str], names: str, expected: tuple[str, ...]
) -> dict[str, NDArray[Any]] | None:
    missing = set(specs) - there
    if missing == set(specs):
        return None
    if missing:
        raise ValueError(f"{', '.join(sorted(missing))} is missing")
    arrays = read_members(stream, specs, _MAX_GROUP_BYTES)
    if tuple(str(name) for name in arrays[names]) != expected:
        raise ValueError(f"{names} are not the names of this version")
    return arrays


def _check_shape(name: str, values: NDArray[Any], expected: tuple[int, ...]) -> None:
    if np.shape(values) != expected:
        raise ValueError(f"clip array {name} has shape {np.shape(values)}, expected {expected}")


def _check_range(name: str, values: NDArray[Any]) -> None:
    if not ((values >= 0.0) & (values <= 1.0)).all():
        raise ValueError(f"clip {name} must lie between 0 and 1")
