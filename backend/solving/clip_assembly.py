"""One person's stages put together into a MotionClip over every frame of the range. numpy, types, `motion.clip`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.solving.video_pass import TrackedVideo
from backend.types import Array, Intrinsics, PersonTrack, PoseTrack
from backend.world import WorldTrack
from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import ClipHeader, MotionClip
from blender_addon.motion.face import FaceMotion
from blender_addon.motion.hands import HandMotion


def assemble_clip(
    tracked: TrackedVideo,
    track: PersonTrack,
    poses: PoseTrack,
    world: WorldTrack,
    intrinsics: Intrinsics,
    header: ClipHeader,
) -> MotionClip:
    """The clip of one person; frames of the range without the person hold NaN and confidence 0. It has no hands and no
    face yet: see `with_details`.

    Where the camera turned, `world` is that of its first frame; what the clip says of the camera is each frame's own.
    """
    body = canonical_body()
    frames = len(tracked.frame_index)
    rows = np.searchsorted(tracked.frame_index, track.frame_index)
    solved = np.isfinite(world.rotations_wxyz).all(axis=(1, 2)) & np.isfinite(world.root_world_m).all(axis=1)
    confidence = np.where(solved, np.clip(np.nan_to_num(poses.confidence), 0.0, 1.0), 0.0)

    def spread(values: Array, blank: float = np.nan) -> Array:
        whole = np.full((frames, *values.shape[1:]), blank, np.float32)
        keep = solved.reshape(-1, *(1,) * (values.ndim - 1))
        whole[rows] = np.where(keep, values, blank)
        return whole

    path = tracked.camera_path
    turns = np.eye(3) if path is None else path.turns[path.rows(track.frame_index)]
    travel = np.zeros(3) if path is None or path.travel is None else path.travel.at(track.frame_index)
    cameras = np.repeat(world.world_from_camera[:1], frames, axis=0).astype(np.float64)
    if path is not None:
        rows_of_path = path.rows(tracked.frame_index)
        if path.travel is not None:
            cameras[:, :3, 3] += path.travel.at(tracked.frame_index) @ cameras[0, :3, :3].T
        cameras[:, :3, :3] = cameras[:, :3, :3] @ path.turns[rows_of_path]
    seen = np.isfinite(track.keypoints_px).all(axis=-1) & (track.presence > 0)[:, None]
    keypoint_confidence = np.zeros((frames, track.keypoints_px.shape[1]), np.float32)
    keypoint_confidence[rows] = np.where(seen, np.nan_to_num(track.visibility), 0.0)
    keypoints = np.full((frames, *track.keypoints_px.shape[1:]), np.nan, np.float32)
    keypoints[rows] = np.where(seen[..., None], track.keypoints_px, np.nan)
    return MotionClip(
        times_s=tracked.times_s,
        rotations_wxyz=spread(world.rotations_wxyz),
        root_world_m=spread(world.root_world_m),
        root_camera_m=spread(((world.root_camera_m - travel)[:, None] @ turns)[:, 0]),
        joints_camera_m=spread((world.joints_camera_m - travel[..., None, :]) @ turns),
        keypoints_px=keypoints,
        keypoint_confidence=keypoint_confidence,
        confidence=spread(confidence, 0.0),
        score=spread(poses.score),
        margin=spread(poses.margin),
        contacts=spread(world.contacts, 0.0),
        intrinsics=np.asarray(intrinsics.matrix, np.float64),
        world_from_camera=cameras,
        focal_scale=None if path is None else path.zoom[path.rows(tracked.frame_index)].astype(np.float32),
        bone_scales=np.asarray(poses.bone_scales, np.float64),
        body_joint_names=body.joint_names,
        joint_names=body.subsets["h36m17"],
        keypoint_names=body.subsets["blazepose33"],
        body_contacts=None if world.body_contacts is None else spread(world.body_contacts, 0.0),
        joint_confidence=None if world.joint_confidence is None else spread(world.joint_confidence, 0.0),
        header=replace(header, body_height_m=float(poses.height_m)),
    )


def with_details(
    clip: MotionClip,
    frame_index: NDArray[np.integer],
    track: PersonTrack,
    hands: HandMotion | None,
    face: FaceMotion | None,
) -> MotionClip:
    """The clip with hands and face of the track's frames; `frame_index` (T,) are the source frames of the clip."""
    rows = np.searchsorted(frame_index, track.frame_index)
    solved = np.isfinite(clip.root_world_m).all(axis=1) & np.isfinite(clip.rotations_wxyz).all(axis=(1, 2))

    def spread(values: Array, blank: float) -> Array:
        whole = np.full((len(clip), *values.shape[1:]), blank, np.float32)
        whole[rows] = values
        return np.where(solved.reshape(-1, *(1,) * (values.ndim - 1)), whole, np.float32(blank))

    return replace(
        clip,
        hands=None
        if hands is None
        else HandMotion(spread(hands.rotations_wxyz, np.nan), spread(hands.confidence, 0.0)),
        face=None if face is None else FaceMotion(spread(face.weights, np.nan), spread(face.confidence, 0.0)),
    )


def track_rows(track: PersonTrack, start: int, stop: int) -> PersonTrack:
    """The rows `start` to before `stop` of a track."""
    part = slice(start, stop)
    return PersonTrack(
        track_id=track.track_id,
        frame_index=track.frame_index[part],
        times_s=track.times_s[part],
        keypoints_px=track.keypoints_px[part],
        keypoint_depth=track.keypoint_depth[part],
        visibility=track.visibility[part],
        world_m=track.world_m[part],
        presence=track.presence[part],
        box_px=track.box_px[part],
    )
