"""Follows both hands of one person through a video: crops, the landmark network, and what does not belong to them.

May import numpy, `backend.networks`, `backend.people`, `backend.types` and its own room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.hands.crops import (
    INDEXES,
    LANDMARKS,
    LITTLES,
    MIDDLE_KNUCKLE,
    WRIST,
    WRISTS,
    pixels_per_metre,
    roi_from_body,
    roi_from_landmarks,
    roi_from_palm,
)
from backend.hands.palms import find_palms
from backend.networks import Network, RuntimeOptions, load_network
from backend.people.region import Roi, cut
from backend.types import Array, Image

LEAST_PRESENCE = 0.5
_LEAST_VISIBILITY = 0.15  # of the body's wrist: below it the hand is not looked for
_FARTHEST_WRIST_M = 0.13  # between the body's wrist and the hand's
_HAND_M = (0.035, 0.30)  # extent of a hand's landmarks
_SEARCH_INTERVAL_S = 0.5
_PALM_SEARCH_M = 0.7
_CROPS = 4  # that lead from the body's keypoints to a hand
_OTHER_HAND = 0.08  # probability of the wanted hand below which the crop shows the other one


@dataclass(frozen=True, slots=True)
class HandNetworks:
    """The networks that see hands, ready to run."""

    landmarks: Network
    palms: Network
    poses: Network


@dataclass(frozen=True, slots=True)
class HandTrack:
    """Both hands of one person over T frames, left first.

    landmarks_px (T, 2, 21, 2) in the frame, NaN where a hand was not found; presence (T, 2) 0..1; scale (T,) px per
    metre at the person; searches: how often the palm detector ran.
    """

    landmarks_px: Array
    presence: Array
    scale: Array
    searches: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """One hand in one frame."""

    landmarks_px: Array
    presence: float
    own_hand: float


def load_hand_networks(device: str = "cpu", threads: int = 2) -> HandNetworks:
    """Load the three networks. WeightsError, DeviceError."""
    runtime = RuntimeOptions(device, threads=threads)
    landmarks = load_network("hand_landmarks", runtime, ("landmarks", "presence", "handedness"))
    return HandNetworks(landmarks, load_network("palm_detector", runtime), load_network("hand_pose", runtime))


class HandFollower:
    """One person's hands, frame by frame, in order."""

    def __init__(self, networks: HandNetworks, frames: int) -> None:
        self._networks = networks
        self._landmarks = np.full((frames, 2, LANDMARKS, 2), np.nan)
        self._presence = np.zeros((frames, 2))
        self._scale = np.full(frames, np.nan)
        self._last: list[tuple[Found, Array] | None] = [None, None]
        self._searched_s = [-np.inf, -np.inf]
        self._searches = 0

    def cut(self) -> None:
        """A new shot begins: nothing of the last frame is a hint any more."""
        self._last = [None, None]

    def update(
        self, row: int, image: Image, time_s: float, keypoints_px: Array, visibility: Array, others_px: Array
    ) -> None:
        """Look for both hands in the frame that is kept as `row`.

        keypoints_px (33, 2) and visibility (33,) of the person's body; `others_px` (N, 2) the wrists of other people.
        """
        scale = pixels_per_metre(keypoints_px)
        self._scale[row] = scale
        sides = [side for side in (0, 1) if self._wanted(keypoints_px, visibility, side, scale)]
        found = self._by_regions(image, keypoints_px, sides, scale)
        for side in sides:
            if found[side] is None and time_s - self._searched_s[side] >= _SEARCH_INTERVAL_S:
                self._searched_s[side] = time_s
                found[side] = self._by_palm(image, keypoints_px, side, scale)
        own = [self._own(hand, side, keypoints_px, others_px, scale) for side, hand in enumerate(found)]
        own = _one_hand_once(own, keypoints_px)
        for side, hand in enumerate(own):
            self._last[side] = None if hand is None else (hand, keypoints_px[WRISTS[side]].copy())
            if hand is not None:
                self._landmarks[row, side] = hand.landmarks_px
                self._presence[row, side] = hand.presence

    def track(self) -> HandTrack:
        """What was seen so far."""
        return HandTrack(self._landmarks, self._presence, self._scale, self._searches)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything that later frames depend on, to go on from with `restore`."""
        blank = (Found(np.full((LANDMARKS, 2), np.nan), 0.0, 0.0), np.full(2, np.nan))
        last = [one or blank for one in self._last]
        return {
            "landmarks": self._landmarks.copy(),
            "presence": self._presence.copy(),
            "scale": self._scale.copy(),
            "last": np.stack([hand.landmarks_px for hand, _ in last]),
            "last_known": np.array([one is not None for one in self._last]),
            "last_sure": np.array([[hand.presence, hand.own_hand] for hand, _ in last]),
            "last_wrist": np.stack([wrist for _, wrist in last]),
            "searched_s": np.array(self._searched_s),
            "searches": np.array(self._searches),
        }

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from where `state` was taken."""
        for own, name in ((self._landmarks, "landmarks"), (self._presence, "presence"), (self._scale, "scale")):
            own[:] = arrays[name].astype(np.float64)
        sure, last = arrays["last_sure"].astype(np.float64), arrays["last"].astype(np.float64)
        wrists = arrays["last_wrist"].astype(np.float64)
        for side in (0, 1):
            hand = Found(last[side], float(sure[side, 0]), float(sure[side, 1]))
            self._last[side] = (hand, wrists[side]) if arrays["last_known"][side] else None
        self._searched_s = arrays["searched_s"].astype(np.float64).tolist()
        self._searches = int(arrays["searches"])

    def _wanted(self, keypoints_px: Array, visibility: Array, side: int, scale: float) -> bool:
        needed = [WRISTS[side], INDEXES[side], LITTLES[side]]
        return bool(
            np.isfinite(keypoints_px[needed]).all()
            and np.isfinite(scale)
            and scale > 1.0
            and visibility[WRISTS[side]] >= _LEAST_VISIBILITY
        )

    def _by_regions(self, image: Image, keypoints_px: Array, sides: Sequence[int], scale: float) -> list[Found | None]:
        """From the last frame's landmarks, moved as the wrist moved; else from the body, with closer crops after it."""
        found: list[Found | None] = [None, None]
        tracked = [side for side in sides if self._last[side] is not None]
        for side, hand in zip(
            tracked, self._run(image, [self._moved(side, keypoints_px) for side in tracked]), strict=True
        ):
            if _fits(hand, side, keypoints_px, scale):
                found[side] = hand
        fresh = [side for side in sides if found[side] is None]
        for _ in range(_CROPS):
            rois = [
                roi_from_body(keypoints_px, side, scale)
                if hand is None
                else roi_from_landmarks(hand.landmarks_px, side)
                for side in fresh
                for hand in [found[side]]
            ]
            hands = self._run(image, rois)
            fresh = [side for side, hand in zip(fresh, hands, strict=True) if _fits(hand, side, keypoints_px, scale)]
            for hand, roi in zip(hands, rois, strict=True):
                side = 0 if roi.mirrored else 1
                found[side] = hand if side in fresh else None
        return found

    def _moved(self, side: int, keypoints_px: Array) -> Roi:
        last = self._last[side]
        assert last is not None
        return roi_from_landmarks(last[0].landmarks_px + 0.5 * (keypoints_px[WRISTS[side]] - last[1]), side)

    def _by_palm(self, image: Image, keypoints_px: Array, side: int, scale: float) -> Found | None:
        wrist = keypoints_px[WRISTS[side]]
        self._searches += 1
        roi = Roi(float(wrist[0]), float(wrist[1]), _PALM_SEARCH_M * scale)
        palms = find_palms(image, roi, self._networks.palms)
        palms = [palm for palm in palms if np.linalg.norm(palm.wrist_px - wrist) < _FARTHEST_WRIST_M * scale]
        if not palms:
            return None
        nearest = min(palms, key=lambda palm: float(np.linalg.norm(palm.wrist_px - wrist)))
        region = roi_from_palm(nearest.wrist_px, nearest.knuckle_px, nearest.box_px, side)
        hand = self._run(image, [region])[0]
        return hand if _fits(hand, side, keypoints_px, scale) else None

    def _run(self, image: Image, rois: Sequence[Roi]) -> list[Found]:
        return hands_in(image, rois, self._networks.landmarks)

    def _own(self, hand: Found | None, side: int, keypoints_px: Array, others_px: Array, scale: float) -> Found | None:
        """The hand, unless it is somebody else's or this person's other one."""
        if hand is None or hand.own_hand < _OTHER_HAND:
            return None
        wrist = hand.landmarks_px[WRIST]
        mine = float(np.linalg.norm(wrist - keypoints_px[WRISTS[side]]))
        strangers = [float(np.linalg.norm(wrist - other)) for other in others_px if np.isfinite(other).all()]
        return None if strangers and min(strangers) < mine and min(strangers) < _FARTHEST_WRIST_M * scale else hand


def hands_in(image: Image, rois: Sequence[Roi], network: Network) -> list[Found]:
    """What the landmark network sees in regions of an image; a hand's `own_hand` says how much it is the hand that the
    region is made for.
    """
    if not rois:
        return []
    side = network.input_size
    outputs = network.run(np.stack([cut(image, roi, side) for roi in rois]))
    return [
        _decoded({name: value[index] for name, value in outputs.items()}, roi, side) for index, roi in enumerate(rois)
    ]


def _decoded(outputs: dict[str, NDArray[np.float32]], roi: Roi, side: int) -> Found:
    matrix = roi.frame_from_crop(side)
    crop = outputs["landmarks"].reshape(LANDMARKS, 3).astype(np.float64)
    return Found(
        crop[:, :2] @ matrix[:, :2].T + matrix[:, 2],
        float(outputs["presence"].reshape(-1)[0]),
        float(outputs["handedness"].reshape(-1)[0]),
    )


def _fits(hand: Found, side: int, keypoints_px: Array, scale: float) -> bool:
    """Whether there is a hand, at the body's wrist, of a hand's size."""
    extent = float(np.ptp(hand.landmarks_px, axis=0).max())
    apart = float(np.linalg.norm(hand.landmarks_px[WRIST] - keypoints_px[WRISTS[side]]))
    # a hand nearer to the camera than the body is larger, and so is what its wrist may be off
    reach = _FARTHEST_WRIST_M * max(scale, 0.0) + 0.25 * float(
        np.linalg.norm(hand.landmarks_px[MIDDLE_KNUCKLE] - hand.landmarks_px[WRIST])
    )
    return hand.presence >= LEAST_PRESENCE and apart < reach and _HAND_M[0] * scale < extent < 2.0 * _HAND_M[1] * scale


def _one_hand_once(hands: list[Found | None], keypoints_px: Array) -> list[Found | None]:
    """Where both sides found the same hand, the side whose wrist is nearer keeps it."""
    left, right = hands
    if left is None or right is None:
        return hands
    size = max(float(np.ptp(hand.landmarks_px, axis=0).max()) for hand in (left, right))
    if float(np.linalg.norm(left.landmarks_px - right.landmarks_px, axis=1).mean()) > 0.25 * size:
        return hands
    apart = [
        float(np.linalg.norm(hand.landmarks_px[WRIST] - keypoints_px[WRISTS[side]])) / max(hand.own_hand, 0.05)
        for side, hand in enumerate((left, right))
    ]
    return [left, None] if apart[0] <= apart[1] else [None, right]
