"""Motion given as every joint's place and rotation in space: MHR (SAM 3D Body), and any file that names its joints.

May import numpy and its own room only. Such files hold no rest pose.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .array_files import numbers
from .motion_file_error import MotionFileError
from .moving_skeleton import MovingSkeleton

Array = NDArray[np.floating]

DEFAULT_FPS: Final = 30.0
_PLACES: Final = ("pred_joint_coords", "joint_coords", "posed_joints", "joint_positions")
_TURNS: Final = ("pred_global_rots", "joint_global_rots", "global_rot_mats", "joint_rotations")
_NAMES: Final = ("joint_names", "bone_names")
_ROTATION_ERROR: Final = 0.05


def is_joint_states(record: Mapping[Any, Any]) -> bool:
    """Whether the record holds places and rotations of joints."""
    return any(key in record for key in _PLACES) and any(key in record for key in _TURNS)


def joint_state_motion(record: Mapping[Any, Any], name: str, fps: float | None = None) -> MovingSkeleton:
    """The motion of a record with places (T, N, 3) and rotations (T, N, 3, 3) of joints. Raises MotionFileError."""
    places, turns = _array(record, _PLACES, name), _array(record, _TURNS, name)
    if places.ndim != 3 or places.shape[2] != 3 or turns.shape != (*places.shape, 3):
        raise MotionFileError(
            f"{name}: joints have the shape {places.shape} and their rotations {turns.shape}",
            "They must be (frames, joints, 3) and (frames, joints, 3, 3): stack one person's results over the frames",
        )
    for values, what in ((places, "joint places"), (turns, "joint rotations")):
        bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        if len(bad):
            raise MotionFileError(
                f"{name}: {what} hold NaN in {len(bad)} of {len(values)} frames, first in frame {bad[0]}",
                "Leave those frames out and save the file again",
            )
    if not len(places):
        raise MotionFileError(f"{name} holds no frame", "Save it again")
    if np.abs(turns @ np.swapaxes(turns, -1, -2) - np.eye(3)).max() > _ROTATION_ERROR:
        raise MotionFileError(f"{name}: the joint rotations are no rotation matrices", "Save the file again")
    names = _names(record, places.shape[1], name)
    parents = _parents(record, names, name)
    places, turns, flipped = _agreeing(places, turns, parents)
    shift = numbers(record.get("pred_cam_t"))
    if shift is not None and shift.shape == (len(places), 3):
        places = places + shift[:, None]
    notes = [] if _rate(record) or fps or _times(record, len(places)) is not None else [_assumed()]
    times = _times(record, len(places))
    if times is None:
        times = np.arange(len(places)) / (_rate(record) or fps or DEFAULT_FPS)
    tips = np.full((len(names), 3), np.nan)
    up = np.array([0.0, -1.0, 0.0]) if flipped else None
    return MovingSkeleton(names, parents, places[0], tips, turns, places, times, up, has_rest=False, notes=tuple(notes))


def _assumed() -> str:
    return f"the file states no frame rate: {DEFAULT_FPS:g} frames a second are assumed"


def _array(record: Mapping[Any, Any], keys: tuple[str, ...], name: str) -> Array:
    key = next(key for key in keys if key in record)
    array = numbers(record[key])
    if array is None:
        raise MotionFileError(f"{name}: {key} is no array of numbers", "Save it as one float array over all frames")
    return array


def _names(record: Mapping[Any, Any], count: int, name: str) -> tuple[str, ...]:
    for key in _NAMES:
        value = record.get(key)
        if isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.shape == (count,):
            return tuple(map(str, value))
        if isinstance(value, (list, tuple)) and len(value) == count:
            return tuple(map(str, value))
    if count == len(MHR_JOINTS):
        return MHR_JOINTS
    raise MotionFileError(
        f"{name} holds {count} joints without names",
        f"Add their names as the array joint_names (MHR's {len(MHR_JOINTS)} joints are known without)",
    )


def _parents(record: Mapping[Any, Any], names: tuple[str, ...], name: str) -> NDArray[np.intp]:
    if names == MHR_JOINTS:
        return np.array(_MHR_PARENTS, dtype=np.intp)
    for key in ("parents", "joint_parents"):
        value = numbers(record.get(key))
        if value is not None and value.shape == (len(names),) and (value < np.arange(len(names))).all():
            return value.astype(np.intp)
    raise MotionFileError(
        f"{name} names its joints and not their parents",
        "Add the array parents: each joint's parent by number, -1 for the root, parents before children",
    )


def _agreeing(places: Array, turns: Array, parents: NDArray[np.intp]) -> tuple[Array, Array, bool]:
    """Places and rotations in one set of axes: SAM 3D Body flips the places to a camera's axes, not the rotations.

    In the right axes a joint's offset from its parent does not change in the parent's own axes.
    """
    below = np.flatnonzero(parents >= 0)
    if len(places) < 2 or not len(below):
        return places, turns, False
    flip = np.diag([1.0, -1.0, -1.0])
    spreads = []
    for matrix in (np.eye(3), flip):
        turned = matrix @ turns[:, parents[below]]
        offsets = np.einsum("tnji,tnj->tni", turned, places[:, below] - places[:, parents[below]])
        spreads.append(float(offsets.std(axis=0).mean()))
    if spreads[1] < spreads[0]:
        return places, flip @ turns, True
    return places, turns, False


def _rate(record: Mapping[Any, Any]) -> float | None:
    for key in ("fps", "frame_rate"):
        value = numbers(record.get(key))
        if value is not None and value.size == 1 and 0.1 <= float(value.ravel()[0]) <= 1e4:
            return float(value.ravel()[0])
    return None


def _times(record: Mapping[Any, Any], frames: int) -> Array | None:
    times = numbers(record.get("times"))
    if times is None or times.shape != (frames,) or not (np.diff(times) > 0).all():
        return None
    return np.asarray(times - times[0])


def _leg(side: str) -> list[tuple[str, str]]:
    """A leg's joints with their parents, in MHR's order."""
    chain = ["root", "upleg", "lowleg", "foot", "talocrural", "subtalar", "transversetarsal", "ball"]
    rows = [(f"{side}_{joint}", above if above == "root" else f"{side}_{above}") for above, joint in pairwise(chain)]
    rows += [(f"{side}_lowleg_twist{k}_proc", f"{side}_lowleg") for k in range(1, 5)]
    return rows + [(f"{side}_upleg_twist{k}_proc", f"{side}_upleg") for k in range(5)]


def _arm(side: str) -> list[tuple[str, str]]:
    chain = ["clavicle", "uparm", "lowarm", "wrist_twist", "wrist"]
    rows = [(f"{side}_clavicle", "c_spine3")]
    rows += [(f"{side}_{joint}", f"{side}_{above}") for above, joint in pairwise(chain)]
    for finger, first in (("pinky", 0), ("ring", 1), ("middle", 1), ("index", 1), ("thumb", 0)):
        joints = [f"{finger}{k}" for k in range(first, 4)] + [f"{finger}_null"]
        rows += [
            (f"{side}_{joint}", f"{side}_{above}") for above, joint in zip(["wrist", *joints], joints, strict=False)
        ]
    rows += [(f"{side}_lowarm_twist{k}_proc", f"{side}_lowarm") for k in range(1, 5)]
    return rows + [(f"{side}_uparm_twist{k}_proc", f"{side}_uparm") for k in range(5)]


def _mhr_rows() -> list[tuple[str, str]]:
    rows = [("body_world", ""), ("root", "body_world"), *_leg("l"), *_leg("r")]
    rows += [("c_spine0", "root"), ("c_spine1", "c_spine0"), ("c_spine2", "c_spine1"), ("c_spine3", "c_spine2")]
    rows += [*_arm("r"), *_arm("l"), ("c_neck", "c_spine3")]
    rows += [("c_neck_twist1_proc", "c_neck"), ("c_neck_twist0_proc", "c_neck"), ("c_head", "c_neck")]
    rows += [("c_jaw", "c_head"), ("c_teeth", "c_jaw"), ("c_jaw_null", "c_jaw"), ("c_tongue0", "c_jaw")]
    rows += [(f"c_tongue{k}", f"c_tongue{k - 1}") for k in range(1, 5)]
    for side in ("r", "l"):
        rows += [(f"{side}_eye", "c_head"), (f"{side}_eye_null", f"{side}_eye")]
    return [*rows, ("c_head_null", "c_head")]


MHR_JOINTS: Final = tuple(name for name, _ in _mhr_rows())
_MHR_PARENTS: Final = tuple(MHR_JOINTS.index(above) if above else -1 for _, above in _mhr_rows())
