"""Follows the face of one person through a video: crops, landmarks and raw weights.

May import numpy, `backend.networks`, `backend.people`, `backend.hands`, `backend.types` and its own room.

The numbers of the 146 landmarks that the blend shape mixer reads, and the order of its weights, are those of
MediaPipe's face landmarker.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.face.head import head_turn
from backend.hands.crops import pixels_per_metre
from backend.hands.palms import anchor_centres
from backend.keypoint_layouts import FACE
from backend.networks import Network, RuntimeOptions, load_network
from backend.people.region import Roi, cut
from backend.types import Array, Image
from blender_addon.motion.face import FACE_WEIGHT_NAMES

# fmt: off
MIXER_LANDMARKS: tuple[int, ...] = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314,
    317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384,
    385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475,
    476, 477,
)
_MIXER_NAMES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)
# fmt: on
MIXER_ORDER: NDArray[np.intp] = np.array(
    [_MIXER_NAMES.index(name) if name in _MIXER_NAMES else -1 for name in FACE_WEIGHT_NAMES], dtype=np.intp
)
"""Place of each of ARKit's weights (52,) among the mixer's; -1 for the tongue, which it does not know."""


def mixer_points(landmarks_px: Array) -> NDArray[np.float32]:
    """The mixer's input (N, 146, 2) of landmarks (N, 478, 2): centred, at a mean distance of 1."""
    points = landmarks_px[:, list(MIXER_LANDMARKS)]
    points = points - points.mean(axis=1, keepdims=True)
    distance = np.linalg.norm(points, axis=-1).mean(axis=1)
    return np.asarray(points / np.maximum(distance, 1e-9)[:, None, None], dtype=np.float32)


LANDMARKS = FACE.count
LEAST_PRESENCE = 0.5
_NOSE, _EYES, _EARS, _MOUTH = 0, (2, 5), (7, 8), (9, 10)  # BlazePose; left first
_LEFT_EYE, _RIGHT_EYE = 263, 33  # outer corners, of the person's own left and right
_FACE_M, _SEARCH_M = 0.27, 0.6
_SCALE = 1.5
_FARTHEST_M = 0.12
_LEAST_VISIBILITY = 0.3
_SEARCH_INTERVAL_S = 0.5
_DETECTOR_SIDE, _LEAST_SCORE = 128, 0.5
KEPT = ("weights", "presence", "eyes_px", "yaw", "turn_wxyz", "middle_px")
"""What a track holds for each frame."""


@dataclass(frozen=True, slots=True)
class FaceNetworks:
    """The networks that see faces, ready to run."""

    landmarks: Network
    weights: Network
    detector: Network


@dataclass(frozen=True, slots=True)
class FaceTrack:
    """One person's face over T frames.

    weights (T, 52) as the network gives them, in ARKit's order, NaN where no face was found; presence (T,) 0..1;
    eyes_px (T,) between the outer corners; yaw (T,) -1..1, how far the nose stands off the middle; searches: how often
    the detector ran. turn_wxyz (T, 4): the head in a camera that looks straight at it, and middle_px (T, 2) where it is
    in the frame.
    """

    weights: Array
    presence: Array
    eyes_px: Array
    yaw: Array
    turn_wxyz: Array
    middle_px: Array
    searches: int = 0


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A face in one frame: landmarks_px (478, 2), presence 0..1, and depth_px (478,) away from the camera."""

    landmarks_px: Array
    presence: float
    depth_px: Array


@dataclass(frozen=True, slots=True)
class MeasuredFace:
    """What is kept of a face in one frame: see `FaceTrack`."""

    weights: Array
    presence: float
    eyes_px: float
    yaw: float
    turn_wxyz: Array
    middle_px: Array


def no_faces(frames: int) -> FaceTrack:
    """The track of a face that is seen nowhere."""
    return FaceTrack(
        np.full((frames, len(FACE_WEIGHT_NAMES)), np.nan),
        np.zeros(frames),
        np.full(frames, np.nan),
        np.zeros(frames),
        np.full((frames, 4), np.nan),
        np.full((frames, 2), np.nan),
    )


def face_track(arrays: Mapping[str, Array]) -> FaceTrack:
    """A track of the arrays of `KEPT`."""
    weights, presence, eyes, yaw, turns, middle = (arrays[name] for name in KEPT)
    return FaceTrack(weights, presence, eyes, yaw, turns, middle)


def keep_face(track: FaceTrack, row: int, face: MeasuredFace) -> None:
    """Write a frame's face into the track, in place."""
    for name in KEPT:
        getattr(track, name)[row] = getattr(face, name)


def load_face_networks(device: str = "cpu", threads: int = 2) -> FaceNetworks:
    """Load the three networks. WeightsError, DeviceError."""
    runtime = RuntimeOptions(device, threads=threads)
    names = ("face_landmarks", "face_blendshapes", "face_detector")
    landmarks, weights, detector = (load_network(name, runtime) for name in names)
    return FaceNetworks(landmarks, weights, detector)


class FaceFollower:
    """One person's face, frame by frame, in order."""

    def __init__(self, networks: FaceNetworks, frames: int) -> None:
        self._networks = networks
        self._track = no_faces(frames)
        self._last: FoundFace | None = None
        self._searched_s = -math.inf
        self._searches = 0

    def cut(self) -> None:
        """A new shot begins: nothing of the last frame is a hint any more."""
        self._last = None

    def update(
        self, row: int, image: Image, time_s: float, keypoints_px: Array, visibility: Array, others_px: Array
    ) -> None:
        """Look for the face in the frame that is kept as `row`.

        keypoints_px (33, 2) and visibility (33,) of the person's body; `others_px` (N, 2) the noses of other people.
        """
        scale, nose = pixels_per_metre(keypoints_px), keypoints_px[_NOSE]
        last, self._last = self._last, None
        if not (np.isfinite(nose).all() and math.isfinite(scale) and visibility[_NOSE] >= _LEAST_VISIBILITY):
            return
        face = None if last is None else self._fitting(image, roi_from_landmarks(last.landmarks_px), nose, scale)
        if face is None:
            face = self._fitting(image, roi_from_body(keypoints_px, scale), nose, scale)
        if face is None and time_s - self._searched_s >= _SEARCH_INTERVAL_S:
            self._searched_s = time_s
            face = self._searched(image, nose, scale)
        if face is None or _is_strangers(face, nose, others_px):
            return
        self._last = face
        self._keep(row, face)

    def track(self) -> FaceTrack:
        """What was seen so far."""
        return replace(self._track, searches=self._searches)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything that later frames depend on, to go on from with `restore`."""
        last, kept = self._last, self._track
        return {
            **{name: getattr(kept, name).copy() for name in KEPT},
            "last": np.full((LANDMARKS, 2), np.nan) if last is None else last.landmarks_px,
            "last_presence": np.array(-1.0 if last is None else last.presence),
            "searched_s": np.array(self._searched_s),
            "searches": np.array(self._searches),
        }

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from where `state` was taken."""
        for name in KEPT:
            getattr(self._track, name)[:] = arrays[name]
        presence = float(arrays["last_presence"])
        self._last = (
            None if presence < 0 else FoundFace(arrays["last"].astype(np.float64), presence, np.zeros(LANDMARKS))
        )
        self._searched_s = float(arrays["searched_s"])
        self._searches = int(arrays["searches"])

    def _keep(self, row: int, face: FoundFace) -> None:
        keep_face(self._track, row, measured_face(face, self._networks.weights))

    def _fitting(self, image: Image, roi: Roi, nose: Array, scale: float) -> FoundFace | None:
        """The face in a region, unless there is none, or not at this person's nose."""
        if not roi.is_finite:
            return None
        face = landmarks_on_crop(image, roi, self._networks.landmarks)
        if face.presence < LEAST_PRESENCE:
            return None
        extent = float(np.ptp(face.landmarks_px, axis=0).max())
        off = float(np.linalg.norm(face.landmarks_px[1] - nose))
        return face if off < max(_FARTHEST_M * scale, 0.5 * extent) and extent > 0.05 * scale else None

    def _searched(self, image: Image, nose: Array, scale: float) -> FoundFace | None:
        self._searches += 1
        area = Roi(float(nose[0]), float(nose[1]), _SEARCH_M * scale)
        found = find_faces(image, area, self._networks.detector)
        if not found:
            return None
        nearest = min(found, key=lambda roi: math.hypot(roi.x_px - nose[0], roi.y_px - nose[1]))
        return self._fitting(image, nearest, nose, scale)


def measured_face(face: FoundFace, network: Network) -> MeasuredFace:
    """Raw weights, size and direction of a face."""
    points = face.landmarks_px
    raw = network.run(mixer_points(points[None]))["weights"][0]
    across = points[_LEFT_EYE] - points[_RIGHT_EYE]
    span = max(float(np.linalg.norm(across)), 1e-6)
    middle = (points[_LEFT_EYE] + points[_RIGHT_EYE]) / 2.0
    yaw = float(np.clip((points[1] - middle) @ across / span**2 * 2.0, -1.0, 1.0))
    weights = np.where(MIXER_ORDER >= 0, raw[MIXER_ORDER], 0.0)
    turn = head_turn(np.concatenate([points, face.depth_px[:, None]], axis=1))
    return MeasuredFace(weights, face.presence, span, yaw, turn, middle)


def landmarks_on_crop(image: Image, roi: Roi, network: Network) -> FoundFace:
    """Landmarks of the face in a region."""
    side = network.input_size
    outputs = network.run(cut(image, roi, side)[None])
    points = outputs["landmarks"].reshape(LANDMARKS, 3).astype(np.float64)
    matrix = roi.frame_from_crop(side)
    logit = float(outputs["presence"].reshape(-1)[0])
    flat = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return FoundFace(flat, 0.5 + 0.5 * math.tanh(0.5 * logit), points[:, 2] * roi.size_px / side)


def roi_from_body(keypoints_px: Array, scale: float) -> Roi:
    """Region of a face from the body's keypoints (33, 2); `scale` px per metre."""
    eyes, mouth = keypoints_px[list(_EYES)], keypoints_px[list(_MOUTH)]
    middle = (keypoints_px[_NOSE] + eyes.mean(axis=0) + mouth.mean(axis=0)) / 3.0
    # upright is from the mouth to the eyes: it does not shrink when the head turns aside
    up = eyes.mean(axis=0) - mouth.mean(axis=0)
    size = _FACE_M * scale
    return Roi(float(middle[0]), float(middle[1]), size, math.atan2(float(up[0]), -float(up[1])))


def roi_from_landmarks(landmarks_px: Array) -> Roi:
    """Region of the same face for the next frame: its box and a half, upright by the eyes."""
    across = landmarks_px[_LEFT_EYE] - landmarks_px[_RIGHT_EYE]
    angle = math.atan2(float(across[1]), float(across[0]))
    x_axis, y_axis = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    x, y = landmarks_px @ x_axis, landmarks_px @ y_axis
    centre = x_axis * (x.min() + x.max()) / 2.0 + y_axis * (y.min() + y.max()) / 2.0
    return Roi(float(centre[0]), float(centre[1]), _SCALE * max(float(np.ptp(x)), float(np.ptp(y))), angle)


def find_faces(image: Image, area: Roi, network: Network) -> list[Roi]:
    """Regions of the faces in an upright area of an image, the surest first; several anchors may give one face."""
    outputs = network.run(cut(image, area, _DETECTOR_SIDE)[None])
    score = 0.5 + 0.5 * np.tanh(0.5 * outputs["scores"].reshape(-1))
    matrix = area.frame_from_crop(_DETECTOR_SIDE)
    regions: list[Roi] = []
    for row in np.argsort(-score)[:4]:
        if score[row] < _LEAST_SCORE:
            break
        values = outputs["boxes"].reshape(-1, 8, 2)[row].astype(np.float64)
        points = values[[0, 2, 3]] + anchor_centres(_DETECTOR_SIDE)[row] * _DETECTOR_SIDE
        centre, right, left = points @ matrix[:, :2].T + matrix[:, 2]
        angle = math.atan2(float(left[1] - right[1]), float(left[0] - right[0]))
        size = _SCALE * float(values[1].max()) * area.size_px / _DETECTOR_SIDE
        regions.append(Roi(float(centre[0]), float(centre[1]), size, angle))
    return regions


def _is_strangers(face: FoundFace, nose: Array, others_px: Sequence[Array] | Array) -> bool:
    mine = float(np.linalg.norm(face.landmarks_px[1] - nose))
    others = [float(np.linalg.norm(face.landmarks_px[1] - other)) for other in others_px if np.isfinite(other).all()]
    return bool(others) and min(others) < mine
