"""A video solved as if it were live: every frame, with what is known by then. For measurements; nothing is dropped.

May import `backend.live`, `backend.video` and `backend.pipeline`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from backend.camera import CameraOptions, choose_intrinsics
from backend.keypoint_layouts import HUMAN36M
from backend.live.causal_poses import CausalPoses, CausalSettings
from backend.live.follower import Follower
from backend.live.smoothing import PoseSmoother, SmoothSettings
from backend.people.options import PeopleOptions, Selection
from backend.solving.models import SolveModels
from backend.types import Array
from backend.video import open_video

_BODY_FRAMES: Final = 60  # after so many the proportions are fixed, as the calibration does


@dataclass(frozen=True, slots=True)
class Replay:
    """times_s (T,), joints_camera_m (T, 17, 3) and rotations_wxyz (T, J, 4) of the frames that show the person."""

    times_s: Array
    joints_camera_m: Array
    rotations_wxyz: Array


def replay(
    video: Path,
    models: SolveModels,
    settings: CausalSettings | None = None,
    smoothing: SmoothSettings | None = None,
    camera: CameraOptions | None = None,
) -> Replay:
    """Solve a video as a live capture would, at its own times. Raises VideoError, BadInputError."""
    reader = open_video(video)
    intrinsics = choose_intrinsics(reader.info, camera or CameraOptions())
    options = PeopleOptions(
        quality=models.quality.landmark_network,
        selection=Selection(frame_px=(reader.info.width, reader.info.height)),
        search_interval_s=2.0,
        mirror=False,
        device=models.device,
        threads=1,
    )
    poses = CausalPoses(models.poses, intrinsics, settings or CausalSettings())
    smoother = PoseSmoother(smoothing)
    rows: list[tuple[float, Array, Array]] = []
    proportions: list[Array] = []
    with Follower(options, models.people) as follower:
        for frame in reader.frames():
            track = follower.update(frame)
            if track is None:
                poses.reset()
                smoother.reset()
                continue
            pose = poses.solve(track)
            if len(proportions) < _BODY_FRAMES:
                proportions.append(pose.proportions)
                if len(proportions) == _BODY_FRAMES:
                    poses.fix_body(np.median(np.stack(proportions), axis=0))
            smooth = smoother.update(pose.rotations_wxyz, pose.root_m, pose.joints_m, pose.time_s)
            rows.append((pose.time_s, smooth.joints_m, smooth.rotations_wxyz))
    return Replay(
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]).reshape(-1, HUMAN36M.count, 3),
        np.array([row[2] for row in rows]),
    )
