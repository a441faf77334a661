"""What the user has to know of a person's place in the world, in sentences. May import `types` and its own room."""

from __future__ import annotations

import numpy as np

from backend.types import Array, PersonTrack
from backend.world.world_track import Gravity
from blender_addon.motion.clip_warning import ClipWarning, WarningCode

# the user is told when gravity is less certain than this, or the camera rolled by more
_UNSURE_DEG = 12.0
_ROLLED_DEG = 30.0
# a body whose feet are this far from below its shoulders, in most frames, lies, or the video does
_ACROSS_DEG = 60.0
_MOST_FRAMES = 0.7
# of the length of trunk and legs together: a body that sits or kneels is bent, and no video on its side shows it so
_STRAIGHT = 0.85
_ROTATE = "; if the video lies on its side or upside down, rotate it"
_SHOULDERS, _HIPS, _KNEES, _ANKLES = (11, 12), (23, 24), (25, 26), (27, 28)
_LEAST_VISIBILITY = 0.3


def gravity_warning(gravity: Gravity, turned: str = "") -> ClipWarning | None:
    """What the user has to know of the direction down; `turned` is what `turned_video` says of the same person."""
    x, y, z = gravity.down
    used = f"{x:.2f},{y:.2f},{z:.2f}"
    if gravity.uncertainty_deg > _UNSURE_DEG:
        other = f"; if the video lies on its side or upside down, rotate it or give --gravity {turned}"
        if not turned:
            other = _ROTATE if gravity.roll_deg > _ROLLED_DEG else ""
        return ClipWarning(
            WarningCode.GRAVITY_UNCERTAIN,
            f"It is not certain which way is down (+- {gravity.uncertainty_deg:.0f} degrees); {used} was taken. If the "
            f"person leans, lies in the air or stands on a wall, give --gravity X,Y,Z (0,1,0: a level camera){other}",
        )
    if gravity.roll_deg > _ROLLED_DEG:
        return ClipWarning(
            WarningCode.CAMERA_TURNED,
            f"The camera seems to be rolled by {gravity.roll_deg:.0f} degrees ({used} is down). If it was not, give "
            f"--gravity X,Y,Z (0,1,0: a level camera){_ROTATE}",
        )
    if turned:
        return ClipWarning(
            WarningCode.GRAVITY_UNCERTAIN,
            f"The person lies across the image and is taken for somebody who lies ({used} is down). If the video lies "
            f"on its side or upside down, rotate it or give --gravity {turned}",
        )
    return None


def turned_video(track: PersonTrack, down: Array) -> str:
    """The direction down, as the user would give it, if the video lies on its side; empty where nothing says so.

    A straight body whose feet are not below its shoulders in most frames lies, or stands in a turned video: poses and
    level cameras do not tell these apart. `down` (3,) is the direction taken.
    """
    points = track.keypoints_px.astype(np.float64)
    middle = {ends: points[:, list(ends)].mean(axis=1) for ends in (_SHOULDERS, _HIPS, _KNEES, _ANKLES)}
    length = sum(
        np.linalg.norm(middle[one] - middle[other], axis=1)
        for one, other in ((_SHOULDERS, _HIPS), (_HIPS, _KNEES), (_KNEES, _ANKLES))
    )
    body = middle[_ANKLES] - middle[_SHOULDERS]
    reach = np.linalg.norm(body, axis=1)
    parts = [*_SHOULDERS, *_HIPS, *_KNEES, *_ANKLES]
    known = np.isfinite(reach) & (track.visibility[:, parts] > _LEAST_VISIBILITY).all(axis=1) & (reach > 0.0)
    if not known.any() or np.linalg.norm(down[:2]) < 0.5:
        return ""
    below = body[known] @ down[:2] / (reach[known] * np.linalg.norm(down[:2]))
    across = (below < np.cos(np.deg2rad(_ACROSS_DEG))) & (reach[known] > _STRAIGHT * np.asarray(length)[known])
    if across.mean() < _MOST_FRAMES:
        return ""
    x, y = np.median(body[known][across] / reach[known][across, None], axis=0)
    return f"{np.sign(x):.0f},0,0" if abs(x) > abs(y) else f"0,{np.sign(y):.0f},0"
