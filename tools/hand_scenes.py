"""Renders of people with known hands, for `tools.measure_hands`: poses, gestures, cameras. Needs the extra `train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.hands.model import ANGLES, HIGH, LOW, RELAXED, hand_rotations
from backend.keypoint_layouts import CANONICAL_BODY
from backend.synthesis.assets import AssetLibrary, read_assets
from backend.synthesis.body_model import body_model
from backend.synthesis.fingers import hand_points_m
from backend.synthesis.panoramas import panorama_paths
from backend.synthesis.posing import PosedBody, pose_body
from backend.synthesis.renderer import Actor, Renderer
from backend.synthesis.scene import Camera, look_at, sample_backdrop, sample_light
from backend.synthesis.truth import subset_points_m
from backend.synthesis.wardrobe import Person, sample_person
from backend.types import Array
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.hands import HAND_SIDES
from blender_addon.motion.rotations import quaternion_multiply, quaternion_rotate, rotvec_to_quaternion

IMAGE_PX, HAND_M, DISTANCE_M = 768, 0.18, 2.5
_SHARE_EACH = 6  # images a person
_SHUTTER_S, _MOMENTS, _FOREARM_M = 1.0 / 60.0, 7, 0.33  # from elbow to the middle of the hand
_FACING = 0.6  # cosine between a palm and the way to the camera
_OPEN, _SHUT = (0.0, 0.05, 0.08), (0.0, 1.3, 1.55)
_THUMB_OUT, _THUMB_IN = (0.0, 0.1, 0.1, 0.1), (0.4, 0.5, 0.7, 0.9)
# fingers from index to little, and the thumb
GESTURES: dict[str, Array] = {
    "fist": np.array([*_SHUT * 4, *_THUMB_IN]),
    "point": np.array([*_OPEN, *_SHUT * 3, *_THUMB_IN]),
    "two": np.array([0.1, *_OPEN[1:], -0.1, *_OPEN[1:], *_SHUT * 2, *_THUMB_IN]),
    "three": np.array([*_OPEN * 3, *_SHUT, *_THUMB_IN]),
    "four": np.array([*_OPEN * 4, *_THUMB_IN]),
    "spread": np.array([0.2, 0.0, 0.05, 0.05, 0.0, 0.05, -0.12, 0.0, 0.05, -0.25, 0.0, 0.05, *_THUMB_OUT]),
    "pinch": np.array([0.0, 0.75, 0.85, *_OPEN * 3, 0.15, 0.5, 0.3, 0.45]),
}


@dataclass(frozen=True, slots=True)
class Shot:
    """One rendered frame: the image, local rotations (24, 4), hinge angles (2, 16), the camera, points (2, 21, 3) of
    both hands, keypoints (33, 3) and joints (24, 3) in the camera, and the gesture of both hands, if any.
    """

    image: NDArray[np.uint8]
    rotations_wxyz: Array
    angles: Array
    camera: Camera
    hands_m: Array
    keypoints_m: Array
    gesture: str


class Studio:
    """Renders people from the waist up, with hands `size_px` long."""

    def __init__(
        self, size_px: float, assets: Path | None, panoramas: Path | None, seed: int, speed_m_s: float = 0.0
    ) -> None:
        """`speed_m_s`: hands move so fast at most while the shutter of 1/60 s is open."""
        self.random = np.random.default_rng(seed)
        self._speed_m_s = speed_m_s
        self._focal_px = size_px / HAND_M * DISTANCE_M
        self._library: AssetLibrary = read_assets(assets, body_model())
        self._panoramas = panorama_paths(panoramas)
        self._renderer = Renderer(IMAGE_PX)

    def person(self) -> Person:
        """Somebody new."""
        return sample_person(self.random, self._library)

    def shots(self, person: Person, poses: list[tuple[Array, Array, str]], yaw_rad: float) -> list[Shot]:
        """Frames of one person before one still camera; poses are local rotations, angles and a gesture."""
        parts, shots = self._renderer.upload(person.parts), []
        camera = backdrop = light = None
        for rotations, angles, gesture in poses:
            posed = posed_person(person, rotations, angles)
            if camera is None or backdrop is None or light is None:
                camera = self._camera(posed, yaw_rad)
                backdrop = sample_backdrop(self.random, self._panoramas, camera, posed.joints_m[0])
                light = sample_light(self.random, backdrop)
            images = [
                self._renderer.render(camera, light, backdrop, (Actor(parts, bones, 1.0),)).image.astype(np.float32)
                for bones in self._while_open(person, posed, rotations, angles)
            ]
            hands = [hand_points_m(body_model(), person.body.rest, posed.bone_matrices, side) for side in (0, 1)]
            keypoints = subset_points_m("blazepose33", posed.joints_m, posed.sites_m)
            shots.append(
                Shot(
                    np.mean(images, axis=0).round().astype(np.uint8),
                    rotations,
                    angles,
                    camera,
                    camera.camera_from_world(np.stack(hands)),
                    camera.camera_from_world(keypoints),
                    gesture,
                )
            )
        self._renderer.release(parts)
        return shots

    def _while_open(self, person: Person, posed: PosedBody, rotations: Array, angles: Array) -> list[Array]:
        """Bone matrices of the moments that a shutter sees: the pose alone, or turns of both elbows about it."""
        if self._speed_m_s <= 0.0:
            return [posed.bone_matrices]
        body, moments = canonical_body(), list[Array]()
        turns = self.random.normal(size=(2, 3))
        turns *= self.random.uniform(0.3, 1.0, (2, 1)) / np.linalg.norm(turns, axis=1, keepdims=True)
        turns *= self._speed_m_s * _SHUTTER_S / _FOREARM_M
        for share in np.linspace(-0.5, 0.5, _MOMENTS):
            moved = rotations.copy()
            for side, name in enumerate(HAND_SIDES):
                elbow = body.joint_index(f"{name}_elbow")
                moved[elbow] = quaternion_multiply(rotations[elbow], rotvec_to_quaternion(share * turns[side]))
            moments.append(posed_person(person, moved, angles).bone_matrices)
        return moments

    def _camera(self, posed: PosedBody, yaw_rad: float) -> Camera:
        target = posed.joints_m[canonical_body().joint_index("neck")] + np.array([0.0, 0.0, 0.05])
        eye = target + DISTANCE_M * np.array([np.sin(yaw_rad), -np.cos(yaw_rad), self.random.uniform(-0.1, 0.2)])
        world_from_camera = np.eye(4)
        world_from_camera[:3, :3], world_from_camera[:3, 3] = look_at(eye, target).T, eye
        half = IMAGE_PX / 2
        matrix = np.array([[self._focal_px, 0.0, half], [0.0, self._focal_px, half], [0.0, 0.0, 1.0]])
        return Camera(matrix, world_from_camera, IMAGE_PX)


def posed_person(person: Person, rotations: Array, angles: Array) -> PosedBody:
    """The person in a pose, with fingers."""
    fingers = np.stack([hand_rotations(angles[side], side) for side in (0, 1)])
    return pose_body(person.body, rotations, np.array([0.0, 0.0, 1.0]), fingers_wxyz=fingers)


def random_pose(random: np.random.Generator, calm: bool) -> Array:
    """Arms lifted before the body, hands anywhere from beside the head to crossing; `calm`: palms to the camera."""
    turn = canonical_body().joint_index
    rotations = np.tile([1.0, 0.0, 0.0, 0.0], (CANONICAL_BODY.count, 1))
    inward = random.uniform(0.5, 1.0) if calm else random.uniform(0.5, 1.7)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        out = rotvec_to_quaternion(np.array([0.0, 0.0, -sign * (inward + random.normal(0, 0.1))]))
        down = rotvec_to_quaternion(np.array([0.0, sign * random.uniform(0.4, 1.0), 0.0]))
        rotations[turn(f"{side}_shoulder")] = quaternion_multiply(out, down)
        bend = rotvec_to_quaternion(np.array([0.0, -sign * random.uniform(1.5, 2.2), 0.0]))
        twist = rotvec_to_quaternion(np.array([random.uniform(-0.3, 0.3) if calm else random.uniform(-1.2, 1.2), 0, 0]))
        rotations[turn(f"{side}_elbow")] = quaternion_multiply(bend, twist)
        rotations[turn(f"{side}_wrist")] = rotvec_to_quaternion(random.normal(0.0, 0.2, 3) * [0.3, 1.0, 1.0])
    return rotations


def random_angles(random: np.random.Generator) -> Array:
    """A relaxed hand, or fingers that bend together or one by one (16,)."""
    angles = RELAXED + random.normal(0.0, 0.1, ANGLES)
    kind = random.integers(4)
    if kind < 3:
        for finger in range(4):
            bend = random.uniform() if kind == 0 else float(random.random() < 0.5)
            angles[3 * finger + 1] = bend * random.uniform(0.9, 1.4) + (1 - bend) * random.uniform(-0.1, 0.2)
            angles[3 * finger + 2] = bend * random.uniform(1.0, 1.6) + (1 - bend) * random.uniform(0.0, 0.25)
        angles[12:] = random.uniform([-0.2, 0.0, 0.0, 0.0], [0.5, 0.7, 0.7, 0.9])
    return np.clip(angles, LOW, HIGH)


def between_keys(keys: list[tuple[Array, Array]], frames: int) -> list[tuple[Array, Array, str]]:
    """Poses with fingers of `frames` frames that go from key to key, slowly at each."""
    poses = []
    for frame in range(frames):
        place = frame / frames * (len(keys) - 1)
        first, share = int(place), place - int(place)
        share = share * share * (3 - 2 * share)
        (pose, hands), (next_pose, next_hands) = keys[first], keys[first + 1]
        mixed = pose * (1 - share) + next_pose * np.sign((pose * next_pose).sum(-1, keepdims=True)) * share
        mixed /= np.linalg.norm(mixed, axis=-1, keepdims=True)
        poses.append((mixed, hands * (1 - share) + next_hands * share, ""))
    return poses


def drawn_shots(studio: Studio, images: int, gestures: bool) -> list[Shot]:
    """Random hands, or gestures with some jitter before the camera, of ever new people."""
    random, shots = studio.random, list[Shot]()
    names = list(GESTURES)
    while len(shots) < images:
        poses: list[Any] = []
        yaw_rad = float(random.uniform(-0.5, 0.5))
        while len(poses) < _SHARE_EACH:
            pose = random_pose(random, gestures)
            if gestures and not faces_camera(pose, yaw_rad):
                continue
            name = names[int(random.integers(len(names)))] if gestures else ""
            both = [random_angles(random) for _ in (0, 1)]
            if name:
                both = [np.clip(GESTURES[name] + random.normal(0.0, 0.06, ANGLES), LOW, HIGH) for _ in (0, 1)]
            poses.append((pose, np.stack(both), name))
        shots += studio.shots(studio.person(), poses, yaw_rad)
    return shots[:images]


def faces_camera(rotations: Array, yaw_rad: float) -> bool:
    """Whether both palms, or their backs, look at a camera that stands `yaw_rad` beside the front."""
    body = canonical_body()
    _, world = forward_kinematics(body, rotations, np.zeros(3))
    view = np.array([np.sin(yaw_rad), -np.cos(yaw_rad), 0.0])
    wrists = world[[body.joint_index(f"{side}_wrist") for side in ("left", "right")]]
    return bool((np.abs(quaternion_rotate(wrists, np.array([0.0, 0.0, 1.0])) @ view) > _FACING).all())
