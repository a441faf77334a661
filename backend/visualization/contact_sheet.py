"""The contact sheet of a solve: frames spread over the clip, each with its skeleton from the camera and from the side.

May import numpy, OpenCV, `backend.video`, `backend.types`, `backend.errors` and `blender_addon.motion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from backend.errors import OutputError
from backend.types import Array, Frame, Image
from backend.video import VideoReader
from backend.visualization.drawing import clip_joints_px, confidence_colour, draw_bones, draw_label, draw_person
from backend.whole_file import whole_file
from blender_addon.motion.clip import MotionClip

CELL_PX: Final = 300
COLUMNS: Final = 4
_SIDE_PX: Final = 150
_MARGIN: Final = 1.35


def write_sheet(reader: VideoReader, clips: Sequence[MotionClip], path: Path, frames: int = 12) -> None:
    """Write a PNG of `frames` moments of each person: the image around the person, and the body seen from its side.

    Raises OutputError where it cannot be written, VideoError where the source cannot be read.
    """
    wanted: dict[int, list[tuple[int, int]]] = {}
    cells: dict[tuple[int, int], Image] = {}
    times = [np.asarray(clip.times_s) for clip in clips]
    for person, clip in enumerate(clips):
        seen = np.flatnonzero(clip.confidence > 0)
        for place, frame in enumerate(seen[np.linspace(0, len(seen) - 1, min(frames, len(seen))).round().astype(int)]):
            wanted.setdefault(round(float(times[person][frame]) * 1e5), []).append((person, int(frame)))
            cells[person, int(frame)] = np.zeros((CELL_PX, CELL_PX + _SIDE_PX, 3), np.uint8)
            del place
    for frame in reader.frames():
        for person, index in wanted.pop(round(frame.time_s * 1e5), ()):
            cells[person, index] = _cell(frame, clips[person], index)
        if not wanted:
            break
    write_image(tile([cells[key] for key in sorted(cells)], COLUMNS), path)


def tile(cells: Sequence[Image], columns: int) -> Image:
    """Cells of one size as rows of at most `columns`; a dark image where there are none."""
    if not cells:
        return np.full((CELL_PX, CELL_PX, 3), 30, np.uint8)
    height, width = cells[0].shape[:2]
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * (height + 4) + 4, columns * (width + 4) + 4, 3), 30, np.uint8)
    for place, cell in enumerate(cells):
        y, x = 4 + place // columns * (height + 4), 4 + place % columns * (width + 4)
        sheet[y : y + height, x : x + width] = cell
    return sheet


def write_image(image: Image, path: Path) -> None:
    """Write RGB as PNG (or what the name's ending says). Raises OutputError where that is not possible."""
    suffix = path.suffix if path.suffix.lower() in {".png", ".jpg", ".jpeg", ".webp"} else ".png"
    done, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise OutputError(f"The image {path} cannot be encoded", "Use a name that ends in .png")
    try:
        with whole_file(path) as whole:
            whole.write_bytes(data.tobytes())
    except OSError as fault:
        raise OutputError(f"{path} cannot be written ({fault.strerror})", "Check the folder and its space") from fault


def cut_square(image: Image, centre_px: Array, side_px: float, size: int) -> tuple[Image, Array, float]:
    """A square of the image as (size, size, 3), with the offset (2,) and scale that map pixels into it."""
    offset = np.asarray(centre_px) - side_px / 2
    scale = size / side_px
    matrix = np.array([[scale, 0.0, -offset[0] * scale], [0.0, scale, -offset[1] * scale]])
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    if scale < 0.5:
        # warping has no area filter: shrink the image first, so that thin limbs do not break into dots
        half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        cell, _, _ = cut_square(np.asarray(half, np.uint8), np.asarray(centre_px) / 2, side_px / 2, size)
        return cell, offset, scale
    warped = cv2.warpAffine(image, matrix, (size, size), flags=shrink, borderValue=(30, 30, 30))
    return np.asarray(warped, dtype=np.uint8), offset, scale


def _cell(frame: Frame, clip: MotionClip, index: int) -> Image:
    points = np.concatenate([clip_joints_px(clip, index), clip.keypoints_px[index]])
    points = points[np.isfinite(points).all(axis=1)]
    cell = np.full((CELL_PX, CELL_PX + _SIDE_PX, 3), 30, np.uint8)
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(32.0, float((high - low).max()) * _MARGIN)
    image, offset, scale = cut_square(frame.image, (low + high) / 2, side, CELL_PX)
    draw_person(image, clip, index, scale, offset)
    cell[:, :CELL_PX] = image
    draw_side_view(cell[:, CELL_PX:], clip, index)
    draw_label(cell, f"{frame.time_s:.2f} s", (6, CELL_PX - 8), 14)
    confidence = float(clip.confidence[index])
    draw_label(cell, f"{confidence:.2f}", (CELL_PX + 6, 18), 14, confidence_colour(confidence))
    return cell


def draw_side_view(view: Image, clip: MotionClip, index: int) -> None:
    """The body seen from the camera's right, so that depth, which the image hides, runs from right to left."""
    joints = clip.joints_camera_m[index].astype(np.float64)
    centred = joints - joints[clip.joint_names.index("pelvis")]
    size = 2.2 * max(0.5, 0.55 * clip.header.body_height_m)
    scale = min(view.shape[0], 1.6 * view.shape[1]) / size
    flat = np.stack([-centred[:, 2], centred[:, 1]], axis=-1) * scale + np.array([view.shape[1], view.shape[0]]) / 2
    drawn = np.ascontiguousarray(view)
    draw_bones(drawn, flat, clip.joint_names, confidence_colour(float(clip.confidence[index])), 2)
    draw_label(drawn, "side", (6, view.shape[0] - 8), 14)
    view[:] = drawn
