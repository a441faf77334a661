"""The score as something to climb: its gradient over a pose's joints, through the pose tower. numpy only.

Retrieval can only choose among a bank's candidates; between them the score <f_I, f_J(y)> is a function of the pose, and
structured inference can follow it uphill (paper, section 4.4, climbs it by particles).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.embedding.features import pose_features
from backend.embedding.shape import reshaped_joints
from backend.embedding.tower_weights import TowerWeights
from backend.keypoint_layouts import HUMAN36M
from backend.types import Array


@dataclass(frozen=True, slots=True)
class ScoreGradient:
    """The score of T frames: their image embeddings (T, E), the rotations virtual_from_camera (T, 3, 3) of their
    virtual cameras, the person's log limb lengths (7,) and size over the canonical body, and the pose tower.
    """

    weights: TowerWeights
    embedding: Array
    virtual_from_camera: Array
    proportions: Array
    size: float

    def rows(self, rows: slice) -> ScoreGradient:
        """Some of the frames."""
        return ScoreGradient(
            self.weights, self.embedding[rows], self.virtual_from_camera[rows], self.proportions, self.size
        )

    def scores(self, joints_m: Array) -> Array:
        """Scores (T,) of joints (T, 17, 3) m in the camera, relative to the pelvis, of a person of this size."""
        return np.asarray((self._forward(self._canonical(joints_m))[2] * self.embedding).sum(axis=-1))

    def gradient(self, joints_m: Array) -> Array:
        """How the scores grow with the joints: (T, 17, 3) per metre, in the camera."""
        pose = self._canonical(joints_m)
        first, second, _ = self._forward(pose)
        layers = self.weights.pose
        back = (self.embedding @ layers["embed"].weight.T) * (second > 0)
        back = (back @ layers["second"].weight.T) * (first > 0)
        slope = back @ layers["first"].weight.T + self.embedding @ layers["direct"].weight.T
        # the features are 2 y and |2 y|^2 of each joint
        joint_values = HUMAN36M.count * 3
        own = 2.0 * slope[:, :joint_values].reshape(-1, HUMAN36M.count, 3) + 8.0 * slope[:, joint_values:, None] * pose
        own[:, 0] = 0.0
        return np.asarray(np.matmul(own, self.virtual_from_camera) / self.size)

    def _canonical(self, joints_m: Array) -> Array:
        turned = np.matmul(joints_m, np.swapaxes(self.virtual_from_camera, -1, -2)) / self.size
        return reshaped_joints(turned, -self.proportions).astype(np.float32)

    def _forward(self, pose: Array) -> tuple[Array, Array, Array]:
        layers, features = self.weights.pose, pose_features(pose)
        first = np.maximum(features @ layers["first"].weight + layers["first"].bias, 0.0)
        second = np.maximum(first @ layers["second"].weight + layers["second"].bias, 0.0)
        embedded = second @ layers["embed"].weight + layers["embed"].bias
        return first, second, embedded + features @ layers["direct"].weight + layers["direct"].bias
