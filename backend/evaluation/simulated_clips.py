"""Errors of what ships, structured inference over whole clips, on simulated sequences of held-out subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.datasets.motion import Motion
from backend.embedding.pose_model import PoseModel, PoseOptions
from backend.errors import BadInputError
from backend.evaluation.landmark_track import landmark_track
from backend.training.pool import MotionWindows
from backend.training.simulate import SimulationSettings, seen_joints_m, simulate_people
from backend.types import Array, Intrinsics, PersonTrack

TWO_SECONDS, SIX_SECONDS = 60, 180
"""Frames of a clip. A temporal image tower sees 5.7 s, of which the shorter clips lack most."""


@dataclass(frozen=True, slots=True)
class ClipErrors:
    """MPJPE in mm over 17 joints relative to the pelvis, bodies of one size: of structured inference, and of the same
    without what was retrieved.
    """

    solved_mm: float
    without_retrieval_mm: float
    clips: int


def clip_errors(
    takes: Sequence[Motion], model: PoseModel, count: int, seed: int, frames: int = TWO_SECONDS
) -> ClipErrors:
    """Solve `count` clips of so many frames, bodies, cameras and landmark errors as in training."""
    rng = np.random.default_rng(seed)
    people = simulate_people(_segments(takes, count, rng, frames), rng, SimulationSettings())
    truth = seen_joints_m(people)
    plain = PoseOptions()
    bare = PoseOptions(parts=None, retrieval_share=0.0)
    errors: list[list[float]] = []
    for row in range(count):
        track = landmark_track(people.noisy.points[row], people.noisy.visibility[row], people.noisy.guess[row])
        errors.append([_error_mm(model, track, options, truth[row]) for options in (plain, bare)])
    solved, without = np.mean(errors, axis=0)
    return ClipErrors(float(solved), float(without), count)


def _error_mm(model: PoseModel, track: PersonTrack, options: PoseOptions, truth_m: Array) -> float:
    joints = model.solve(track, Intrinsics(np.eye(3), 2, 2, "simulated"), options).joints_camera_m
    return float(1000 * np.linalg.norm(joints - joints[:, :1] - truth_m, axis=-1).mean())


def _segments(
    takes: Sequence[Motion], count: int, rng: np.random.Generator, frames: int = TWO_SECONDS
) -> MotionWindows:
    """So many frames from takes that last as long, each frame as likely as any other."""
    long = [take for take in takes if len(take) >= frames]
    if not long:
        raise BadInputError(f"no held-out take lasts {frames} frames", "Give --mocap another folder")
    starts = np.array([len(take) - frames + 1 for take in long], np.float64)
    rotations, roots = [], []
    for place in rng.choice(len(long), count, p=starts / starts.sum()):
        begin = int(rng.integers(int(starts[place])))
        rows = slice(begin, begin + frames)
        root = long[place].root_m[rows]
        rotations.append(long[place].rotations_wxyz[rows])
        roots.append(root - root[frames // 2] * np.array([1, 1, 0]))
    return MotionWindows(np.stack(rotations).astype(np.float32), np.stack(roots).astype(np.float32))
