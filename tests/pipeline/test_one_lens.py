"""One lens for the whole solve: the pose fit and the root path get the same rays from a distorted video."""

from __future__ import annotations

import json
from functools import wraps

import cv2
import numpy as np
import pytest

from backend.camera import CameraOptions
from backend.embedding import pose_model
from backend.pipeline import solve
from backend.world import place

LENSES = {
    "four": (-0.28, 0.07, 0.001, -0.002),
    "five": (-0.28, 0.07, 0.001, -0.002, 0.02),
    "eight": (0.12, -0.08, 0.0004, -0.0003, 0.01, 0.35, -0.05, 0.02),
    "fourteen": (0.12, -0.08, 0.0004, -0.0003, 0.01, 0.35, -0.05, 0.02, 0.002, -0.001, 0.0015, 0.0007, 0.02, -0.03),
}


def overhear(monkeypatch, module, name, heard):
    """Let `heard` see the arguments of a function of `module`, which runs as ever."""
    real = getattr(module, name)

    @wraps(real)
    def wrapper(*args, **named):
        heard(args)
        return real(*args, **named)

    monkeypatch.setattr(module, name, wrapper)


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_pose_fit_and_root_path_see_the_same_rays(lens, walk, models, tmp_path, monkeypatch):
    matrix, calibration = np.asarray(walk.truth["intrinsics"], np.float64), tmp_path / "lens.json"
    calibration.write_text(json.dumps({"K": matrix.tolist(), "distortion": lens}))
    fitted, placed = [], []
    overhear(monkeypatch, pose_model, "steady_weight", lambda args: fitted.append(args[1].points))
    overhear(monkeypatch, place, "solve_root_path", lambda args: placed.append(args[0].rays))
    request = walk.request(tmp_path / "walk.npz", camera=CameraOptions(calibration=calibration))
    clip = solve(request, models=models).clips[0]
    keypoints = clip.keypoints_px[clip.confidence > 0].astype(np.float64)
    pose_rays, path_rays = fitted[-1], placed[0]  # previews are fitted before the whole
    assert pose_rays.shape == path_rays.shape == keypoints.shape
    np.testing.assert_allclose(pose_rays, path_rays, atol=1e-9)
    rays = np.concatenate([path_rays, np.ones_like(path_rays[..., :1])], axis=-1).reshape(-1, 1, 3)
    pixels = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), matrix, np.array(lens))[0]
    np.testing.assert_allclose(pixels.reshape(keypoints.shape), keypoints, atol=1e-3)
