"""Constant-velocity filter of a person's region: smooths it and says where it will be. numpy, people.region."""

from __future__ import annotations

import math

import numpy as np

from backend.people.region import Roi
from backend.types import Array

_FOLLOW = 0.75  # share of a surprise that moves the region
_FOLLOW_SPEED = 0.25  # and its speed
_FADE = 0.85  # of the speed, each frame out of sight
_LEAST_LOG_SIZE, _MOST_LOG_SIZE = math.log(8.0), math.log(32_000.0)


class MotionFilter:
    """Alpha-beta filter over x, y (px), log side and rotation (rad); one step is one frame."""

    def __init__(self, roi: Roi) -> None:
        self._place = _vector(roi)
        self._speed = np.zeros(4)

    def predict(self, steps: int = 1) -> Roi:
        """The region `steps` frames on."""
        return _roi(self._place + steps * self._speed)

    def observe(self, roi: Roi) -> None:
        """Take in the region seen one frame on."""
        expected = self._place + self._speed
        surprise = _vector(roi) - expected
        surprise[3] = (surprise[3] + math.pi) % (2 * math.pi) - math.pi
        self._place = expected + _FOLLOW * surprise
        self._speed = self._speed + _FOLLOW_SPEED * surprise

    def go_on(self) -> None:
        """One frame on that was not looked at."""
        self._place = self._place + self._speed

    def coast(self) -> None:
        """One frame on without sight: move on, slow down; size and heading stay."""
        self._speed[2:] = 0.0
        self._place = self._place + self._speed
        self._speed *= _FADE

    def state(self) -> Array:
        """(8,) place and speed."""
        return np.concatenate([self._place, self._speed])

    @staticmethod
    def restored(state: Array) -> MotionFilter:
        """The filter that `state` came from."""
        made = MotionFilter(_roi(state[:4]))
        made._place, made._speed = state[:4].copy(), state[4:].copy()
        return made


def _vector(roi: Roi) -> Array:
    return np.array([roi.x_px, roi.y_px, math.log(roi.size_px), roi.rotation_rad])


def _roi(place: Array) -> Roi:
    size = math.exp(min(max(float(place[2]), _LEAST_LOG_SIZE), _MOST_LOG_SIZE))
    return Roi(float(place[0]), float(place[1]), size, float(place[3]))
