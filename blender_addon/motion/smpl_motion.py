"""SMPL, SMPL-H and SMPL-X motion as joint rotations on a skeleton of mean proportions: no body model is needed.

May import numpy and its own room only. Axes of the models: Y up, the body faces +Z, its left is +X. The rest pose is
the models' T-pose; its directions are known to whole degrees and its lengths to centimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .array_files import numbers
from .motion_file_error import MotionFileError
from .moving_skeleton import MovingSkeleton
from .rotations import quaternion_to_matrix, rotvec_to_quaternion

Array = NDArray[np.floating]

DEFAULT_FPS: Final = 30.0
_BODY: Final = 22
# joint, parent, and the offset from it in cm: left, up, forward
_JOINTS: Final[tuple[tuple[str, int, tuple[float, float, float]], ...]] = (
    ("pelvis", -1, (0.0, 0.0, 0.0)),
    ("left_hip", 0, (7.0, -9.0, -0.5)),
    ("right_hip", 0, (-7.0, -9.0, -0.5)),
    ("spine1", 0, (0.0, 11.0, -2.5)),
    ("left_knee", 1, (3.3, -37.6, 0.0)),
    ("right_knee", 2, (-3.3, -37.6, 0.0)),
    ("spine2", 3, (0.0, 13.5, 0.0)),
    ("left_ankle", 4, (-1.4, -39.7, -4.2)),
    ("right_ankle", 5, (1.4, -39.7, -4.2)),
    ("spine3", 6, (0.0, 5.5, 2.5)),
    ("left_foot", 7, (2.6, -5.6, 12.0)),
    ("right_foot", 8, (-2.6, -5.6, 12.0)),
    ("neck", 9, (0.0, 21.5, -4.0)),
    ("left_collar", 9, (8.0, 12.0, -3.5)),
    ("right_collar", 9, (-8.0, 12.0, -3.5)),
    ("head", 12, (0.0, 6.5, 5.0)),
    ("left_shoulder", 13, (9.5, 3.0, -1.0)),
    ("right_shoulder", 14, (-9.5, 3.0, -1.0)),
    ("left_elbow", 16, (25.8, -1.3, -2.7)),
    ("right_elbow", 17, (-25.8, -1.3, -2.7)),
    ("left_wrist", 18, (25.0, 0.9, 0.0)),
    ("right_wrist", 19, (-25.0, 0.9, 0.0)),
)
_TIPS: Final = {"left_foot": (1.0, 0.0, 6.0), "right_foot": (-1.0, 0.0, 6.0), "head": (0.0, 18.0, 0.0)}
_HAND_TIP: Final = (8.5, -0.8, -1.0)
_SETS: Final = (
    "smpl_params_global",
    "pred_smpl_params_global",
    "smpl_params_world",
    "smplx_params",
    "smpl_params",
    "smpl_params_incam",
)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Names of the arrays of one tool's files, and the file's upward axis: "y", "z", or "" where it varies."""

    root: str
    body: str
    path: tuple[str, ...]
    up: str


# in the order in which they are tried; without a `body`, `root` holds all joints
_LAYOUTS: Final = (
    _Layout("root_orient", "pose_body", ("trans", "transl"), "z"),
    _Layout("global_orient", "body_pose", ("transl", "trans", "global_transl"), "y"),
    _Layout("poses_root_world", "poses_body", ("trans_world",), "y"),
    _Layout("pose_world", "", ("trans_world", "trans"), "y"),
    _Layout("smpl_poses", "", ("smpl_trans",), "y"),
    _Layout("poses", "", ("trans", "transl"), "z"),
    _Layout("pose", "", ("trans", "transl"), "y"),
)
_RATES: Final = ("mocap_framerate", "mocap_frame_rate", "mocap_frame_rates", "fps", "frame_rate", "framerate")


def is_smpl(record: Mapping[Any, Any]) -> bool:
    """Whether names say that somewhere in the record there is SMPL motion."""
    return bool(_found(record))


def smpl_motions(record: Mapping[Any, Any], name: str, fps: float | None = None) -> list[MovingSkeleton]:
    """Every person's motion in a record of named arrays. `fps` is for files that state no rate.

    Raises MotionFileError for missing or misshapen arrays and for NaN.
    """
    found = _found(record)
    if not found:
        raise _unknown(record, name)
    rate = _rate(record)
    motions = []
    for number, (values, layout) in enumerate(found):
        label = name if len(found) == 1 else f"{name}, person {number}"
        motions.append(_motion(values, layout, label, rate or _rate(values) or fps))
    return motions


def _unknown(record: Mapping[Any, Any], name: str) -> MotionFileError:
    keys = ", ".join(str(key) for key in list(record)[:8]) or "nothing"
    wanted = "; ".join(" and ".join(part for part in (one.root, one.body) if part) for one in _LAYOUTS)
    objects = any(value is None for value in record.values())
    extra = " (some are Python objects, which are not unpickled)" if objects else ""
    return MotionFileError(
        f"{name} holds {keys}{extra}, and none of the arrays of a motion", f"It needs one of: {wanted}"
    )


def _found(record: Mapping[Any, Any]) -> list[tuple[Mapping[Any, Any], _Layout]]:
    """Sets of arrays with their layout: the record itself, its parameters, or one set a person."""
    layout = _layout(record)
    if layout is not None:
        return [(record, layout)]
    for key in _SETS:
        if isinstance(record.get(key), Mapping):
            return _found(record[key])
    people = [value for value in record.values() if isinstance(value, Mapping)]
    return [one for value in people for one in _found(value)[:1]]


def _layout(record: Mapping[Any, Any]) -> _Layout | None:
    for layout in _LAYOUTS:
        if layout.root in record and (not layout.body or layout.body in record):
            return layout
    return None


def _rate(record: Mapping[Any, Any]) -> float | None:
    for key in _RATES:
        value = numbers(record.get(key))
        if value is not None and value.size == 1 and np.isfinite(value).all() and 0.1 <= float(value.ravel()[0]) <= 1e4:
            return float(value.ravel()[0])
    return None


def _motion(values: Mapping[Any, Any], layout: _Layout, name: str, fps: float | None) -> MovingSkeleton:
    local = _rotations(values, layout, name)
    frames = len(local)
    path, notes = _path(values, layout, name, frames)
    if fps is None:
        fps = DEFAULT_FPS
        notes.append(f"the file states no frame rate: {DEFAULT_FPS:g} frames a second are assumed")
    parents = np.array([parent for _, parent, _ in _JOINTS], dtype=np.intp)
    names = tuple(joint for joint, _, _ in _JOINTS)
    rest, tips = _rest()
    rotations, positions = np.zeros((frames, _BODY, 3, 3)), np.zeros((frames, _BODY, 3))
    for joint, parent in enumerate(parents):
        if parent < 0:
            rotations[:, joint], positions[:, joint] = local[:, joint], path
            continue
        rotations[:, joint] = rotations[:, parent] @ local[:, joint]
        offset = rest[joint] - rest[parent]
        positions[:, joint] = positions[:, parent] + rotations[:, parent] @ offset
    up = _up(layout, rotations[:, 0], notes)
    times = _times(values, frames, fps)
    return MovingSkeleton(names, parents, rest, tips, rotations, positions, times, up, notes=tuple(notes))


def _rest() -> tuple[Array, Array]:
    """Rest positions and tips (22, 3) in m."""
    rest = np.zeros((_BODY, 3))
    tips = np.full((_BODY, 3), np.nan)
    for joint, (name, parent, offset) in enumerate(_JOINTS):
        rest[joint] = np.array(offset) / 100.0 + (rest[parent] if parent >= 0 else 0.0)
        tip = _TIPS.get(name)
        if name.endswith("_wrist"):
            tip = (_HAND_TIP[0] if name.startswith("left") else -_HAND_TIP[0], *_HAND_TIP[1:])
        if tip is not None:
            tips[joint] = rest[joint] + np.array(tip) / 100.0
    return rest, tips


def _rotations(values: Mapping[Any, Any], layout: _Layout, name: str) -> Array:
    """Local rotations (T, 22, 3, 3)."""
    root = _joints(values, layout.root, name)
    if not layout.body:
        if root.shape[1] < _BODY:
            raise MotionFileError(
                f"{name}: {layout.root} has {root.shape[1]} joints, a body has {_BODY} or more",
                "Export the pose of the whole body: 66, 72, 156 or 165 numbers a frame",
            )
        return root[:, :_BODY]
    body = _joints(values, layout.body, name)
    if len(root) != len(body):
        raise MotionFileError(
            f"{name}: {layout.root} has {len(root)} frames and {layout.body} has {len(body)}",
            "Export the take again: both need one row a frame",
        )
    if root.shape[1] != 1 or body.shape[1] < _BODY - 1:
        raise MotionFileError(
            f"{name}: {layout.body} has {body.shape[1]} joints and {layout.root} {root.shape[1]}",
            f"Export {layout.root} with 1 joint and {layout.body} with {_BODY - 1}",
        )
    return np.concatenate([root, body[:, : _BODY - 1]], axis=1)


def _joints(values: Mapping[Any, Any], key: str, name: str) -> Array:
    """An array of rotation vectors, or of matrices, as matrices (T, K, 3, 3)."""
    array = numbers(values[key])
    if array is None:
        raise MotionFileError(f"{name}: {key} is no array of numbers", "Save it as a float array of (frames, numbers)")
    shape = array.shape
    while array.ndim > 2 and array.shape[0] == 1 and array.shape[-2:] != (3, 3):
        array = array[0]  # a batch of one
    if array.ndim >= 3 and array.shape[-2:] == (3, 3):
        array = array.reshape(len(array), -1, 3, 3)
        square = array @ np.swapaxes(array, -1, -2)
        if np.isfinite(array).all() and np.abs(square - np.eye(3)).max(initial=0.0) > 0.05:
            raise MotionFileError(f"{name}: {key} holds matrices that are no rotations", "Export the take again")
        matrices = array
    elif array.ndim in (2, 3) and len(array) and array[0].size % 3 == 0 and array[0].size:
        matrices = quaternion_to_matrix(rotvec_to_quaternion(array.reshape(len(array), -1, 3)))
    else:
        raise MotionFileError(
            f"{name}: {key} has the shape {shape}", "It must be (frames, 3 numbers a joint) or rotation matrices"
        )
    _check_finite(matrices.reshape(len(matrices), -1), key, name)
    return matrices


def _check_finite(rows: Array, key: str, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise MotionFileError(
            f"{name}: {key} holds NaN or infinite values in {len(bad)} of {len(rows)} frames, first in frame {bad[0]}",
            "Clean the take, or leave those frames out, and export it again",
        )


def _path(values: Mapping[Any, Any], layout: _Layout, name: str, frames: int) -> tuple[Array, list[str]]:
    """The pelvis' path (T, 3) in m, and what is to say about it."""
    key = next((key for key in layout.path if key in values), None)
    if key is None:
        return np.zeros((frames, 3)), ["the file holds no path through the world: the motion stays in place"]
    array = numbers(values[key])
    if array is not None and array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array is None or array.ndim != 2 or array.shape[1] != 3 or len(array) != frames:
        shape = "no numbers" if array is None else f"the shape {array.shape}"
        raise MotionFileError(
            f"{name}: {key} has {shape}, and there are {frames} frames", f"Export {key} as (frames, 3) in metres"
        )
    _check_finite(array, key, name)
    scaling = numbers(values.get("smpl_scaling"))
    if scaling is not None and scaling.size == 1 and float(scaling.ravel()[0]) > 0:
        array = array / float(scaling.ravel()[0])
    return array, []


def _up(layout: _Layout, root: Array, notes: list[str]) -> Array:
    """The file's upward axis (3,): its tool's, unless the body stands along another one nearly all the time."""
    mean = root[:, :, 1].mean(axis=0)
    usual = np.eye(3)["xyz".index(layout.up)]
    if mean @ usual > 0.5 or np.linalg.norm(mean) < 0.8:
        return usual
    axis = int(np.argmax(np.abs(mean)))
    found = np.eye(3)[axis] * np.sign(mean[axis])
    if found @ mean < 0.8:
        return usual
    notes.append(f"the body stands along the file's {'-' if mean[axis] < 0 else ''}{'XYZ'[axis]} axis: taken as up")
    return found


def _times(values: Mapping[Any, Any], frames: int, fps: float) -> Array:
    """Times (T,): by the frames' numbers where the file has them, so that gaps stay gaps."""
    for key in ("frame_ids", "frame_id"):
        numbered = numbers(values.get(key))
        if numbered is not None and numbered.shape == (frames,) and (np.diff(numbered) > 0).all():
            return (numbered - numbered[0]) / fps
    return np.arange(frames) / fps
