"""What `world` takes and gives: options, and one person's motion in the world. numpy and `motion` only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from backend.types import Array, CameraTravel, PersonTrack, SceneEdges
from blender_addon.motion.clip_warning import ClipWarning
from blender_addon.motion.contacts import ContactSettings
from blender_addon.motion.planting import PlantSettings


@dataclass(frozen=True, slots=True)
class Gravity:
    """The direction `down` (3,) in the camera and how far off it may be, degrees (one sigma)."""

    down: Array
    uncertainty_deg: float

    @property
    def roll_deg(self) -> float:
        """How far the camera is turned about its optical axis: 0 upright, 180 upside down."""
        return float(np.rad2deg(np.arctan2(np.abs(self.down[0]), self.down[1])))


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

    `pose_sigmas_deg` are the errors, roll and pitch, of the poses' own gravity besides its spread over the clip in
    `pose_share` of all clips, `pose_wide_deg` in `pose_wide_share`; in the others (a person who lies) it says nothing.
    Cameras are held level to `level_roll_deg`, `level_pitch_deg` in `usual_share` of all clips, to `tilted_deg` in
    `tilted_share`, and anyhow in the rest. Standing feet count as `most_steps` of them at most: their errors of depth
    are not independent.
    """

    pose_sigmas_deg: tuple[float, float] = (4.0, 8.0)
    pose_share: float = 0.6
    pose_wide_deg: float = 14.0
    pose_wide_share: float = 0.15
    level_roll_deg: float = 4.0
    level_pitch_deg: float = 15.0
    usual_share: float = 0.74
    tilted_deg: float = 25.0
    tilted_share: float = 0.25
    floor_sigma_m: float = 0.07
    most_steps: float = 12.0


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """What the user or the pipeline knows beforehand.

    `world_from_camera` (4, 4): the whole camera pose (a calibrated camera, or the first person's result, so that
    several people share one world). `gravity_camera` (3,): only the down direction in camera axes. `gravity`: what
    was found of it together with `world_from_camera`. `edges`: straight edges of the scene, people left out.
    `camera_moves`: what `backend.camera` saw of the background; it adds a warning, the camera counts as static.
    `camera_turns`: its turns were taken out of what is seen. `travel`: its positions in m; None where it stays,
    or was not followed. `right` (3,): the first frame's right where these are not its axes. `floor_below_m` the
    camera's first place, along `gravity`, where the background shows the floor. `own_px`: keypoints (T, K, 2) by track,
    as each frame of a camera that moves shows them, which say what it cuts off.
    """

    world_from_camera: Array | None = None
    gravity_camera: Array | None = None
    gravity: Gravity | None = None
    edges: SceneEdges | None = None
    camera_moves: bool = False
    camera_turns: bool = False
    travel: CameraTravel | None = None
    right: Array | None = None
    floor_below_m: float | None = None
    own_px: Mapping[int, Array] = field(default_factory=dict)
    plant_feet: bool = True
    root: RootSettings = field(default_factory=RootSettings)
    vertical: GravitySettings = field(default_factory=GravitySettings)
    contacts: ContactSettings = field(default_factory=ContactSettings)
    plant: PlantSettings = field(default_factory=PlantSettings)

    def framed(self, track: PersonTrack) -> PersonTrack:
        """The person as each frame shows them."""
        return replace(track, keypoints_px=self.own_px.get(track.track_id, track.keypoints_px))


@dataclass(frozen=True, slots=True)
class WorldTrack:
    """One person's motion in the world: Z up, metres, floor z = 0, X along the camera's right.

    Fields have the shapes and meanings of `MotionClip`: rotations_wxyz (T, J, 4) with the root orientation in the
    world, root_world_m (T, 3), root_camera_m (T, 3), joints_camera_m (T, 17, 3), contacts (T, 4),
    world_from_camera (T, 4, 4). gravity is the down direction used, gravity_source where it is from; reprojection_px
    (T,) the weighted median distance between keypoints and the reprojected body; warnings are for the user;
    figures are measured before feet were planted; body_contacts (T, 9) are those of `CONTACT_PARTS`; joint_confidence
    (T, J) how far each joint is seen.
    """

    rotations_wxyz: Array
    root_world_m: Array
    root_camera_m: Array
    joints_camera_m: Array
    contacts: Array
    world_from_camera: Array
    gravity: Gravity
    gravity_source: str
    reprojection_px: Array
    warnings: tuple[ClipWarning, ...]
    figures: dict[str, float] = field(default_factory=dict)
    body_contacts: Array | None = None
    joint_confidence: Array | None = None

    @property
    def gravity_camera(self) -> Array:
        """The direction down (3,) in the camera."""
        return self.gravity.down

    @property
    def gravity_uncertainty_deg(self) -> float:
        """How far off that direction may be, degrees (one sigma); 0 where it was given."""
        return self.gravity.uncertainty_deg
