"""The clips of a take as one of its other videos would have them, to be drawn over that video. numpy.

The solved skeleton is seen by that video's camera at that video's frames; its keypoints are not in the clip.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.multiview.take_request import TakeResult
from backend.types import Array
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.clip_cameras import ClipCamera


def clips_in_view(result: TakeResult, place: int) -> tuple[MotionClip, ...]:
    """The clips over the frames of the video with this place; empty for a video that takes no part."""
    if not result.take.used:
        return result.clips if place == 0 else ()
    if place not in result.take.used:
        return ()
    if place == result.take.used[0]:
        return result.clips
    return tuple(clip_in_view(clip, clip.header.cameras[place], result.view_times_s[place]) for clip in result.clips)


def clip_in_view(clip: MotionClip, camera: ClipCamera, video_s: Array) -> MotionClip:
    """The clip as another video of its take has it: seen by `camera`, at the times `video_s` (T,) of that video."""
    clip_s = camera.clip_time_s(video_s)
    inside = (clip_s >= clip.times_s[0]) & (clip_s <= clip.times_s[-1])
    nearest = np.clip(np.searchsorted(clip.times_s, clip_s), 1, max(1, len(clip) - 1))
    nearest -= clip_s - clip.times_s[nearest - 1] < clip.times_s[nearest] - clip_s
    camera_from_first = np.linalg.inv(camera.pose) @ clip.world_from_camera[0]
    joints = _between(clip.joints_camera_m, clip.times_s, clip_s) @ camera_from_first[:3, :3].T
    joints += camera_from_first[:3, 3]
    shown = inside & np.isfinite(joints).all(axis=(1, 2))
    frames = len(video_s)
    header = replace(
        clip.header, source=camera.source, source_width=camera.width, source_height=camera.height, cameras=()
    )
    return replace(
        clip,
        times_s=np.asarray(video_s, np.float64),
        rotations_wxyz=clip.rotations_wxyz[nearest],
        root_world_m=clip.root_world_m[nearest],
        root_camera_m=np.where(shown[:, None], joints[:, 0], np.nan),
        joints_camera_m=np.where(shown[:, None, None], joints, np.nan),
        keypoints_px=np.full((frames, *clip.keypoints_px.shape[1:]), np.nan, np.float32),
        keypoint_confidence=np.zeros((frames, clip.keypoint_confidence.shape[1]), np.float32),
        confidence=np.where(shown, clip.confidence[nearest], 0.0),
        score=clip.score[nearest],
        margin=clip.margin[nearest],
        contacts=clip.contacts[nearest],
        intrinsics=camera.intrinsics,
        world_from_camera=np.broadcast_to(camera.pose, (frames, 4, 4)).copy(),
        header=header,
    )


def _between(values: Array, times_s: Array, at_s: Array) -> Array:
    """Values (T, ...) at other times, straight between neighbours; NaN beside NaN."""
    after = np.clip(np.searchsorted(times_s, at_s), 1, max(1, len(times_s) - 1))
    before = after - 1
    share = np.clip((at_s - times_s[before]) / np.maximum(times_s[after] - times_s[before], 1e-9), 0.0, 1.0)
    share = share.reshape(-1, *(1,) * (values.ndim - 1))
    return np.asarray(values[before] * (1 - share) + values[after] * share)
