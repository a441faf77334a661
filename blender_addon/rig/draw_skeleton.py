"""Draw a clip's skeleton in the 3D viewport with confidence colours. May import bpy and gpu.

Only `SkeletonOverlay.install` touches the viewport; the geometry and the colours are plain arrays.
"""

from __future__ import annotations

import logging
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..motion.body import CanonicalBody
from ..motion.clip import MotionClip

Array = NDArray[np.floating]

logger = logging.getLogger(__name__)

# red, amber, green-blue: told apart by the common kinds of colour blindness, since lightness differs as well
_COLOUR_STOPS = np.array([0.0, 0.5, 1.0])
_COLOURS = np.array([[0.84, 0.15, 0.16], [0.99, 0.72, 0.20], [0.35, 0.85, 0.80]])
# below this confidence a joint is not in the frame; how opaque it is drawn
_UNSEEN, _DIMMED = 0.02, 0.35
LINE_WIDTH_PX = 3.0
DETAIL_WIDTH_PX = 1.5
POINT_SIZE_PX = 7.0

# joints whose detected point has another name
_POINT_OF_JOINT = {
    "head": "nose",
    "left_hand": "left_index",
    "right_hand": "right_index",
    "left_toe": "left_foot_index",
    "right_toe": "right_foot_index",
}


def confidence_colour(confidence: Array) -> Array:
    """Colours (..., 4) RGBA for confidences (...) in 0..1: red is doubtful, amber fair, turquoise sure.

    What is not seen at all is dimmed.
    """
    level = np.clip(np.nan_to_num(np.asarray(confidence, dtype=np.float64)), 0.0, 1.0)
    channels = [np.interp(level, _COLOUR_STOPS, _COLOURS[:, channel]) for channel in range(3)]
    return np.stack([*channels, np.where(level < _UNSEEN, _DIMMED, 1.0)], axis=-1)


def joint_confidence(clip: MotionClip) -> Array:
    """Confidence (T, J) of each joint: the clip's own, or that of the joint's detected point where it has one.

    Never above the frame's own confidence.
    """
    if clip.joint_confidence is not None:
        whole = np.nan_to_num(np.asarray(clip.confidence, dtype=np.float64))[:, None]
        return np.minimum(np.asarray(clip.joint_confidence, dtype=np.float64), whole)
    keypoints = {name: column for column, name in enumerate(clip.keypoint_names)}
    frame = np.nan_to_num(np.asarray(clip.confidence, dtype=np.float64))
    columns = []
    for name in clip.body_joint_names:
        point = keypoints.get(_POINT_OF_JOINT.get(name, name))
        own = frame if point is None else np.nan_to_num(clip.keypoint_confidence[:, point])
        columns.append(np.minimum(own, frame))
    return np.stack(columns, axis=1)


def bone_ends(body: CanonicalBody, per_joint: Array) -> Array:
    """Rows (2 * (J - 1), C) for lines from each joint's parent to the joint, out of rows (J, C)."""
    ends = np.stack([per_joint[body.parents[1:]], per_joint[1:]], axis=1)
    return ends.reshape(-1, per_joint.shape[1])


class SkeletonOverlay:
    """A viewport overlay that shows one pose; `show` changes it, `install` and `remove` hang it in and out."""

    def __init__(self, body: CanonicalBody) -> None:
        self._body = body
        self._handle: Any = None
        self._points = np.zeros((0, 3), np.float32)
        self._colours = np.zeros((0, 4), np.float32)
        self._lines = np.zeros((0, 3), np.float32)
        self._line_colours = np.zeros((0, 4), np.float32)
        self._broken = False

    @property
    def installed(self) -> bool:
        """Whether the overlay hangs in the viewport."""
        return self._handle is not None

    @property
    def visible_joints(self) -> int:
        """How many joints the overlay shows now."""
        return len(self._points)

    def show(self, joints_m: Array | None, confidence: Array | float = 1.0) -> None:
        """Show a pose (J, 3) in scene units with confidence (J,); None or NaN (nobody there) shows nothing."""
        if joints_m is None or not np.isfinite(joints_m).all():
            self._points, self._lines = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)
            return
        self._points = np.asarray(joints_m, dtype=np.float32)
        self._colours = confidence_colour(np.broadcast_to(confidence, len(joints_m))).astype(np.float32)

    def show_details(self, lines_m: Array, confidence: Array) -> None:
        """Show more lines with the pose, such as fingers: ends (2 L, 3) in scene units with confidence (2 L,)."""
        known = np.isfinite(lines_m).all(axis=1).reshape(-1, 2).all(axis=1).repeat(2)
        self._lines = np.asarray(lines_m[known], dtype=np.float32)
        self._line_colours = confidence_colour(confidence[known]).astype(np.float32)

    @property
    def visible_lines(self) -> int:
        """How many lines the overlay shows beside the skeleton's."""
        return len(self._lines) // 2

    def install(self) -> None:
        """Hang the overlay into every 3D viewport."""
        if self._handle is None:
            self._handle = bpy.types.SpaceView3D.draw_handler_add(self._draw, (), "WINDOW", "POST_VIEW")

    def remove(self) -> None:
        """Take the overlay out; safe to call twice."""
        if self._handle is not None:
            bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
            self._handle = None

    def _draw(self) -> None:
        if self._broken or not len(self._points):
            return
        try:
            self._draw_gpu()
        except Exception:
            # a draw handler that raises would fill the console at every redraw: say it once and stand down
            self._broken = True
            logger.exception("The skeleton overlay cannot be drawn on this graphics driver")

    def _draw_gpu(self) -> None:
        import gpu
        from gpu_extras.batch import batch_for_shader

        lines = gpu.shader.from_builtin("POLYLINE_SMOOTH_COLOR")
        viewport: Any = gpu.state.viewport_get()  # type: ignore[func-returns-value]  # (x, y, width, height) in px
        gpu.state.blend_set("ALPHA")
        gpu.state.depth_test_set("NONE")
        lines.bind()
        lines.uniform_float("viewportSize", (viewport[2], viewport[3]))
        lines.uniform_float("lineWidth", LINE_WIDTH_PX)
        content = {
            "pos": bone_ends(self._body, self._points).tolist(),
            "color": bone_ends(self._body, self._colours).tolist(),
        }
        batch_for_shader(lines, "LINES", content).draw(lines)
        if len(self._lines):
            lines.uniform_float("lineWidth", DETAIL_WIDTH_PX)
            content = {"pos": self._lines.tolist(), "color": self._line_colours.tolist()}
            batch_for_shader(lines, "LINES", content).draw(lines)
        points = gpu.shader.from_builtin("SMOOTH_COLOR")
        gpu.state.point_size_set(POINT_SIZE_PX)
        points.bind()
        batch_for_shader(points, "POINTS", {"pos": self._points.tolist(), "color": self._colours.tolist()}).draw(points)
        gpu.state.point_size_set(1.0)
        gpu.state.depth_test_set("LESS_EQUAL")
        gpu.state.blend_set("NONE")
