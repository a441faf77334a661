"""What the user has to know of a person's place in the world, in sentences. May import its own room only."""

from __future__ import annotations

from backend.world.world_track import Gravity
from blender_addon.motion.clip_warning import ClipWarning, WarningCode

# the user is told when gravity is less certain than this, or the camera rolled by more
_UNSURE_DEG = 12.0
_ROLLED_DEG = 30.0


def gravity_warning(gravity: Gravity) -> ClipWarning | None:
    """What the user has to know of the direction down."""
    x, y, z = gravity.down
    used = f"{x:.2f},{y:.2f},{z:.2f}"
    if gravity.uncertainty_deg > _UNSURE_DEG:
        return ClipWarning(
            WarningCode.GRAVITY_UNCERTAIN,
            f"It is not certain which way is down (+- {gravity.uncertainty_deg:.0f} degrees); {used} was taken. If the "
            "person leans, lies in the air or stands on a wall, give --gravity X,Y,Z (0,1,0: a level camera)",
        )
    if gravity.roll_deg > _ROLLED_DEG:
        return ClipWarning(
            WarningCode.CAMERA_TURNED,
            f"The camera seems to be rolled by {gravity.roll_deg:.0f} degrees ({used} is down). If it was not, give "
            "--gravity X,Y,Z (0,1,0: a level camera)",
        )
    return None
