"""What `world` takes and gives: options, and one person's motion in the world. numpy and `motion` only."""

from __future__ import annotations

from dataclasses import dataclass, field

from backend.types import Array
from blender_addon.motion.clip_warning import ClipWarning
from blender_addon.motion.contacts import ContactSettings
from blender_addon.motion.planting import PlantSettings


@dataclass(frozen=True, slots=True)
class RootSettings:
    """How the root's path is fitted.

    `keypoint_sigma_m`: how far a keypoint usually lies from the solved pose, at the person's depth.
    `across_m_s2`, `depth_m_s2`: usual accelerations of the pelvis across the image and along the view; the latter is
    small because depth is seen only through apparent size. `foot_sigma_m`, `floor_sigma_m`: how well a standing foot
    stays, and how level the floor is. `rounds`: robust re-weightings.
    """

    keypoint_sigma_m: float = 0.05
    across_m_s2: float = 10.0
    depth_m_s2: float = 2.5
    foot_sigma_m: float = 0.03
    floor_sigma_m: float = 0.05
    rounds: int = 4


@dataclass(frozen=True, slots=True)
class GravitySettings:
    """How sure each hint about the vertical is, in degrees, and the floor's flatness in m.

    The poses' own gravity is surer about roll than about pitch; cameras are seldom rolled and not often pitched far.
    """

    pose_roll_deg: float = 4.0
    pose_pitch_deg: float = 7.0
    level_roll_deg: float = 4.0
    level_pitch_deg: float = 15.0
    floor_sigma_m: float = 0.04


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """What the user or the pipeline knows beforehand.

    `world_from_camera` (4, 4): the whole camera pose (a calibrated camera, or the first person's result, so that
    several people share one world). `gravity_camera` (3,): only the down direction in camera axes.
    `camera_moves`: what `backend.camera` saw of the background; it adds a warning, the camera counts as static.
    """

    world_from_camera: Array | None = None
    gravity_camera: Array | None = None
    camera_moves: bool = False
    plant_feet: bool = True
    root: RootSettings = field(default_factory=RootSettings)
    gravity: GravitySettings = field(default_factory=GravitySettings)
    contacts: ContactSettings = field(default_factory=ContactSettings)
    plant: PlantSettings = field(default_factory=PlantSettings)


@dataclass(frozen=True, slots=True)
class WorldTrack:
    """One person's motion in the world: Z up, metres, floor z = 0, X along the camera's right.

    Fields have the shapes and meanings of `MotionClip`: rotations_wxyz (T, J, 4) with the root orientation in the
    world, root_world_m (T, 3), root_camera_m (T, 3), joints_camera_m (T, 17, 3), contacts (T, 4),
    world_from_camera (T, 4, 4). gravity_camera (3,) is the down direction used; reprojection_px (T,) the weighted
    median distance between keypoints and the reprojected body; warnings are for the user.
    """

    rotations_wxyz: Array
    root_world_m: Array
    root_camera_m: Array
    joints_camera_m: Array
    contacts: Array
    world_from_camera: Array
    gravity_camera: Array
    reprojection_px: Array
    warnings: tuple[ClipWarning, ...]
