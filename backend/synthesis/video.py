"""A short video of one rendered person before a still camera, with the truth of every frame.

May import numpy, `backend.datasets` (takes) and its own room. The demo's clip and the pipeline's truth test use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.datasets import Motion
from backend.errors import BadInputError
from backend.synthesis.body_model import BODY_VERTICES
from backend.synthesis.posing import pose_body, skin_vertices
from backend.synthesis.renderer import Actor, Renderer
from backend.synthesis.scene import Backdrop, Camera, Light, look_at
from backend.synthesis.truth import subset_points_m
from backend.synthesis.wardrobe import Person
from backend.types import Array
from blender_addon.motion.body import canonical_body, forward_kinematics, seen_points_m
from blender_addon.motion.rotations import quaternion_continuous, quaternion_slerp, quaternion_to_matrix


@dataclass(frozen=True, slots=True)
class Video:
    """What is filmed: a person does a take, seen by `camera` (square; `height_px` rows from its middle are kept)."""

    person: Person
    take: Motion
    camera: Camera
    height_px: int
    light: Light
    backdrop: Backdrop


@dataclass(frozen=True, slots=True)
class VideoTruth:
    """Truth of T frames, metres and seconds: intrinsics (3, 3) of the frames, world_from_camera (4, 4), world Z up with
    the floor at z = 0; rotations_wxyz (T, J, 4) local, joint 0 in the world; root_world_m (T, 3) pelvis;
    joints_camera_m (T, 17, 3) Human3.6M joints, as errors are measured on them; body_joints_camera_m (T, J, 3) and
    landmarks_camera_m (T, 33, 3) at joint centres and on the skin.
    """

    times_s: Array
    intrinsics: Array
    world_from_camera: Array
    rotations_wxyz: Array
    root_world_m: Array
    joints_camera_m: Array
    body_joints_camera_m: Array
    landmarks_camera_m: Array


def still_camera(eye_m: Array, target_m: Array, field_of_view_rad: float, size_px: int) -> Camera:
    """A level camera at `eye_m` (3,) that looks at `target_m` (3,); the field of view is the width's."""
    focal = size_px / 2 / np.tan(field_of_view_rad / 2)
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = look_at(eye_m, target_m).T
    world_from_camera[:3, 3] = eye_m
    intrinsics = np.array([[focal, 0.0, size_px / 2], [0.0, focal, size_px / 2], [0.0, 0.0, 1.0]])
    return Camera(intrinsics, world_from_camera, size_px)


def take_at(take: Motion, times_s: Array) -> tuple[Array, Array]:
    """Rotations (T, J, 4) and root (T, 3) of a take at given times. Raises BadInputError beyond its end."""
    place = np.asarray(times_s, dtype=np.float64) * take.fps
    if len(take) < 2 or place.min() < 0 or place.max() > len(take) - 1:
        raise BadInputError(f"{take.source} lasts {(len(take) - 1) / take.fps:.2f} s, not {times_s[-1]:.2f} s")
    before = np.minimum(place.astype(int), len(take) - 2)
    share = place - before
    rotations = quaternion_continuous(take.rotations_wxyz.astype(np.float64))
    turned = quaternion_slerp(rotations[before], rotations[before + 1], share[:, None])
    root = take.root_m[before] * (1 - share[:, None]) + take.root_m[before + 1] * share[:, None]
    return turned, root


def video_truth(video: Video, times_s: Array) -> tuple[VideoTruth, list[Array]]:
    """The truth of all frames, and the bone matrices (B, 3, 4) to draw each with.

    The take's path is scaled to the person's legs, and the whole take is put on the floor by its lowest frame.
    """
    rotations, root = take_at(video.take, times_s)
    identity = np.tile([1.0, 0.0, 0.0, 0.0], (rotations.shape[1], 1))
    legs = pose_body(video.person.body, identity, np.zeros(3)).joints_m
    scale = _leg_length(legs) / _leg_length(_canonical_joints())
    posed = [
        pose_body(video.person.body, turn, place * scale, (0.25, 0.25))
        for turn, place in zip(rotations, root, strict=True)
    ]
    probes = np.arange(0, BODY_VERTICES, 5)
    lowest = [skin_vertices(video.person.body, frame.bone_matrices, probes)[:, 2].min() for frame in posed]
    # of all frames the one that stands lowest touches the floor; the feet of the others stay where the mocap has them
    posed = [frame.moved(np.array([0.0, 0.0, -float(np.percentile(lowest, 5))])) for frame in posed]
    joints = np.stack([video.camera.camera_from_world(frame.joints_m) for frame in posed])
    sites = np.stack([video.camera.camera_from_world(frame.sites_m) for frame in posed])
    centres = np.stack([subset_points_m("centres17", j, s) for j, s in zip(joints, sites, strict=True)])
    _, turns = forward_kinematics(canonical_body(), rotations, np.zeros((len(rotations), 3)))
    turns_in_camera = video.camera.world_from_camera[:3, :3].T @ quaternion_to_matrix(turns)
    intrinsics = video.camera.intrinsics.copy()
    intrinsics[1, 2] -= (video.camera.size_px - video.height_px) / 2
    truth = VideoTruth(
        times_s=np.asarray(times_s, dtype=np.float64),
        intrinsics=intrinsics,
        world_from_camera=video.camera.world_from_camera,
        rotations_wxyz=rotations,
        root_world_m=np.stack([frame.joints_m[0] for frame in posed]),
        joints_camera_m=seen_points_m("h36m17", centres, turns_in_camera),
        body_joints_camera_m=joints,
        landmarks_camera_m=np.stack([subset_points_m("blazepose33", j, s) for j, s in zip(joints, sites, strict=True)]),
    )
    return truth, [frame.bone_matrices for frame in posed]


def video_frames(video: Video, bone_matrices: list[Array], renderer: Renderer) -> Iterator[NDArray[np.uint8]]:
    """The frames (height_px, size_px, 3) RGB of a video, one at a time."""
    top = (video.camera.size_px - video.height_px) // 2
    parts = renderer.upload(video.person.parts)
    try:
        for matrices in bone_matrices:
            image = renderer.render(video.camera, video.light, video.backdrop, (Actor(parts, matrices, 1.0),))
            yield np.ascontiguousarray(image.image[top : top + video.height_px])
    finally:
        renderer.release(parts)


def _leg_length(joints_m: Array) -> float:
    hip, knee, ankle = (joints_m[canonical_body().joint_index(f"left_{name}")] for name in ("hip", "knee", "ankle"))
    return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))


def _canonical_joints() -> Array:
    return canonical_body().rest_positions_m()
