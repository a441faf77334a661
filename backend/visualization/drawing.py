"""Strokes that the images share: skeleton, keypoints, labels. numpy, OpenCV, `blender_addon.motion`.

All colours are RGB. The solved skeleton is drawn as lines from red (no confidence) over yellow to green; the
detected 2D keypoints as white dots whose size tells their confidence; so the eye sees at once which is which.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from backend.keypoint_layouts import BLAZEPOSE
from backend.types import Array, Image
from blender_addon.motion.clip import MotionClip

Colour = tuple[int, int, int]

# pairs of Human3.6M joints; the person's left is drawn with a lighter edge so that swapped sides are seen
BONES: Final = (
    ("pelvis", "rhip"),
    ("rhip", "rknee"),
    ("rknee", "rankle"),
    ("pelvis", "lhip"),
    ("lhip", "lknee"),
    ("lknee", "lankle"),
    ("pelvis", "spine"),
    ("spine", "thorax"),
    ("thorax", "nose"),
    ("nose", "headtop"),
    ("thorax", "lshoulder"),
    ("lshoulder", "lelbow"),
    ("lelbow", "lwrist"),
    ("thorax", "rshoulder"),
    ("rshoulder", "relbow"),
    ("relbow", "rwrist"),
)
# BlazePose's face and finger points crowd the image and say nothing of the pose
SHOWN_KEYPOINTS: Final = (0, 7, 8, *range(11, 17), *range(23, BLAZEPOSE.count))
LEFT_EDGE: Final[Colour] = (70, 150, 255)
RIGHT_EDGE: Final[Colour] = (255, 140, 40)
_SHIFT: Final = 4
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX


def confidence_colour(confidence: float) -> Colour:
    """Red at 0, yellow at 0.5, green at 1."""
    c = float(np.clip(confidence, 0.0, 1.0))
    return (round(255 * min(1.0, 2.0 - 2.0 * c)), round(220 * min(1.0, 2.0 * c)), 40)


def bone_pairs(joint_names: tuple[str, ...]) -> list[tuple[int, int, Colour]]:
    """Index pairs of `BONES` with the colour of their edge (the person's left, right, or dark for the middle)."""
    edges = {"l": LEFT_EDGE, "r": RIGHT_EDGE}
    return [(joint_names.index(a), joint_names.index(b), edges.get(_side(b), (25, 25, 25))) for a, b in BONES]


def draw_bones(image: Image, joints_px: Array, joint_names: tuple[str, ...], colour: Colour, width_px: int) -> None:
    """Draw the skeleton (J, 2) into the image; bones with an unknown end are left out."""
    pairs = [(a, b, edge) for a, b, edge in bone_pairs(joint_names) if np.isfinite(joints_px[[a, b]]).all()]
    for widen, own in ((2, True), (0, False)):
        for a, b, edge in pairs:
            stroke = edge if own else colour
            start, end = _fixed(joints_px[a]), _fixed(joints_px[b])
            cv2.line(image, start, end, stroke, width_px + widen, cv2.LINE_AA, _SHIFT)


def draw_keypoints(image: Image, keypoints_px: Array, confidence: Array, radius_px: int) -> None:
    """Draw detected points (K, 2) as dots that shrink with confidence (K,); lost ones are not drawn."""
    for index in SHOWN_KEYPOINTS:
        if index >= len(keypoints_px) or not np.isfinite(keypoints_px[index]).all() or confidence[index] < 0.05:
            continue
        radius = max(1, round(radius_px * (0.4 + 0.6 * float(confidence[index]))))
        centre = _fixed(keypoints_px[index])
        cv2.circle(image, centre, (radius + 1) << _SHIFT, (0, 0, 0), -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(image, centre, radius << _SHIFT, (255, 255, 255), -1, cv2.LINE_AA, _SHIFT)


def draw_label(image: Image, text: str, at_px: tuple[int, int], size_px: int, colour: Colour = (255, 255, 255)) -> None:
    """Write a line of text with a dark edge, its lower left corner at `at_px`."""
    scale = size_px / 22.0
    for stroke, thickness in (((0, 0, 0), 4), (colour, 1)):
        cv2.putText(image, text, at_px, _FONT, scale, stroke, max(1, round(thickness * scale)), cv2.LINE_AA)


def clip_joints_px(clip: MotionClip, frame: int) -> Array:
    """The reprojected joints (17, 2) px of one frame; NaN where the person is not there or behind the camera."""
    joints = clip.joints_camera_m[frame].astype(np.float64)
    depth = np.where(joints[:, 2:] > 1e-6, joints[:, 2:], np.nan)
    return np.asarray((joints[:, :2] / depth) @ clip.intrinsics[:2, :2].T + clip.intrinsics[:2, 2])


def draw_person(image: Image, clip: MotionClip, frame: int, scale: float, offset_px: Array | None = None) -> None:
    """Draw one person's keypoints and reprojected skeleton; image = (pixels - offset) * scale."""
    offset = np.zeros(2) if offset_px is None else offset_px
    unit = max(2, round(min(image.shape[:2]) / 240))
    colour = confidence_colour(float(clip.confidence[frame]))
    draw_bones(image, (clip_joints_px(clip, frame) - offset) * scale, clip.joint_names, colour, unit)
    draw_keypoints(image, (clip.keypoints_px[frame] - offset) * scale, clip.keypoint_confidence[frame], unit + 1)


def _side(name: str) -> str:
    return name[0] if name[1:] in {"hip", "knee", "ankle", "shoulder", "elbow", "wrist"} else ""


def _fixed(point: Array) -> tuple[int, int]:
    # OpenCV counts from pixel centres and takes integers with fractional bits; far points overflow its int
    x, y = np.clip((np.asarray(point) - 0.5) * (1 << _SHIFT), -(1 << 20), 1 << 20)
    return (round(float(x)), round(float(y)))
