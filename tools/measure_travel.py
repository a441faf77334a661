"""How well a camera that travels is followed: rendered videos with truth, see `tools.render_travel`.

usage: python -m tools.measure_travel FOLDER [FOLDER ...]

Every video is solved with its lens and the person's height. Path of the person and of the camera are compared with the
truth at the best heading and place of the person's path, as a share of the distance that each covers; points of the
floor are seen through the solved and the true camera, in px of a frame 1920 wide.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.camera.intrinsics import CameraOptions
from backend.pipeline import SolveRequest, solve
from backend.solving.models import SolveModels, load_models
from backend.solving.request import SolveQuality
from backend.types import Array
from blender_addon.motion.clip import MotionClip

_FULL_HD_PX = 1920.0


@dataclass(frozen=True, slots=True)
class Heading:
    """Turns about Z by `turn` (3, 3) and moves by `shift` (3,): from the clip's world to the true one."""

    turn: Array
    shift: Array

    def apply(self, points_m: Array) -> Array:
        """Points (..., 3) in the true world."""
        return np.asarray(points_m @ self.turn.T + self.shift)


def main() -> None:
    """Measure every folder of the command line."""
    models = load_models(SolveQuality.FAST)
    for name in sys.argv[1:]:
        print(measured(Path(name), models), flush=True)


def measured(folder: Path, models: SolveModels) -> str:
    """One line of figures for a folder with `video.mp4` and `truth.npz`."""
    truth = np.load(folder / "truth.npz")
    with tempfile.TemporaryDirectory() as room:
        request = SolveRequest(
            folder / "video.mp4",
            Path(room) / "clip.npz",
            quality=SolveQuality.FAST,
            camera=CameraOptions(focal_px=float(truth["intrinsics"][0, 0])),
            height_m=float(truth["height_m"]),
        )
        clip = solve(request, models=models).clips[0]
    travel_m = np.linalg.norm(np.ptp(clip.world_from_camera[:, :3, 3], axis=0))
    kind = "travels" if travel_m > 1e-6 else "turns" if clip.focal_scale is not None else "still"
    return f"{folder.name}: {kind}; {figures(clip, truth)}"


def figures(clip: MotionClip, truth: dict[str, Array]) -> str:
    """The errors of a clip in words."""
    count = min(len(clip), len(truth["times_s"]))
    poses = truth["world_from_camera"][:count]
    known = np.isfinite(clip.root_world_m[:count]).all(axis=1)
    own, true = clip.root_world_m[:count][known].astype(np.float64), truth["joints_world_m"][:count, 0][known]
    cameras, true_cameras = clip.world_from_camera[:count, :3, 3], poses[:, :3, 3]
    # both paths together tell the heading: somebody on the spot has none
    heading = best_heading(np.concatenate([own, cameras]), np.concatenate([true, true_cameras]))
    person = _share(heading.apply(own), true)
    camera = _share(heading.apply(cameras), true_cameras)
    floor = floor_px(clip, heading, truth)
    return (
        f"person {person[0]:.2f} m of {person[1]:.2f} m, camera {camera[0]:.2f} m of {camera[1]:.2f} m, "
        f"camera's way {_length(cameras) / max(_length(true_cameras), 1e-9):.2f} of the true one, "
        f"floor points {np.median(floor):.1f} px (at most {floor.max():.1f}) against the middle frame"
    )


def best_heading(own: Array, true: Array) -> Heading:
    """The turn about Z and the shift that lead points (N, 3) best to others."""
    first, second = own - own.mean(axis=0), true - true.mean(axis=0)
    left, _, right = np.linalg.svd(first[:, :2].T @ second[:, :2])
    flip = np.diag([1.0, np.sign(np.linalg.det(left @ right))])
    turn = np.eye(3)
    turn[:2, :2] = (left @ flip @ right).T
    return Heading(turn, true.mean(axis=0) - turn @ own.mean(axis=0))


def _length(points: Array) -> float:
    """Length of a path (N, 3), m, without its jitter."""
    window = np.ones(9) / 9.0
    smooth = np.stack([np.convolve(points[:, axis], window, "valid") for axis in range(points.shape[1])], axis=1)
    return float(np.linalg.norm(np.diff(smooth, axis=0), axis=1).sum())


def _share(own: Array, true: Array) -> tuple[float, float]:
    """How far the path (N, 3) ends up off the true one relative to where it starts, at most, and that one's length."""
    off = np.linalg.norm((own - own[0]) - (true - true[0]), axis=1)
    return float(off.max()), _length(true)


def floor_px(clip: MotionClip, heading: Heading, truth: dict[str, Array]) -> Array:
    """How far (T,) points of the floor slide over it under the solved camera, px of a frame 1920 wide.

    The points are those of the clip's floor and of the true one that the middle frame shows at the same pixels.
    """
    poses, lens = truth["world_from_camera"], truth["intrinsics"]
    width, height = (float(value) for value in truth["size_px"])
    grid = np.stack(np.meshgrid(np.linspace(0.1, 0.9, 9) * width, np.linspace(0.5, 0.95, 6) * height), axis=-1)
    pixels = np.concatenate([grid.reshape(-1, 2), np.ones((grid.size // 2, 1))], axis=1)
    off = []
    middle = len(poses) // 2
    own, true = (_on_floor(pixels, lens, one[middle]) for one in (clip.world_from_camera, poses))
    near = (np.linalg.norm(true[:, :2] - poses[middle, :2, 3], axis=1) < 12.0) & np.isfinite(own).all(axis=1)
    for mine, real in zip(clip.world_from_camera, poses, strict=False):
        seen, depth = _seen(own[near], lens, mine)
        should, ahead = _seen(true[near], lens, real)
        inside = (ahead > 0.2) & (depth > 0.2) & (should > 0).all(axis=1) & (should < (width, height)).all(axis=1)
        gap = np.linalg.norm(seen - should, axis=1)[inside]
        off.append(float(np.median(gap)) if len(gap) else 0.0)
    return np.array(off) * _FULL_HD_PX / width


def _on_floor(pixels: Array, lens: Array, pose: Array) -> Array:
    """Where the rays through pixels (N, 3) meet z = 0; NaN above the horizon."""
    rays = pixels @ np.linalg.inv(lens).T @ pose[:3, :3].T
    along = np.where(rays[:, 2] < -1e-3, -pose[2, 3] / np.minimum(rays[:, 2], -1e-3), np.nan)
    return np.asarray(pose[:3, 3] + along[:, None] * rays)


def _seen(points: Array, lens: Array, pose: Array) -> tuple[Array, Array]:
    image = (points - pose[:3, 3]) @ pose[:3, :3] @ lens.T
    return image[:, :2] / image[:, 2:], image[:, 2]


if __name__ == "__main__":
    main()
