"""A Blender camera from a clip's intrinsics, with the video behind it. May import bpy.

The clip's camera is OpenCV's (x right, y down, z forward); Blender's looks down its -Z with Y up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..motion.clip import MotionClip
from .actions import Channel, assign_action, channelbag, write_channels
from .video_rotation import left_out

Array = NDArray[np.floating]

SENSOR_WIDTH_MM = 36.0
BLENDER_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
_STILL_M = 1e-4
_STILL_ZOOM = 1e-3


class CameraError(ValueError):
    """The clip holds no camera, or its video cannot be shown; the message says why."""


@dataclass(frozen=True, slots=True)
class CameraPlacement:
    """Where a clip's world lies in the scene.

    `world_matrix` (4, 4) takes clip-world metres to scene units (it holds the target's scale); `frame_start` is the
    scene frame of the clip's time zero, `fps` the scene's frame rate.
    """

    world_matrix: Array
    frame_start: float
    fps: float


def lens_from_intrinsics(matrix: Array, width: int, height: int) -> tuple[float, float, float, float]:
    """Lens in mm on a 36 mm wide sensor, shift x, shift y (in sensor widths) and pixel aspect (height / width).

    `matrix` (3, 3) is K in pixels of a `width` x `height` frame, pixel centres at .5.
    """
    focal_x, focal_y, center_x, center_y = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
    aspect = focal_x / focal_y
    # y is measured in the sensor's horizontal unit, so tall pixels stretch it
    return (
        float(focal_x * SENSOR_WIDTH_MM / width),
        float((width / 2 - center_x) / width),
        float((center_y - height / 2) * aspect / width),
        float(aspect),
    )


def make_camera(clip: MotionClip, placement: CameraPlacement, name: str = "Marionet Camera") -> Any:
    """Add a camera object that sees the clip as the filming camera did; a moving camera gets keys.

    Sets the scene's render size and pixel aspect to the video's, which the lens is given for. Raises CameraError when
    the clip does not know its frame size or intrinsics.
    """
    width, height = clip.header.source_width, clip.header.source_height
    if width <= 0 or height <= 0 or not np.isfinite(clip.intrinsics).all() or clip.intrinsics[0, 0] <= 0:
        raise CameraError("The clip does not say the size of its video or its lens, so no camera can be made from it")
    lens_mm, shift_x, shift_y, aspect = lens_from_intrinsics(clip.intrinsics, width, height)
    scene = bpy.context.scene
    data = bpy.data.cameras.new(name)
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = SENSOR_WIDTH_MM
    data.lens, data.shift_x, data.shift_y = lens_mm, shift_x, shift_y
    camera = bpy.data.objects.new(name, data)
    scene.collection.objects.link(camera)
    set_frame_size(scene, width, height, aspect)
    _place(camera, clip, placement)
    return camera


def set_frame_size(scene: Any, width_px: int, height_px: int, pixel_aspect: float) -> None:
    """Give a scene the render size of a video, and its pixels the aspect (height / width) that a lens was given for."""
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width_px, height_px, 100
    # Blender wants both at least 1
    render.pixel_aspect_x = max(1.0 / pixel_aspect, 1.0)
    render.pixel_aspect_y = max(pixel_aspect, 1.0)


def camera_matrices(clip: MotionClip, placement: CameraPlacement) -> Array:
    """Object matrices (T, 4, 4) of the camera in the scene, without scale."""
    matrices = placement.world_matrix @ np.asarray(clip.world_from_camera, dtype=np.float64) @ BLENDER_FROM_OPENCV
    scale = np.linalg.norm(matrices[:, :3, :3], axis=1, keepdims=True)
    result = matrices.copy()
    result[:, :3, :3] = matrices[:, :3, :3] / np.maximum(scale, 1e-12)
    return result


def _place(camera: Any, clip: MotionClip, placement: CameraPlacement) -> None:
    matrices = camera_matrices(clip, placement)
    known = np.flatnonzero(np.isfinite(matrices).all(axis=(1, 2)))
    if not len(known):
        raise CameraError("The clip does not say where its camera stood, so no camera can be made from it")
    camera.rotation_mode = "QUATERNION"
    camera.matrix_world = Matrix(matrices[known[0]].tolist())
    frames = placement.frame_start + clip.times_s[known] * placement.fps
    if clip.focal_scale is not None and np.ptp(clip.focal_scale) > _STILL_ZOOM:
        lens = camera.data.lens * np.asarray(clip.focal_scale, np.float64)[known, None]
        assign_action(camera.data, bpy.data.actions.new(f"{camera.name} zoom"))
        write_channels(channelbag(camera.data), [Channel("lens", "Camera", frames, lens)])
    if np.abs(matrices[known] - matrices[known[0]]).max() < _STILL_M:
        return
    turns = np.array([Matrix(matrix.tolist()).to_quaternion() for matrix in matrices[known]])
    assign_action(camera, bpy.data.actions.new(f"{camera.name} motion"))
    write_channels(
        channelbag(camera),
        [
            Channel("location", "Camera", frames, matrices[known, :3, 3]),
            Channel("rotation_quaternion", "Camera", frames, _continuous(turns)),
        ],
    )


def _continuous(wxyz: Array) -> Array:
    flips = np.where(np.sum(wxyz[1:] * wxyz[:-1], axis=1) < 0, -1.0, 1.0)
    return wxyz * np.concatenate([[1.0], np.cumprod(flips)])[:, None]


def show_video(camera: Any, video: Path, clip: MotionClip, placement: CameraPlacement, alpha: float = 0.8) -> Any:
    """Put the video behind the camera, in step with the clip's own frame times; returns the background image.

    Blender shows one video frame a scene frame; where the rates differ, a keyed frame offset follows the time stamps.
    Raises CameraError when Blender cannot read the file.
    """
    image = load_video(video)
    background = camera.data.background_images.new()
    background.image = image
    background.alpha = alpha
    background.display_depth = "BACK"
    background.frame_method = "STRETCH"
    camera.data.show_background_images = True
    user = background.image_user
    user.use_auto_refresh = True
    user.frame_start = round(placement.frame_start)
    turn_background(background, video)
    rate_fps = 0.0 if _is_even(clip) or image.source != "MOVIE" else shown_fps(video)
    offsets = frame_offsets(clip, placement, rate_fps)
    # frames are counted to this length before the offset: a short video in a scene of a higher rate would end early
    user.frame_duration = max(image.frame_duration, len(offsets), 1)
    _key_frame_offset(camera.data, offsets, placement)
    return background


def load_video(video: Path) -> Any:
    """The image of a video, as a movie. Raises CameraError when Blender cannot read the file."""
    try:
        image = bpy.data.images.load(str(video), check_existing=True)
    except RuntimeError as fault:
        raise CameraError(f"{video} cannot be shown behind the camera: {fault}") from fault
    image.source = "MOVIE" if image.source != "SEQUENCE" and image.frame_duration > 1 else image.source
    return image


def turn_background(background: Any, video: Path) -> None:
    """Undo the mirror of a video that this Blender shows as it was stored."""
    upright = left_out(video)
    if upright.mirrored and upright.quarter_turns % 2 == 0:
        background.use_flip_x, background.use_flip_y = upright.quarter_turns == 0, upright.quarter_turns == 2


def _is_even(clip: MotionClip) -> bool:
    """Whether the clip's frames follow each other at one rate, so that its rate is Blender's too."""
    steps = np.diff(clip.times_s)
    return not len(steps) or bool(steps.max() < 1.5 * np.median(steps))


def shown_fps(video: Path) -> float:
    """The rate at which Blender counts a video's frames: of one with pauses it is the mean, unlike the clip's."""
    shown = bpy.data.movieclips.load(str(video))
    fps = float(shown.fps)
    if not shown.users:
        bpy.data.movieclips.remove(shown)
    return fps


def _key_frame_offset(data: Any, offset: NDArray[np.intp], placement: CameraPlacement) -> None:
    index = len(data.background_images) - 1
    if not offset.any():
        return
    frames = round(placement.frame_start) + np.arange(len(offset), dtype=np.float64)
    change = np.flatnonzero(np.diff(offset, prepend=offset[0] - 1))
    assign_action(data, bpy.data.actions.new(f"{data.name} video time"))
    path = f"background_images[{index}].image_user.frame_offset"
    channel = Channel(path, "Video", frames[change], offset[change, None].astype(np.float32), "CONSTANT")
    write_channels(channelbag(data), [channel])


def frame_offsets(clip: MotionClip, placement: CameraPlacement, shown_fps: float = 0.0) -> NDArray[np.intp]:
    """Video frame minus elapsed scene frames (n,) for every scene frame that the clip covers.

    `shown_fps` is the rate at which the video's own time is counted in frames, where that is not the clip's rate.
    """
    slow_motion = float(clip.header.settings.get("slow_motion", "1"))
    fps = shown_fps * slow_motion if shown_fps > 0 else clip.header.source_fps
    last_s = float(clip.times_s[-1])
    elapsed = np.arange(max(int(np.ceil(last_s * placement.fps)), 0) + 1)
    times = elapsed / placement.fps
    video_frame = np.interp(times, clip.times_s, clip.times_s * (fps if fps > 0 else placement.fps))
    # a hair above .5 so that equal rates round to equal frames
    return (np.floor(video_frame + 0.5 + 1e-6).astype(np.intp)) - elapsed
