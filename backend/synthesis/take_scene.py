"""Several cameras round one performance: people, places of the cameras, surroundings, and the truth of it all.

May import numpy and its own room. The world is Z up with the floor at z = 0, in m; cameras are OpenCV's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.synthesis.body_model import BODY_VERTICES
from backend.synthesis.performances import Kind, Performed
from backend.synthesis.posing import PosedBody, pose_body, skin_vertices
from backend.synthesis.renderer import Actor, Renderer
from backend.synthesis.rooms import Surroundings, sample_place
from backend.synthesis.scene import Backdrop, Camera, Light, box_mesh, look_at, sample_light
from backend.synthesis.truth import subset_points_m
from backend.synthesis.video import still_camera
from backend.synthesis.wardrobe import Material, Part, Person
from backend.types import Array
from blender_addon.motion.body import canonical_body, forward_kinematics, seen_points_m
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion

FPS = 60.0
_SENSOR_MM = 36.0
_PROBES = np.arange(0, BODY_VERTICES, 9)
_BONES = np.eye(3, 4)[None]


@dataclass(frozen=True, slots=True)
class Placed:
    """One person's posed body at 60 frames per second: `posed` (T), and joints_m (T, 17, 3), the Human3.6M joints that
    errors are measured on, in the world.
    """

    person: Person
    posed: tuple[PosedBody, ...]
    joints_m: Array
    landmarks_m: Array


@dataclass(frozen=True, slots=True)
class TakeCamera:
    """A camera of `width` x `height` px with K `intrinsics` (3, 3) and world_from_camera (4, 4)."""

    intrinsics: Array
    world_from_camera: Array
    width: int
    height: int

    def project_px(self, points_m: Array) -> tuple[Array, Array]:
        """Pixels (..., 2) and depths (...) in m of points (..., 3) of the world."""
        seen = (points_m - self.world_from_camera[:3, 3]) @ self.world_from_camera[:3, :3]
        image = seen @ self.intrinsics.T
        return image[..., :2] / image[..., 2:], seen[..., 2]


@dataclass(frozen=True, slots=True)
class TakeScene:
    """What is recorded: people, light, backdrop, and the things that stand in it."""

    people: tuple[Placed, ...]
    light: Light
    backdrop: Backdrop
    things: tuple[Part, ...]


def place_people(people: Sequence[Person], performed: Sequence[Performed], kind: Kind) -> tuple[Placed, ...]:
    """Every person's body in the motion, on the floor (a seated one on a chair)."""
    return tuple(_placed(person, motion, kind) for person, motion in zip(people, performed, strict=True))


def _placed(person: Person, motion: Performed, kind: Kind) -> Placed:
    body = canonical_body()
    identity = np.tile([1.0, 0.0, 0.0, 0.0], (motion.rotations_wxyz.shape[1], 1))
    scale = _leg_m(pose_body(person.body, identity, np.zeros(3)).joints_m) / _leg_m(body.rest_positions_m())
    posed = [
        pose_body(person.body, turn, root * [1.0, 1.0, scale], (0.25, 0.25))
        for turn, root in zip(motion.rotations_wxyz, motion.root_m, strict=True)
    ]
    if kind is not Kind.SEATED:
        lowest = [skin_vertices(person.body, one.bone_matrices, _PROBES)[:, 2].min() for one in posed[::3]]
        posed = [one.moved(np.array([0.0, 0.0, -float(np.percentile(lowest, 5))])) for one in posed]
    centres = np.stack([subset_points_m("centres17", one.joints_m, one.sites_m) for one in posed])
    landmarks = np.stack([subset_points_m("blazepose33", one.joints_m, one.sites_m) for one in posed])
    _, turns = forward_kinematics(body, motion.rotations_wxyz, np.zeros((len(posed), 3)))
    joints = seen_points_m("h36m17", centres, quaternion_to_matrix(turns))
    return Placed(person, tuple(posed), joints, landmarks)


def _leg_m(joints_m: Array) -> float:
    hip, knee, ankle = (joints_m[canonical_body().joint_index(f"left_{name}")] for name in ("hip", "knee", "ankle"))
    return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))


def place_camera(
    rng: np.random.Generator,
    people: Sequence[Placed],
    yaw_rad: float,
    lens_mm: float,
    size: tuple[int, int],
    kind: Kind,
) -> TakeCamera:
    """A camera at `yaw_rad` round the people, as far away as its lens (as on full frame, along the longer side) asks:
    whole bodies in the image, or, of a seated person, the upper body.
    """
    points = np.concatenate([one.landmarks_m[::10] for one in people])
    if kind is Kind.SEATED:
        points = points[:, _UPPER]
    flat = points.reshape(-1, 3)
    middle = (flat.max(axis=0) + flat.min(axis=0)) / 2
    target = middle + rng.normal(0.0, 0.06, 3)
    focal = lens_mm / _SENSOR_MM * max(size)
    matrix = np.array([[focal, 0.0, size[0] / 2], [0.0, focal, size[1] / 2], [0.0, 0.0, 1.0]])
    height = float(rng.uniform(0.9, 1.4) if kind is Kind.SEATED else rng.uniform(0.6, 1.9))
    roll = float(np.radians(rng.normal(0.0, 1.5) if rng.random() < 0.85 else rng.uniform(-20, 20)))
    fill = float(rng.uniform(1.0, 1.2) if kind is Kind.SEATED else rng.uniform(0.6, 1.0))
    camera = TakeCamera(matrix, np.eye(4), *size)
    for distance in np.geomspace(1.2, 16.0, 80):
        eye = np.array([middle[0] + distance * np.cos(yaw_rad), middle[1] + distance * np.sin(yaw_rad), height])
        about = quaternion_to_matrix(rotvec_to_quaternion(np.array([0.0, 0.0, roll])))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = (about @ look_at(eye, target)).T, eye
        camera = replace(camera, world_from_camera=pose)
        pixels, depth = camera.project_px(flat)
        reach = np.abs(pixels / size - 0.5).max(axis=1) * 2
        if depth.min() > 0.5 and np.percentile(reach, 99) < 0.95 * fill:
            break
    return camera


_UPPER = [*range(23), 23, 24]


def surround(
    rng: np.random.Generator,
    people: tuple[Placed, ...],
    cameras: Sequence[TakeCamera],
    kind: Kind,
    where: Surroundings | None = None,
) -> TakeScene:
    """A room round all cameras, or a lawn, as `where` says or by chance; a chair under a seated person; nothing stands
    before a lens.
    """
    eyes = np.array([camera.world_from_camera[:3, 3] for camera in cameras])
    hips = np.concatenate([one.joints_m[:, 0] for one in people])
    corners = np.concatenate([eyes, hips])
    low, high = corners.min(axis=0) - 0.3, corners.max(axis=0) + 0.3
    corner = still_camera(np.array([low[0], low[1], eyes[:, 2].max()]), hips.mean(axis=0), 1.0, 8)
    drawn = Surroundings.ROOM if rng.random() < 0.75 else Surroundings.LAWN
    place = sample_place(rng, where or drawn, corner, np.array([high[0], high[1], 0.9]))
    things = [part for part in place.things if _out_of_sight(part, eyes, hips)]
    if kind is Kind.SEATED:
        seat = hips.mean(axis=0)
        half = np.array([0.22, 0.22, (seat[2] - 0.12) / 2])
        grey = (0.2, 0.2, 0.22)
        chair = box_mesh(np.array([seat[0], seat[1] + 0.05, half[2]]), half, np.eye(3))
        things.append(Part(chair, Material(None, grey, grey)))
    return TakeScene(people, sample_light(rng, place.backdrop), place.backdrop, tuple(things))


def _out_of_sight(part: Part, eyes: Array, hips: Array) -> bool:
    points = part.mesh.position_m[:, :2].astype(np.float64)
    middle, reach = points.mean(axis=0), float(np.ptp(points, axis=0).max()) / 2
    for eye in eyes:
        for target in hips[::30, :2]:
            way = target - eye[:2]
            along = float(np.clip((middle - eye[:2]) @ way / (way @ way), 0.0, 1.05))
            if np.linalg.norm(middle - eye[:2] - along * way) < reach + 0.7:
                return False
    return True


def record(
    scene: TakeScene, camera: TakeCamera, times_s: Array, renderer: Renderer, moving: Array | None = None
) -> Iterator[NDArray[np.uint8]]:
    """The frames (H, W, 3) RGB of one camera at times of the performance (T,).

    The renderer draws squares: pixels of other shapes are made square by its final size. What does not move is drawn
    once, unless the camera is carried along: `moving` (T, 4, 4) are its poses then.
    """
    uploaded = [renderer.upload(one.person.parts) for one in scene.people]
    things = renderer.upload(scene.things)
    try:
        square = _square(camera, renderer.size_px)
        still = Actor(things, _BONES, 0.25)
        behind = None if moving is not None else _background(scene, square, renderer, still)
        for at, time_s in enumerate(times_s):
            actors = tuple(
                Actor(parts, _matrices_at(one, float(time_s)), 1.0)
                for one, parts in zip(scene.people, uploaded, strict=True)
            )
            if moving is not None:
                square = replace(square, world_from_camera=moving[at])
                image = renderer.render(square, scene.light, scene.backdrop, (*actors, still)).image
            else:
                drawn = renderer.render(square, scene.light, None, actors)
                share = drawn.coverage[..., None].astype(np.float32) / 255.0
                assert behind is not None
                image = (drawn.image + behind * (1.0 - share)).clip(0, 255).astype(np.uint8)
            yield cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    finally:
        for parts in (*uploaded, things):
            renderer.release(parts)


def _background(scene: TakeScene, camera: Camera, renderer: Renderer, still: Actor) -> NDArray[np.float32]:
    backdrop = replace(scene.backdrop, shadow_catcher=False)
    return renderer.render(camera, scene.light, backdrop, (still,)).image.astype(np.float32)


def _square(camera: TakeCamera, size_px: int) -> Camera:
    shape = np.diag([size_px / camera.width, size_px / camera.height, 1.0])
    return Camera(shape @ camera.intrinsics, camera.world_from_camera, size_px)


def _matrices_at(one: Placed, time_s: float) -> Array:
    """Bone matrices (B, 3, 4) between two posed frames."""
    place = float(np.clip(time_s * FPS, 0.0, len(one.posed) - 1.001))
    before = int(place)
    share = place - before
    first, second = one.posed[before].bone_matrices, one.posed[before + 1].bone_matrices
    mixed = first * (1.0 - share) + second * share
    left, _, right = np.linalg.svd(mixed[:, :, :3])
    return np.concatenate([left @ right, mixed[:, :, 3:]], axis=2)


def joints_at(joints_m: Array, times_s: Array) -> Array:
    """True joints (T, ...) at times of the performance, straight between its 60 frames a second."""
    place = np.clip(np.asarray(times_s) * FPS, 0.0, len(joints_m) - 1.001)
    before = place.astype(int)
    share = (place - before).reshape(-1, *(1,) * (joints_m.ndim - 1))
    return np.asarray(joints_m[before] * (1 - share) + joints_m[before + 1] * share)
