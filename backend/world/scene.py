"""One person's solved frames as the world room uses them: poses, keypoints as rays, foot points.

May import `camera`, `motion`, `types` and its own room. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.camera.lens import normalised_points
from backend.types import Array, CameraTravel, Intrinsics, PersonTrack, PoseTrack
from backend.world.root_path import Sightings
from backend.world.unseen import Unseen
from blender_addon.motion.body import BodyShape, CanonicalBody, canonical_body, points_m
from blender_addon.motion.body_contacts import CONTACT_PARTS, BodyParts, body_parts
from blender_addon.motion.camera_travel import without_travel
from blender_addon.motion.posing import Feet, find_feet, pose_body

# how much a keypoint counts for the root; the rest of the landmarks (face, fingers) are loose on the body
_KEYPOINT_WEIGHTS = {
    "shoulder": 1.0, "hip": 1.0, "knee": 0.8, "ankle": 0.8, "elbow": 0.6, "wrist": 0.4, "heel": 0.4,
    "foot_index": 0.4, "ear": 0.3, "nose": 0.3,
}  # fmt: skip
_FOOT_KEYPOINTS = ("left_heel", "left_foot_index", "right_heel", "right_foot_index")
# what is seen of each part that can touch the floor
_PART_KEYPOINTS = {
    **{
        f"{side}_{part}": (f"{side}_{key}",)
        for side in ("left", "right")
        for part, key in (("knee", "knee"), ("hand", "wrist"), ("elbow", "elbow"))
    },
    "seat": ("left_hip", "right_hip"),
    "back": ("left_shoulder", "right_shoulder"),
    "head": ("left_ear", "right_ear"),
}
_LEAST_VISIBILITY = 0.3


@dataclass(frozen=True, slots=True)
class Scene:
    """One person's solved frames, all in camera axes relative to the pelvis; `track` is what they were solved from."""

    body: CanonicalBody
    shape: BodyShape
    poses: PoseTrack
    solved: NDArray[np.intp]
    seen: Sightings
    feet: Feet
    foot_rays: Array
    parts: BodyParts
    part_rays: Array
    unseen: Unseen
    track: PersonTrack


def make_scene(
    poses: PoseTrack,
    track: PersonTrack,
    intrinsics: Intrinsics,
    solved: NDArray[np.intp],
    unseen: Unseen,
    travel: CameraTravel | None = None,
) -> Scene:
    """The frames `solved` of one person: body points relative to the pelvis in metres, keypoints as rays.

    Rays of parts that may touch something are led back to where a camera that had not travelled would see them.
    """
    body = canonical_body()
    shape = BodyShape(poses.height_m, poses.bone_scales)
    rotations = poses.rotations_wxyz[solved].astype(np.float64)
    posed = pose_body(body, shape, rotations, np.zeros((len(solved), 3)))
    points = points_m(body, "blazepose33", posed.positions_m, posed.world_wxyz, shape)
    rays = normalised_points(intrinsics, track.keypoints_px[solved].astype(np.float64))
    names = body.subsets["blazepose33"]
    parts = np.array([_keypoint_weight(name) for name in names])
    visibility = np.nan_to_num(track.visibility[solved], nan=0.0)
    weights = parts * np.where(visibility > _LEAST_VISIBILITY, visibility, 0.05 * visibility)
    weights = np.where(np.isfinite(rays).all(axis=-1), weights, 0.0)
    foot = [names.index(name) for name in _FOOT_KEYPOINTS]
    foot_rays = np.where((visibility[:, foot] > _LEAST_VISIBILITY)[..., None], rays[:, foot], np.nan)
    known = np.where((visibility > _LEAST_VISIBILITY)[..., None], rays, np.nan)
    part_rays = np.stack(
        [known[:, [names.index(name) for name in _PART_KEYPOINTS[part]]].mean(axis=1) for part in CONTACT_PARTS], axis=1
    )
    camera_m = None if travel is None else travel.at(track.frame_index[solved])
    seen = Sightings(track.times_s[solved], points, np.nan_to_num(rays, nan=0.0), weights, camera_m)
    feet, touching = find_feet(body, posed), body_parts(body, posed)
    if camera_m is not None:
        root_m = poses.root_camera_m[solved, None]
        foot_rays = without_travel(foot_rays, camera_m, feet.positions_m + root_m)
        part_rays = without_travel(part_rays, camera_m, touching.positions_m + root_m)
    return Scene(body, shape, poses, solved, seen, feet, foot_rays, touching, part_rays, unseen, track)


def _keypoint_weight(name: str) -> float:
    return next((weight for part, weight in _KEYPOINT_WEIGHTS.items() if name.endswith(part)), 0.0)
