"""Camera objects for all videos of a clip, each with its video behind it, in step. May import bpy.

The cameras of a take stand still. Only objects that were made here are changed; whose they are says the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..motion.clip_cameras import ClipCamera
from .actions import Channel, action_fcurves, assign_action, channelbag, write_channels
from .camera_background import (
    BLENDER_FROM_OPENCV,
    SENSOR_WIDTH_MM,
    CameraError,
    CameraPlacement,
    lens_from_intrinsics,
    load_video,
    shown_fps,
    turn_background,
)

Array = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """What of the scene's time a clip covers: first and last time of the clip in s, and its slow motion factor."""

    first_s: float
    last_s: float
    slow_motion: float = 1.0


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """Which frame of a video, counted from 0, stands behind each scene frame from `first_frame` on.

    `outside` says where the video has not begun, or is over: there it shows its first or last frame.
    """

    first_frame: int
    shown: NDArray[np.intp]
    outside: NDArray[np.bool_]


def camera_check(camera: ClipCamera) -> None:
    """Raise CameraError for a camera that cannot be made."""
    matrix = camera.intrinsics
    if camera.width <= 0 or camera.height <= 0 or matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise CameraError(f"The clip does not say the lens of {camera.source}, so no camera can be made from it")


def set_camera(thing: Any, camera: ClipCamera, world_matrix: Array) -> float:
    """Give a camera object the lens and the place of a clip's camera; returns its pixel aspect (height / width).

    `world_matrix` (4, 4) takes clip-world metres to scene units.
    """
    lens = lens_from_intrinsics(camera.intrinsics, camera.width, camera.height)
    data = thing.data
    data.sensor_fit, data.sensor_width = "HORIZONTAL", SENSOR_WIDTH_MM
    data.lens, data.shift_x, data.shift_y = lens[:3]
    matrix = world_matrix @ camera.pose @ BLENDER_FROM_OPENCV
    matrix[:3, :3] /= np.maximum(np.linalg.norm(matrix[:3, :3], axis=0), 1e-12)
    thing.matrix_world = Matrix(matrix.tolist())
    return lens[3]


def video_frames(
    camera: ClipCamera, span: ClipSpan, placement: CameraPlacement, fps: float, count: int = 0
) -> VideoFrames:
    """The frames of a video that belong to the scene frames of a clip.

    `fps` is the rate at which Blender counts the video's frames, `count` how many it has; 0: unknown.
    """
    first = int(np.floor(placement.frame_start + span.first_s * placement.fps + 0.5))
    last = int(np.ceil(placement.frame_start + span.last_s * placement.fps))
    scene = np.arange(first, max(last, first) + 1)
    clip_s = (scene - placement.frame_start) / placement.fps
    video_s = (clip_s - camera.start_s) / camera.rate
    # a hair above .5 so that equal rates round to equal frames
    frames = np.floor(video_s * fps * span.slow_motion + 0.5 + 1e-6).astype(np.intp)
    most = count - 1 if count > 0 else max(int(frames.max()), 0)
    return VideoFrames(first, np.clip(frames, 0, most), (frames < 0) | (frames > most))


def show_take_video(
    thing: Any, video: Path, camera: ClipCamera, span: ClipSpan, placement: CameraPlacement, alpha: float = 0.8
) -> Any:
    """Put the video of a camera behind it, in step; returns the background image.

    Where the video has not begun or is over, nothing is shown. Raises CameraError when Blender cannot read the file.
    """
    image = load_video(video)
    data = thing.data
    background = data.background_images.new()
    background.image, background.alpha = image, alpha
    background.display_depth, background.frame_method = "BACK", "STRETCH"
    data.show_background_images = True
    turn_background(background, video)
    fps = shown_fps(video) if image.source == "MOVIE" else 0.0
    count = image.frame_duration if image.source == "MOVIE" else 0
    frames = video_frames(camera, span, placement, fps or camera.fps / span.slow_motion, count)
    user = background.image_user
    user.use_auto_refresh = True
    user.frame_start = frames.first_frame
    # frames are counted to this length before the offset: a short video in a scene of a higher rate would end early
    user.frame_duration = max(image.frame_duration, len(frames.shown), 1)
    _key_background(data, frames, alpha)
    return background


def hide_take_video(thing: Any, image: Any) -> None:
    """Take an image away from behind a camera, with the keys that came with it; other images stay, and so does the
    same one where the user has added it once more.
    """
    data = thing.data
    if (index := _place_of(data, image)) is not None:
        _drop_keys(data, index)
        data.background_images.remove(data.background_images[index])


def _place_of(data: Any, image: Any) -> int | None:
    if image is None:
        return None
    found = [index for index, background in enumerate(data.background_images) if background.image == image]
    return found[0] if found else None


def _key_background(data: Any, frames: VideoFrames, alpha: float) -> None:
    """Key the frame offset, and the opacity where the video does not cover the clip."""
    index = len(data.background_images) - 1
    background = data.background_images[index]
    scene = frames.first_frame + np.arange(len(frames.shown))
    offset = frames.shown - np.arange(len(frames.shown))
    channels = []
    if np.ptp(offset):
        channels.append(_steps(index, "image_user.frame_offset", scene, offset.astype(np.float64)))
    else:
        background.image_user.frame_offset = int(offset[0])
    if frames.outside.any():
        seen = np.where(frames.outside, 0.0, alpha)
        channels.append(_steps(index, "alpha", scene, seen))
    if not channels:
        return
    if data.animation_data is None or data.animation_data.action is None:
        assign_action(data, bpy.data.actions.new(f"{data.name} video time"))
    write_channels(channelbag(data), channels)


def _steps(index: int, name: str, scene: NDArray[np.intp], values: Array) -> Channel:
    change = np.flatnonzero(np.diff(values, prepend=values[0] - 1.0))
    path = f"background_images[{index}].{name}"
    return Channel(path, "Video", scene[change].astype(np.float64), values[change, None], "CONSTANT")


def _drop_keys(data: Any, index: int) -> None:
    """Remove the keys of a background image; those of later ones move along with it."""
    if data.animation_data is None or data.animation_data.action is None:
        return
    bag, gone = channelbag(data), f"background_images[{index}]."
    for curve in [curve for curve in action_fcurves(data) if curve.data_path.startswith(gone)]:
        bag.fcurves.remove(curve)
    for curve in action_fcurves(data):
        for later in range(index + 1, len(data.background_images)):
            head = f"background_images[{later}]."
            if curve.data_path.startswith(head):
                curve.data_path = f"background_images[{later - 1}]." + curve.data_path[len(head) :]
                break
