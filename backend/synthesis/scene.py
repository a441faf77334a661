"""What is around a person: camera, light, backdrop, occluders, as frozen values drawn from one random generator.

May import numpy and its own room. Cameras are OpenCV's (x right, y down, z forward), the world is Z up in metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.synthesis.meshes import SkinnedMesh
from backend.synthesis.panoramas import Panorama, procedural_panorama, read_panorama
from backend.synthesis.wardrobe import Material, Part
from backend.types import Array
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion

Color = tuple[float, float, float]

CROP_PADDING = 1.25  # half side of a crop over the largest distance of a landmark from the mid-hip, at run time


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera of a square image: intrinsics K (3, 3) in px, world_from_camera (4, 4), `size_px` wide."""

    intrinsics: Array
    world_from_camera: Array
    size_px: int

    def camera_from_world(self, points_m: Array) -> Array:
        """Points (..., 3) of the world in camera coordinates."""
        return (points_m - self.world_from_camera[:3, 3]) @ self.world_from_camera[:3, :3]

    def project_px(self, points_camera_m: Array) -> Array:
        """Pixels (..., 2) of points (..., 3) in camera coordinates."""
        image = points_camera_m @ self.intrinsics.T
        return image[..., :2] / image[..., 2:]


@dataclass(frozen=True, slots=True)
class Light:
    """irradiance (9, 3) spherical harmonics, sun direction (3,) and colour (3,), shadow blur in map widths."""

    irradiance: Array
    sun_direction: Array
    sun_color: Array
    shadow_softness: float
    exposure: float


@dataclass(frozen=True, slots=True)
class Backdrop:
    """A panorama turned by `yaw_rad` and widened by `gain`; a floor (kind 0: none); perhaps a room around."""

    panorama: Panorama
    yaw_rad: float
    gain: float
    floor_kind: int
    floor_colors: tuple[Color, Color]
    floor_per_m: float
    floor_angle_rad: float
    room_walls_m: tuple[float, float, float, float] | None
    room_height_m: float
    wall_colors: tuple[Color, Color]
    wall_per_m: float
    shadow_catcher: bool


@dataclass(frozen=True, slots=True)
class CameraDraw:
    """How a crop camera was drawn: field of view of the whole frame's width, distance, pitch, roll of the crop."""

    field_of_view_rad: float
    distance_m: float
    pitch_rad: float
    crop_roll_rad: float


def sample_crop_camera(
    rng: np.random.Generator, hips_m: Array, shoulders_m: Array, landmarks_m: Array, size_px: int, margin: float
) -> tuple[Camera, CameraDraw]:
    """A camera that sees a person as a tracker's crop does: mid-hip in the middle, the torso up, off-axis in its frame.

    `hips_m`, `shoulders_m` (3,) midpoints, `landmarks_m` (N, 3); the half side is `margin` x 1.25 x the largest
    distance of a landmark from the mid-hip, all with jitter.
    """
    pitch = np.radians(_sample_pitch_deg(rng))
    fov = np.radians(rng.uniform(28.0, 80.0))
    distance = float(np.exp(rng.uniform(np.log(1.9), np.log(8.0))))
    yaw = rng.uniform(-np.pi, np.pi)
    eye = hips_m - distance * np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    eye[2] = max(eye[2], 0.08)
    looking = look_at(eye, hips_m)
    # the person is rarely in the middle of the frame: turn the camera away by up to a third of its view
    reach = 0.33 * fov
    turn = rng.uniform(-reach, reach, 2) * rng.uniform(0.0, 1.0)
    frame_axes = quaternion_to_matrix(rotvec_to_quaternion(np.array([turn[1] * 0.6, turn[0], 0.0]))) @ looking
    seen = (landmarks_m - eye) @ frame_axes.T
    if (seen[:, 2] < 0.35).any():  # a limb behind or at the lens: step back
        eye = eye + (eye - hips_m) * 0.6
        eye[2] = max(eye[2], 0.08)
    hips, shoulders, landmarks = ((points - eye) @ frame_axes.T for points in (hips_m, shoulders_m, landmarks_m))
    up = shoulders[:2] / shoulders[2] - hips[:2] / hips[2]
    wobble = rng.normal(0.0, np.radians(6.0)) if rng.random() < 0.93 else rng.normal(0.0, np.radians(30.0))
    roll = float(np.arctan2(up[0], -up[1]) + wobble)
    about_z = quaternion_to_matrix(rotvec_to_quaternion(np.array([0.0, 0.0, -roll])))
    intrinsics = _crop_intrinsics(rng, about_z @ hips, landmarks @ about_z.T, size_px, margin)
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3], world_from_camera[:3, 3] = (about_z @ frame_axes).T, eye
    camera = Camera(intrinsics, world_from_camera, size_px)
    return camera, CameraDraw(float(fov), float(np.linalg.norm(eye - hips_m)), float(pitch), roll)


def _sample_pitch_deg(rng: np.random.Generator) -> float:
    """Positive looks down: mostly near eye level, sometimes from overhead or from below."""
    kind = rng.random()
    if kind < 0.72:
        return float(rng.normal(7.0, 11.0))
    if kind < 0.88:
        return float(rng.uniform(20.0, 78.0))
    return float(rng.uniform(-35.0, 0.0))


def look_at(eye: Array, target: Array) -> Array:
    """Camera axes as rows (3, 3): x right, y down, z toward the target; no roll. Straight down is safe."""
    forward = (target - eye) / max(float(np.linalg.norm(target - eye)), 1e-9)
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.999 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def _crop_intrinsics(rng: np.random.Generator, hips: Array, landmarks: Array, size_px: int, margin: float) -> Array:
    """Intrinsics (3, 3) of the crop around a person, from hips (3,) and landmarks (N, 3) in the crop's axes, in m."""
    center = hips[:2] / hips[2]
    reach = float(np.linalg.norm(landmarks[:, :2] / landmarks[:, 2:] - center, axis=1).max())
    half = reach * CROP_PADDING * margin * float(np.exp(rng.normal(0.0, 0.06)))
    center = center + rng.normal(0.0, 0.03, 2) * half
    focal = size_px / (2.0 * half)
    return np.array(
        [[focal, 0.0, size_px / 2 - focal * center[0]], [0.0, focal, size_px / 2 - focal * center[1]], [0.0, 0.0, 1.0]]
    )


def sample_backdrop(rng: np.random.Generator, panoramas: tuple[Path, ...], camera: Camera, hips_m: Array) -> Backdrop:
    """A photograph, a floor under a photograph, or a room."""
    if panoramas:
        panorama = read_panorama(panoramas[rng.integers(len(panoramas))])
    else:
        panorama = procedural_panorama(int(rng.integers(24)))
    kind = rng.random()
    floor_kind = 0 if kind < 0.45 else int(rng.integers(1, 6))
    eye = camera.world_from_camera[:3, 3]
    walls = None
    if kind > 0.72:
        low = np.minimum(eye[:2], hips_m[:2]) - rng.uniform(0.6, 4.0, 2)
        high = np.maximum(eye[:2], hips_m[:2]) + rng.uniform(0.6, 4.0, 2)
        walls = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    return Backdrop(
        panorama=panorama,
        yaw_rad=float(rng.uniform(-np.pi, np.pi)),
        gain=float(np.exp(rng.uniform(0.0, np.log(4.0)))),
        floor_kind=floor_kind,
        floor_colors=(surface_color(rng), surface_color(rng)),
        floor_per_m=float(np.exp(rng.uniform(np.log(1.0), np.log(9.0)))),
        floor_angle_rad=float(rng.uniform(0.0, np.pi)),
        room_walls_m=walls,
        room_height_m=max(float(rng.uniform(2.3, 4.5)), float(eye[2]) + 0.3),
        wall_colors=(surface_color(rng), surface_color(rng)),
        wall_per_m=float(rng.uniform(0.4, 1.6)),
        shadow_catcher=bool(eye[2] > 0.3),
    )


def surface_color(rng: np.random.Generator) -> Color:
    """A colour of paint or floor: mostly greyish."""
    value = rng.uniform(0.05, 0.85)
    tint = 1.0 + (rng.dirichlet((2.0, 2.0, 2.0)) * 3.0 - 1.0) * rng.beta(1.0, 3.0) * 0.6
    red, green, blue = np.clip(value * tint, 0.02, 0.95)
    return float(red), float(green), float(blue)


def sample_light(rng: np.random.Generator, backdrop: Backdrop) -> Light:
    """The panorama's own light, or a lamp and an ambient light of random colours."""
    panorama = backdrop.panorama
    exposure = float(0.95 * np.exp(rng.normal(0.0, 0.35)))
    softness = float(np.exp(rng.uniform(np.log(0.002), np.log(0.03))))
    if rng.random() < 0.6:
        turn = quaternion_to_matrix(rotvec_to_quaternion(np.array([0.0, 0.0, backdrop.yaw_rad])))
        irradiance = _turned_irradiance(panorama.irradiance.astype(np.float64), backdrop.yaw_rad)
        sun = np.minimum(panorama.sun_color, 3.0)
        if float(sun.max()) < 0.05:  # an overcast or indoor image: its brightest part still gives a soft key
            sun, softness = panorama.irradiance[0] * 0.282095 * 0.35, 0.03
        return Light(irradiance, turn @ panorama.sun_direction, sun, softness, exposure)
    toward = rng.normal(size=3) + np.array([0.0, 0.0, 0.8])
    toward[2] = abs(toward[2])
    key = rng.uniform(0.2, 1.6) * rng.uniform(0.8, 1.0, 3)
    irradiance = np.zeros((9, 3))
    irradiance[0] = rng.uniform(0.25, 0.9) * rng.uniform(0.85, 1.0, 3) / 0.282095
    irradiance[2] = irradiance[0] * rng.uniform(-0.05, 0.35) * 0.282095 / 0.488603
    return Light(irradiance, toward / np.linalg.norm(toward), key, softness, exposure)


def _turned_irradiance(irradiance: Array, yaw_rad: float) -> Array:
    """Rotate the harmonics about Z so that they match a panorama read at longitude + yaw."""
    turned = irradiance.copy()
    for order, (sine_like, cosine_like) in ((1, (1, 3)), (1, (5, 7)), (2, (4, 8))):
        c, s = np.cos(order * yaw_rad), np.sin(order * yaw_rad)
        y, x = irradiance[sine_like], irradiance[cosine_like]
        turned[cosine_like], turned[sine_like] = c * x - s * y, s * x + c * y
    return turned


def sample_occluders(rng: np.random.Generator, camera: Camera, landmarks_m: Array) -> tuple[Part, ...]:
    """Boxes between the camera and a landmark or two; none most of the time."""
    if rng.random() > 0.2:
        return ()
    eye = camera.world_from_camera[:3, 3]
    parts = []
    for _ in range(int(rng.integers(1, 3))):
        target = landmarks_m[rng.integers(len(landmarks_m))]
        share = rng.uniform(0.45, 0.85)
        center = eye + (target - eye) * share + rng.normal(0.0, 0.05, 3)
        clear = float(np.linalg.norm(landmarks_m - center, axis=1).min())
        half = np.exp(rng.uniform(np.log(0.03), np.log(0.26), 3)) * share
        half *= min(1.0, max(clear - 0.05, 0.04) / float(np.linalg.norm(half)))
        turn = quaternion_to_matrix(rotvec_to_quaternion(rng.normal(0.0, 0.7, 3)))
        color = surface_color(rng)
        material = Material(
            None,
            color,
            color,
            -9.0,
            0.0,
            int(rng.integers(0, 4)),
            surface_color(rng),
            float(rng.uniform(2.0, 30.0)),
            0.1,
        )
        parts.append(Part(box_mesh(center, half, turn), material))
    return tuple(parts)


def box_mesh(center: Array, half: Array, turn: Array) -> SkinnedMesh:
    """A box as a mesh that rides on bone 0."""
    corner: list[Array] = []
    normal: list[Array] = []
    triangles: list[tuple[int, int, int]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
            n = np.eye(3)[axis] * sign
            first = len(corner)
            corner += [n + a * u + b * v for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            normal += [n] * 4
            triangles += [(first, first + 1, first + 2), (first, first + 2, first + 3)]
    position = (np.array(corner) * half) @ turn.T + center
    count = len(corner)
    weights = np.tile(np.array([1.0, 0.0, 0.0, 0.0], dtype=np.float32), (count, 1))
    return SkinnedMesh(
        position.astype(np.float32),
        (np.array(normal) @ turn.T).astype(np.float32),
        np.zeros((count, 2), dtype=np.float32),
        np.zeros((count, 4), dtype=np.int32),
        weights,
        np.array(triangles, dtype=np.int32),
    )
