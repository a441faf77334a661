"""Left and right exchanged: poses, and whole clips as if the video had been mirrored.

May import numpy and its own room only.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .body import canonical_body
from .body_contacts import CONTACT_PARTS
from .clip import MotionClip
from .face import mirror_face
from .hands import mirror_hands
from .posing import FOOT_POINTS, clip_body, heading_rad
from .rotations import Array, quaternion_multiply, quaternion_rotate, rotvec_to_quaternion

_ACROSS = np.array([-1.0, 1.0, 1.0])
_UP = np.array([0.0, 0.0, 1.0])


def mirror_pose(rotations_wxyz: Array) -> Array:
    """Local rotations (..., J, 4) of the left-right mirrored pose (reflection x -> -x of the canonical frame)."""
    return rotations_wxyz[..., canonical_body().mirror, :] * np.array([1, 1, -1, -1], rotations_wxyz.dtype)


def mirror_clip(clip: MotionClip) -> MotionClip:
    """The clip with left and right exchanged. It starts at the same place on the floor and in the same heading.

    Camera, keypoints and contacts are those of the mirrored video. Raises ClipError when the clip is for another body.
    """
    body = clip_body(clip)
    joints, points = _partners(clip.joint_names), _partners(clip.keypoint_names)
    pixels = clip.keypoints_px[:, points].copy()
    pixels[..., 0] = 2.0 * clip.intrinsics[0, 2] - pixels[..., 0]
    camera = clip.world_from_camera.copy()
    camera[:, :3] *= _ACROSS[:, None]
    camera[:, :, :3] *= _ACROSS
    mirrored = replace(
        clip,
        rotations_wxyz=mirror_pose(clip.rotations_wxyz),
        root_world_m=(clip.root_world_m * _ACROSS).astype(clip.root_world_m.dtype),
        root_camera_m=(clip.root_camera_m * _ACROSS).astype(clip.root_camera_m.dtype),
        joints_camera_m=(clip.joints_camera_m[:, joints] * _ACROSS).astype(clip.joints_camera_m.dtype),
        keypoints_px=pixels,
        keypoint_confidence=clip.keypoint_confidence[:, points],
        contacts=clip.contacts[:, _partners(FOOT_POINTS)],
        world_from_camera=camera,
        bone_scales=clip.bone_scales[body.mirror],
        body_contacts=_mirrored_columns(clip.body_contacts, _partners(CONTACT_PARTS)),
        joint_confidence=_mirrored_columns(clip.joint_confidence, body.mirror),
        hands=mirror_hands(clip.hands) if clip.hands is not None else None,
        face=mirror_face(clip.face) if clip.face is not None else None,
    )
    return _placed_as(mirrored, clip)


def _mirrored_columns(values: Array | None, order: NDArray[np.intp]) -> Array | None:
    return None if values is None else values[:, order]


def _partner(name: str) -> str:
    """The name with left and right exchanged, wherever in it they stand."""
    return name.replace("left", "\0").replace("right", "left").replace("\0", "right")


def _partners(names: tuple[str, ...]) -> NDArray[np.intp]:
    """For each name the index of its left-right partner; its own where there is none."""
    return np.array([names.index(_partner(name)) if _partner(name) in names else i for i, name in enumerate(names)])


def _placed_as(clip: MotionClip, model: MotionClip) -> MotionClip:
    """The clip turned and moved over the floor so that its first frame stands and faces as the model's does."""
    present = np.isfinite(clip.root_world_m).all(axis=1) & np.isfinite(clip.rotations_wxyz[:, 0]).all(axis=1)
    if not present.any():
        return clip
    first = int(np.argmax(present))
    angle = float(np.subtract(*(heading_rad(one.rotations_wxyz[first, 0]) for one in (model, clip))))
    turn = rotvec_to_quaternion(angle * _UP)
    start = clip.root_world_m[first].astype(np.float64)
    goal = np.array([*model.root_world_m[first, :2], start[2]])
    rotations = clip.rotations_wxyz.copy()
    rotations[:, 0] = quaternion_multiply(turn, rotations[:, 0])
    matrix = np.eye(4)
    matrix[:3, :3] = quaternion_rotate(turn[None], np.eye(3)).T
    matrix[:3, 3] = goal - matrix[:3, :3] @ start
    root = quaternion_rotate(turn, clip.root_world_m - start) + goal
    return replace(
        clip,
        rotations_wxyz=rotations,
        root_world_m=root.astype(clip.root_world_m.dtype),
        world_from_camera=matrix @ clip.world_from_camera,
    )
