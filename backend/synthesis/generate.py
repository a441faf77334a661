"""Renders one shard: people, poses, cameras, images and their truth, all from one seed.

May import numpy and its own room. The same settings and seed give the same shard on the same machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.synthesis.assets import AssetLibrary, read_assets
from backend.synthesis.body_model import BODY_VERTICES, PHENOTYPE_NAMES, body_model
from backend.synthesis.degrade import degraded, jpeg_bytes
from backend.synthesis.panoramas import panorama_paths
from backend.synthesis.poses import DrawnPose, PoseCollection, draw_motion, draw_pose, read_collection
from backend.synthesis.posing import PosedBody, pose_body, skin_vertices
from backend.synthesis.renderer import Actor, RenderedImage, Renderer, Uploaded
from backend.synthesis.scene import (
    Camera,
    CameraDraw,
    sample_backdrop,
    sample_crop_camera,
    sample_light,
    sample_occluders,
)
from backend.synthesis.truth import ImageTruth, subset_points_m, visible_landmarks
from backend.synthesis.wardrobe import Person, sample_person
from backend.types import Array
from blender_addon.motion.body import canonical_body

_IMAGES_PER_PERSON = 5
_IDENTITY_BONES = np.eye(3, 4)[None]
# every 7th vertex finds the lowest point of a body to a millimetre or two
_PROBED_VERTICES = np.arange(0, BODY_VERTICES, 7)


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """What decides the images besides the seed. `size_px` side of an image, `margin` room around a tracker's crop;
    `sequence_frames`: that many images in a row are a video at 30/s of one person before one still camera.
    """

    seed: int
    size_px: int = 320
    margin: float = 1.12
    supersample: float = 1.6
    random_pose_share: float = 0.12
    companion_share: float = 0.14
    cut_share: float = 0.08
    sequence_frames: int = 1
    assets: str = ""
    panoramas: str = ""


@dataclass(frozen=True, slots=True)
class Cast:
    """A person on the GPU."""

    person: Person
    parts: tuple[Uploaded, ...]
    offsets_m: Array


class ShardRenderer:
    """Holds the renderer, the assets and the poses of one worker process."""

    def __init__(self, settings: RenderSettings, poses: PoseCollection) -> None:
        self.settings = settings
        self.poses = poses
        self.library: AssetLibrary = read_assets(Path(settings.assets) if settings.assets else None, body_model())
        self.panoramas = panorama_paths(Path(settings.panoramas) if settings.panoramas else None)
        self.renderer = Renderer(settings.size_px, settings.supersample)

    @classmethod
    def from_files(cls, settings: RenderSettings, collection: Path) -> ShardRenderer:
        """Make one with the poses of a collection file."""
        return cls(settings, read_collection(collection))

    def render(self, shard: int, count: int, on_image: Callable[[], None]) -> tuple[list[bytes], list[ImageTruth]]:
        """Render `count` images of a shard by number; `on_image` is called after each."""
        rng = np.random.default_rng([self.settings.seed, shard])
        jpegs: list[bytes] = []
        truths: list[ImageTruth] = []
        lead, companion = self._cast(rng), self._cast(rng)
        frames = self.settings.sequence_frames
        for index in range(0, count, frames):
            if index and (index // frames) % max(1, _IMAGES_PER_PERSON // frames) == 0:
                self.renderer.release(companion.parts)
                lead, companion = self._cast(rng), lead
            shots = self._shots(rng, lead, companion)
            lens = int(rng.integers(2**63)) if frames > 1 else None
            for image, truth in shots[: count - index]:
                camera_rng = rng if lens is None else np.random.default_rng(lens)
                jpegs.append(jpeg_bytes(camera_rng, degraded(camera_rng, image, rng)))
                truths.append(truth)
                on_image()
        self.renderer.release(lead.parts)
        self.renderer.release(companion.parts)
        return jpegs, truths

    def _cast(self, rng: np.random.Generator) -> Cast:
        person = sample_person(rng, self.library)
        return Cast(person, self.renderer.upload(person.parts), rest_offsets_m(person))

    def _shots(
        self, rng: np.random.Generator, lead: Cast, companion: Cast
    ) -> list[tuple[NDArray[np.uint8], ImageTruth]]:
        """One image, or the frames of one video; the camera is drawn for the frame in the middle."""
        settings = self.settings
        poses = draw_motion(rng, self.poses, settings.random_pose_share, settings.sequence_frames)
        curl = finger_curl(rng)
        video = [placed(curl, lead.person, pose) for pose in poses]
        landmarks = np.concatenate([subset_points_m("blazepose33", frame.joints_m, frame.sites_m) for frame in video])
        posed = video[len(video) // 2]
        camera, draw = self._camera(rng, posed, landmarks)
        backdrop = sample_backdrop(rng, self.panoramas, camera, posed.joints_m[0])
        light = sample_light(rng, backdrop)
        occluders = self.renderer.upload(sample_occluders(rng, camera, landmarks))
        others: list[Actor] = []
        with_companion = bool(rng.random() < settings.companion_share)
        if with_companion:
            pose = draw_pose(rng, self.poses, settings.random_pose_share)
            other = beside(rng, placed(finger_curl(rng), companion.person, pose), posed, camera)
            others.append(Actor(companion.parts, other.bone_matrices, 0.5))
        if occluders:
            others.append(Actor(occluders, _IDENTITY_BONES, 0.25))
        images = [
            self.renderer.render(camera, light, backdrop, (Actor(lead.parts, frame.bone_matrices, 1.0), *others))
            for frame in video
        ]
        self.renderer.release(occluders)
        kept = cut_window(rng, settings.size_px, settings.cut_share)
        shot = _Shot(camera, draw, kept, with_companion, bool(occluders))
        return [
            (blackened(image.image, kept), _truth(lead, pose, frame, shot, image))
            for image, pose, frame in zip(images, poses, video, strict=True)
        ]

    def _camera(self, rng: np.random.Generator, posed: PosedBody, landmarks: Array) -> tuple[Camera, CameraDraw]:
        body = canonical_body()
        shoulders = posed.joints_m[[body.joint_index("left_shoulder"), body.joint_index("right_shoulder")]].mean(axis=0)
        return sample_crop_camera(
            rng, posed.joints_m[0], shoulders, landmarks, self.settings.size_px, self.settings.margin
        )


@dataclass(frozen=True, slots=True)
class _Shot:
    """What the frames of one shot share: the camera and how it was drawn, the part (x0, y0, x1, y1) of the crop that
    lies inside the video frame, and whether another person or an object is in front of the camera.
    """

    camera: Camera
    draw: CameraDraw
    window: tuple[int, int, int, int]
    has_companion: bool
    has_occluder: bool


def finger_curl(rng: np.random.Generator) -> tuple[float, float]:
    """How far the fingers of both hands are bent, 0 to 1: relaxed hands."""
    left, right = np.clip(rng.normal(0.2, 0.16, 2), 0.0, 0.75)
    return float(left), float(right)


def placed(curl: tuple[float, float], person: Person, pose: DrawnPose) -> PosedBody:
    """Pose a person with bent fingers and put it on the ground, or as high above it as the mocap was."""
    posed = pose_body(person.body, pose.rotations_wxyz, np.zeros(3), curl)
    lowest = float(skin_vertices(person.body, posed.bone_matrices, _PROBED_VERTICES)[:, 2].min())
    return posed.moved(np.array([0.0, 0.0, pose.clearance_m - lowest]))


def beside(rng: np.random.Generator, other: PosedBody, posed: PosedBody, camera: Camera) -> PosedBody:
    """Move a second person next to, before or behind the first one, seen from the camera."""
    eye = camera.world_from_camera[:2, 3]
    away = posed.joints_m[0, :2] - eye
    distance = float(np.linalg.norm(away))
    away = away / max(distance, 1e-6)
    across = np.array([-away[1], away[0]])
    sideways = rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 0.95)
    depth = rng.uniform(-min(0.6, 0.3 * distance), 0.9)
    target = posed.joints_m[0, :2] + across * sideways + away * depth
    return other.moved(np.array([*(target - other.joints_m[0, :2]), 0.0]))


def cut_window(rng: np.random.Generator, side_px: int, share: float) -> tuple[int, int, int, int]:
    """The part (x0, y0, x1, y1) of a crop that lies inside the video frame: sometimes not all of it."""
    window = [0, 0, side_px, side_px]
    if rng.random() < share:
        edge = int(rng.choice(4, p=[0.2, 0.12, 0.2, 0.48]))
        depth = int(side_px * rng.uniform(0.08, 0.42))
        window[edge] = depth if edge < 2 else side_px - depth
    return window[0], window[1], window[2], window[3]


def blackened(image: NDArray[np.uint8], window: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """The image (S, S, 3), black outside of (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = window
    cut = np.zeros_like(image)
    cut[y0:y1, x0:x1] = image[y0:y1, x0:x1]
    return cut


def rest_offsets_m(person: Person) -> Array:
    """Offsets (J, 3) of a person's canonical joints to their parents in the T-pose; row 0 is the pelvis' height."""
    body = canonical_body()
    identity = np.zeros((len(body.joint_names), 4))
    identity[:, 0] = 1.0
    posed = pose_body(person.body, identity, np.zeros(3))
    lowest = float(skin_vertices(person.body, posed.bone_matrices, _PROBED_VERTICES)[:, 2].min())
    offsets = posed.joints_m.copy()
    offsets[1:] -= posed.joints_m[body.parents[1:]]
    offsets[0] = [0.0, 0.0, -lowest]
    return offsets


def _truth(
    lead: Cast,
    pose: DrawnPose,
    posed: PosedBody,
    shot: _Shot,
    image: RenderedImage,
) -> ImageTruth:
    camera, draw, (x0, y0, x1, y1) = shot.camera, shot.draw, shot.window
    joints, sites = camera.camera_from_world(posed.joints_m), camera.camera_from_world(posed.sites_m)
    landmarks = subset_points_m("blazepose33", joints, sites)
    pixels = camera.project_px(landmarks)
    visible = visible_landmarks(landmarks, pixels, camera.size_px, image.depth_m)
    in_frame = (pixels >= [x0, y0]).all(axis=1) & (pixels < [x1, y1]).all(axis=1)
    phenotype = lead.person.body.rest.phenotype
    return ImageTruth(
        intrinsics=camera.intrinsics,
        world_from_camera=camera.world_from_camera,
        rotations_wxyz=pose.rotations_wxyz,
        joints_camera_m=joints,
        h36m17_camera_m=subset_points_m("centres17", joints, sites),
        blazepose33_camera_m=landmarks,
        visible33=visible & in_frame,
        offsets_m=lead.offsets_m,
        height_m=lead.person.height_m,
        phenotype=np.array([getattr(phenotype, name) for name in PHENOTYPE_NAMES]),
        pose_source=pose.source,
        has_companion=shot.has_companion,
        has_occluder=shot.has_occluder,
        camera_draw=np.array([draw.field_of_view_rad, draw.distance_m, draw.pitch_rad, draw.crop_roll_rad]),
    )
