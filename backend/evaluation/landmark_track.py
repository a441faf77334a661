"""Landmarks with known truth as a track, as if a person had been followed in a video at 30/s. numpy only."""

from __future__ import annotations

import numpy as np

from backend.types import Array, PersonTrack

FPS = 30.0


def landmark_track(points: Array, visibility: Array, guess_m: Array) -> PersonTrack:
    """A track of T frames from points (T, 33, 2) in normalised image coordinates, visibility (T, 33) and the network's
    own 3D guess (T, 33, 3) m. The person is present in every frame.
    """
    frames = len(points)
    return PersonTrack(
        0,
        np.arange(frames),
        np.arange(frames) / FPS,
        points.astype(np.float64),
        np.zeros(points.shape[:2]),
        visibility.astype(np.float64),
        guess_m.astype(np.float64),
        np.ones(frames),
        np.zeros((frames, 4)),
    )
