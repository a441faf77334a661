"""A camera that travels: its turns and its path through the scene, where the background proves them. numpy.

A wrong path is worse than none. So it counts only where the background shows depth, nearly all features agree, and two
halves of the features, reconstructed apart, tell the same path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.camera.bundle import zoom_share
from backend.camera.feature_tracks import FeatureTracks
from backend.camera.other_lens import another_lens_explains
from backend.camera.path import CameraPath
from backend.camera.reconstruct import Reconstruction, reconstruct
from backend.types import Array, CameraTravel
from blender_addon.motion.rotations import matrix_to_quaternion, quaternion_slerp, quaternion_to_matrix

# features are seen under this angle, agree to this, in this part of all frames, and in each frame this part of them
_LEAST_PARALLAX_DEG: Final = 1.5
_MOST_PX: Final = 1.0
_LEAST_FRAMES: Final = 0.95
_LEAST_SHARE: Final = 0.4
_USUAL_SHARE: Final = 0.7
# a focal length that seems to change by more than this part makes the path wrong; one that is unknown does not
_MOST_ZOOM: Final = 0.04
# two halves of the features differ by less than this part of how far the camera gets
_SAME_PART: Final = 0.1
# the axes of another frame than the first serve better when the camera turns further than this
_FAR_DEG: Final = 45.0


def find_travel(tracks: FeatureTracks, tell: Callable[[float], None] | None = None) -> CameraPath | None:
    """The path of the camera, with `travel` up to scale; None where it is not proven.

    `tell` is called with the share 0 to 1 that is done. What it raises ends the work.
    """
    tell = tell or _ignore
    if another_lens_explains(tracks):
        return None
    halves = []
    for half in (0, 1):
        found = reconstruct(tracks.taken(tracks.feature % 2 == half), _part(tell, 0.25 * half, 0.25))
        if found is None or not _is_sound(found):
            return None
        halves.append(found)
    if not _agree(*halves):
        return None
    whole = reconstruct(tracks, _part(tell, 0.5, 0.5))
    if whole is None or not _is_sound(whole) or not _agree(whole, halves[0]):
        return None
    if zoom_share(*whole.keys, tracks.unit_px) > _MOST_ZOOM:
        return None
    turns, centres = _filled(whole)
    base = _best_axes(turns)
    ones = np.ones(len(centres))
    path = CameraTravel(tracks.frame_index, (centres - centres[0]) @ base, (whole.points - centres[0]) @ base)
    # how far a turn is off: nothing here
    off = np.full(len(centres), whole.residual_px)
    return CameraPath(tracks.frame_index, base.T @ turns, ones, off, off, path)


def _part(tell: Callable[[float], None], start: float, length: float) -> Callable[[float], None]:
    """Tells the share of a part as a share of the whole."""
    return lambda share: tell(start + length * share)


def _ignore(_: float) -> None:
    return None


def _is_sound(found: Reconstruction) -> bool:
    placed = found.share > _LEAST_SHARE
    return bool(
        placed.mean() >= _LEAST_FRAMES
        and np.median(found.share) >= _USUAL_SHARE
        and found.parallax_deg >= _LEAST_PARALLAX_DEG
        and found.residual_px <= _MOST_PX
    )


def _agree(one: Reconstruction, other: Reconstruction) -> bool:
    """Whether two reconstructions tell the same path of the camera, at the best scale, rotation and position."""
    both = (one.share > _LEAST_SHARE) & (other.share > _LEAST_SHARE)
    first, second = (each.centres[both] - each.centres[both].mean(axis=0) for each in (one, other))
    spread = float(np.sqrt((first**2).sum()))
    left, sizes, right = np.linalg.svd(first.T @ second)
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    scale = float((sizes * flip).sum()) / max(float((second**2).sum()), 1e-12)
    off = first - scale * second @ (left * flip @ right).T
    return bool(np.sqrt((off**2).sum()) <= _SAME_PART * spread)


def _filled(found: Reconstruction) -> tuple[Array, Array]:
    """Turns and centres of all frames: those that could not be placed lie between their neighbours."""
    good = np.flatnonzero(found.share > _LEAST_SHARE)
    rows = np.arange(len(found.share))
    centres = np.stack([np.interp(rows, good, found.centres[good, axis]) for axis in range(3)], axis=1)
    before = good[np.clip(np.searchsorted(good, rows, side="right") - 1, 0, len(good) - 1)]
    after = good[np.clip(np.searchsorted(good, rows), 0, len(good) - 1)]
    share = (rows - before) / np.maximum(after - before, 1)
    quaternions = matrix_to_quaternion(found.turns)
    between = quaternion_slerp(quaternions[before], quaternions[after], np.clip(share, 0.0, 1.0))
    return np.asarray(quaternion_to_matrix(between)), centres


def _best_axes(turns: Array) -> Array:
    """The first frame's axes (3, 3), or those of the frame from which all others look least far away."""
    ahead = turns[:, :, 2]
    if np.rad2deg(np.arccos(np.clip((ahead @ ahead[0]).min(), -1.0, 1.0))) <= _FAR_DEG:
        return np.asarray(turns[0])
    some: NDArray[np.intp] = np.unique(np.linspace(0, len(turns) - 1, 60).astype(np.intp))
    nearest = (ahead[some] @ ahead[some].T).min(axis=1)
    return np.asarray(turns[some[int(nearest.argmax())]])
