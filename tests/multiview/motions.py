"""A made-up motion that does not repeat, for simulated takes."""

from __future__ import annotations

import numpy as np

from backend.datasets.motion import Motion
from backend.embedding.pose_model import PoseModel
from backend.evaluation.simulated_takes import SimulatedCamera, SimulatedView, TakeSettings, simulate_take
from backend.multiview.types import CameraView
from backend.training.landmark_noise import LandmarkNoise
from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import rotvec_to_quaternion

CLEAN = LandmarkNoise(
    bias=0.004, jitter=0.003, lost_share=0.0, swap_share=0.0, far_limb_factor=1.2, depth_gain_low=0.95, depth_bias=0.02
)


def dance(seed: int, seconds: float = 5.0, fps: float = 30.0) -> Motion:
    """Arms, knees, trunk and place move, each at its own two frequencies."""
    rng, body = np.random.default_rng(seed), canonical_body()
    time = np.arange(round(seconds * fps)) / fps
    turns = np.zeros((len(time), len(body.joint_names), 3))

    def wave(size: float) -> np.ndarray:
        rate, phase = rng.uniform(0.3, 1.3, 2), rng.uniform(0, 6, 2)
        return size * (np.sin(2 * np.pi * rate[0] * time + phase[0]) + np.sin(2 * np.pi * rate[1] * time + phase[1]))

    for side, sign in (("left", 1.0), ("right", -1.0)):
        turns[:, body.joint_index(f"{side}_shoulder"), 1] = sign * (0.8 + wave(0.35))
        turns[:, body.joint_index(f"{side}_elbow"), 2] = sign * (0.6 + wave(0.25))
        knee = 0.5 + wave(0.2)
        turns[:, body.joint_index(f"{side}_knee"), 0] = knee
        turns[:, body.joint_index(f"{side}_hip"), 0] = -0.6 * knee
    turns[:, body.joint_index("spine"), 2] = wave(0.15)
    turns[:, 0, 2] = wave(0.3)
    root = np.stack([wave(0.25), wave(0.25), 0.9 + 0.1 * wave(0.3)], axis=1)
    return Motion(rotvec_to_quaternion(turns), root, fps, "made", f"dance {seed}", "made")


def take_of(cameras: list[SimulatedCamera], people: int = 1, seed: int = 3) -> tuple[SimulatedView, ...]:
    """People who dance before cameras, with small errors."""
    settings = TakeSettings(noise=CLEAN, assumed_fov_deg=62.0)
    return simulate_take([dance(seed + person) for person in range(people)], cameras, seed, settings)


def views_of(model: PoseModel, take: tuple[SimulatedView, ...]) -> list[CameraView]:
    """Each video solved by itself, with the lens that is assumed."""
    return [
        CameraView(
            f"video {place + 1}",
            view.info,
            view.assumed,
            view.tracks,
            tuple(model.solve(track, view.assumed) for track in view.tracks),
        )
        for place, view in enumerate(take)
    ]
