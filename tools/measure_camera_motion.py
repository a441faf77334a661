"""How often a moving camera is noticed: virtual cameras that turn, shake, pan and zoom over still recordings.

usage: measure_camera_motion.py VIDEO [VIDEO ...]

A camera that turns about its centre or zooms maps a still video by a homography, so the truth is exact: each video is
seen as it is, and through six virtual cameras at three strengths. People are found once, in the still video.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from backend.camera.motion import CameraMotion, CameraMotionMeter, camera_motion
from backend.people import PeopleOptions, track_people
from backend.people.options import Choice, Selection
from backend.types import Frame, PersonTrack
from backend.video import CutDetector, open_video

_FRAMES = 150
# room at the edges, so that the virtual camera never sees beyond the recording
_CLOSER = 1.25
# the background's largest shift, in parts of the width
STRENGTHS = (0.025, 0.05, 0.1)


def _wander(seed: int, times_s: np.ndarray, rates_hz: tuple[float, ...]) -> np.ndarray:
    """Smooth noise (T,) of peak 1."""
    rng = np.random.default_rng(seed)
    waves = [np.sin(2 * np.pi * (rate * times_s + rng.random())) * rng.uniform(0.5, 1.0) for rate in rates_hz]
    curve = np.sum(waves, axis=0)
    curve = curve - curve[0]
    return np.asarray(curve / max(float(np.abs(curve).max()), 1e-9))


def _shake(times_s: np.ndarray) -> np.ndarray:
    rates = (0.4, 0.9, 2.1)
    return np.stack([_wander(1, times_s, rates), _wander(2, times_s, rates), 0 * times_s, 0 * times_s], axis=1)


def _pan(times_s: np.ndarray) -> np.ndarray:
    ramp = times_s / max(float(times_s[-1]), 1e-6)
    return np.stack([ramp, 0.1 * ramp, 0 * ramp, 0 * ramp], axis=1)


def _tilt(times_s: np.ndarray) -> np.ndarray:
    return _pan(times_s)[:, [1, 0, 2, 3]]


def _zoom(times_s: np.ndarray) -> np.ndarray:
    ramp = times_s / max(float(times_s[-1]), 1e-6)
    return np.stack([0 * ramp, 0 * ramp, ramp, 0 * ramp], axis=1)


def _roll(times_s: np.ndarray) -> np.ndarray:
    curve = _wander(3, times_s, (0.3, 0.8))
    return np.stack([0 * curve, 0 * curve, 0 * curve, curve], axis=1)


def _held(times_s: np.ndarray) -> np.ndarray:
    return _shake(times_s) + np.array([0.0, 0.0, 0.0, 0.5]) * _roll(times_s) + 0.3 * _pan(times_s)


# of time (T,): shift right, shift down, growth at the edge, turn at the edge (T, 4), in parts of the strength
CAMERAS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "shake": _shake,
    "pan": _pan,
    "tilt": _tilt,
    "zoom": _zoom,
    "roll": _roll,
    "held": _held,
}


def homographies(curve: np.ndarray, strength: float, size: tuple[int, int]) -> np.ndarray:
    """Maps (T, 3, 3) from the recording to the virtual camera's image of `size` (width, height)."""
    width, height = size
    shift = strength * width * curve[:, :2]
    # points of the frame lie on average a quarter of its width and height from the middle
    reach = 0.25 * np.hypot(width, height)
    growth = _CLOSER * (1.0 + strength * width / reach * np.clip(curve[:, 2], 0.0, None))
    angle = strength * width / reach * curve[:, 3]
    maps = np.tile(np.eye(3), (len(curve), 1, 1))
    maps[:, 0, 0] = maps[:, 1, 1] = growth * np.cos(angle)
    maps[:, 1, 0], maps[:, 0, 1] = growth * np.sin(angle), -growth * np.sin(angle)
    middle = np.array([width / 2, height / 2])
    maps[:, :2, 2] = middle + shift - np.einsum("tij,j->ti", maps[:, :2, :2], middle)
    return maps


def seen_motion(frames: list[Frame], tracks: list[PersonTrack], maps: np.ndarray | None) -> CameraMotion:
    """What the meter says of frames seen through `maps` (T, 3, 3), with the people where these put them."""
    meter, cuts = CameraMotionMeter(), CutDetector()
    height, width = frames[0].image.shape[:2]
    for place, frame in enumerate(frames):
        seen = frame
        if maps is not None:
            image = cv2.warpPerspective(frame.image, maps[place], (width, height), flags=cv2.INTER_LINEAR)
            seen = replace(frame, image=np.asarray(image, np.uint8))
        meter.update(seen, new_shot=cuts.update(seen))
    return camera_motion(meter.samples, tracks if maps is None else _moved(tracks, frames, maps), width)


def _moved(tracks: list[PersonTrack], frames: list[Frame], maps: np.ndarray) -> list[PersonTrack]:
    place = {frame.index: number for number, frame in enumerate(frames)}
    moved = []
    for track in tracks:
        rows = [row for row, index in enumerate(track.frame_index) if int(index) in place]
        keypoints = track.keypoints_px.astype(np.float64).copy()
        for row in rows:
            seen = np.c_[keypoints[row], np.ones(len(keypoints[row]))] @ maps[place[int(track.frame_index[row])]].T
            keypoints[row] = seen[:, :2] / seen[:, 2:]
        moved.append(replace(track, keypoints_px=keypoints))
    return moved


def main() -> None:
    """Measure every video of the command line."""
    noticed: list[bool] = []
    wrong = 0
    for name in sys.argv[1:]:
        reader = open_video(Path(name))
        frames = [frame for frame, _ in zip(reader.frames(), range(_FRAMES), strict=False)]
        options = PeopleOptions(max_people=3, selection=Selection(Choice.ALL))
        try:
            tracks = track_people(iter(frames), reader.info, options)
        except Exception as fault:  # nobody there: nothing to mask
            print(name, fault)
            tracks = []
        times_s = np.array([frame.time_s for frame in frames])
        size = frames[0].image.shape[1], frames[0].image.shape[0]
        still = seen_motion(frames, tracks, None)
        wrong += still.moves
        rows = []
        for camera, curve in CAMERAS.items():
            for strength in STRENGTHS:
                found = seen_motion(frames, tracks, homographies(curve(times_s - times_s[0]), strength, size))
                noticed.append(found.moves)
                rows.append(f"{camera} {strength:.3f}: {found.share:.4f}{'' if found.moves else ' MISSED'}")
        print(
            Path(name).name, f"still: {still.share:.4f}{' WRONG' if still.moves else ''};", "; ".join(rows), flush=True
        )
    print(f"moving cameras noticed: {np.mean(noticed):.3f} of {len(noticed)}; still ones taken for moving: {wrong}")


if __name__ == "__main__":
    main()
