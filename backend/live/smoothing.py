"""Smoothing of a live pose: still when the person is, quick when the person moves. numpy and `motion`.

The 1-Euro filter (Casiez, Roussel and Vogel, "1 Euro Filter: a simple speed-based low-pass filter for noisy input in
interactive systems", CHI 2012): a low-pass whose cut-off rises with the speed. Its weights are those of
`motion.filters`; here it runs sample by sample. Rotations are filtered along the arc, each joint at its own speed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from backend.types import Array
from blender_addon.motion.filters import one_euro_weights
from blender_addon.motion.rotations import (
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_normalize,
    quaternion_to_rotvec,
    rotvec_to_quaternion,
)


@dataclass(frozen=True, slots=True)
class Euro:
    """`minimum_hz`: cut-off at rest; `beta`: how much it rises, Hz for each unit a second; `speed_hz`: cut-off of the
    speed itself.
    """

    minimum_hz: float
    beta: float
    speed_hz: float = 1.5


@dataclass(frozen=True, slots=True)
class SmoothSettings:
    """Rotations in rad, the direction to the pelvis in tangents, its distance in log metres, places in m."""

    rotation: Euro = Euro(0.3, 1.0, 0.7)
    bearing: Euro = Euro(0.4, 20.0, 1.0)
    distance: Euro = Euro(0.1, 1.0, 0.5)
    joints: Euro = Euro(0.4, 3.0, 1.0)


@dataclass(slots=True)
class EuroVector:
    """The filter over values (..., D), one speed for each leading index."""

    settings: Euro
    _value: Array | None = None
    _velocity: Array = field(default_factory=lambda: np.zeros(0))

    def update(self, value: Array, step_s: float) -> Array:
        """The filtered value of the next sample, `step_s` after the one before."""
        value = np.asarray(value, np.float64)
        if self._value is None:
            self._value, self._velocity = value.copy(), np.zeros_like(value)
            return self._value
        change = value - self._value
        self._velocity = _faded(self._velocity, change, step_s, self.settings)
        self._value = self._value + _weight(self._velocity, step_s, self.settings) * change
        return self._value


@dataclass(slots=True)
class EuroRotation:
    """The filter over quaternions (J, 4)."""

    settings: Euro
    _value: Array | None = None
    _velocity: Array = field(default_factory=lambda: np.zeros(0))

    def update(self, wxyz: Array, step_s: float) -> Array:
        """The filtered rotations of the next sample."""
        wxyz = np.asarray(wxyz, np.float64)
        if self._value is None:
            self._value, self._velocity = wxyz.copy(), np.zeros((len(wxyz), 3))
            return self._value
        change = quaternion_to_rotvec(quaternion_multiply(wxyz, quaternion_conjugate(self._value)))
        self._velocity = _faded(self._velocity, change, step_s, self.settings)
        turn = rotvec_to_quaternion(_weight(self._velocity, step_s, self.settings) * change)
        self._value = quaternion_normalize(quaternion_multiply(turn, self._value))
        return self._value


def _faded(velocity: Array, change: Array, step_s: float, settings: Euro) -> Array:
    """The low-passed velocity, from the change against the filtered value as the original's later versions do."""
    fresh = change / max(step_s, 1e-4)
    share = float(one_euro_weights(np.zeros(1), np.array([step_s]), settings.speed_hz, 0.0)[0])
    return np.asarray(velocity + share * (fresh - velocity))


def _weight(velocity: Array, step_s: float, settings: Euro) -> Array:
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True)[None]
    return np.asarray(one_euro_weights(speed, np.array([step_s]), settings.minimum_hz, settings.beta)[0])


@dataclass(frozen=True, slots=True)
class SmoothPose:
    """A filtered pose in the camera: rotations_wxyz (J, 4), root_m (3,), joints_m (17, 3)."""

    rotations_wxyz: Array
    root_m: Array
    joints_m: Array


class PoseSmoother:
    """Filters pose after pose of one person; `reset` where the person was out of sight."""

    def __init__(self, settings: SmoothSettings | None = None) -> None:
        self._settings = settings or SmoothSettings()
        self.reset()

    def reset(self) -> None:
        """The next pose is taken as it is."""
        chosen = self._settings
        self._rotations = EuroRotation(chosen.rotation)
        self._bearing, self._distance = EuroVector(chosen.bearing), EuroVector(chosen.distance)
        self._joints = EuroVector(chosen.joints)
        self._last_s: float | None = None

    def update(self, rotations_wxyz: Array, root_m: Array, joints_m: Array, time_s: float) -> SmoothPose:
        """The pose at `time_s`, filtered."""
        step_s = 0.0 if self._last_s is None else min(max(time_s - self._last_s, 1e-3), 0.25)
        self._last_s = time_s
        depth_m = max(float(root_m[2]), 0.1)
        distance = float(np.exp(self._distance.update(np.array([np.log(depth_m)]), step_s)[0]))
        bearing = self._bearing.update(root_m[:2] / depth_m, step_s)
        root = np.array([bearing[0] * distance, bearing[1] * distance, distance])
        joints = self._joints.update(joints_m - joints_m[:1], step_s) + root
        return SmoothPose(self._rotations.update(rotations_wxyz, step_s), root, joints)
