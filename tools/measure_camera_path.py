"""How well a camera that turns and zooms is followed: virtual cameras over still recordings, so that truth is exact.

usage: python -m tools.measure_camera_path VIDEO [VIDEO ...]

Each recording is solved as it is, from a little closer, and through virtual cameras that pan, shake, zoom and are held
by hand. The root's path is compared with that of the still solve, at the best heading and place; gravity of each frame
with the still one, turned with the camera.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from backend.camera.intrinsics import CameraOptions
from backend.pipeline import SolveRequest, solve
from backend.solving.models import SolveModels, load_models
from backend.solving.request import SolveQuality
from backend.types import Frame
from backend.video import open_video
from blender_addon.motion.clip import MotionClip
from tools.measure_camera_motion import CAMERAS

_FRAMES = 150
_CLOSER = 1.15
# turn in rad and growth of the focal length at the camera's peak
_STRENGTHS = {"pan": (0.06, 0.0), "shake": (0.04, 0.0), "zoom": (0.0, 0.15), "held": (0.05, 0.0)}


@dataclass(frozen=True, slots=True)
class _View:
    """A virtual camera: `turns` (T, 3, 3) from its axes to the recording's, `zoom` (T,) over the first frame's."""

    turns: np.ndarray
    zoom: np.ndarray


def main() -> None:
    """Measure every video of the command line."""
    models = load_models(SolveQuality.BALANCED)
    for name in sys.argv[1:]:
        _measure(Path(name), models)


def _measure(video: Path, models: SolveModels) -> None:
    frames = [frame for frame, _ in zip(open_video(video).frames(), range(_FRAMES), strict=False)]
    times_s = np.array([frame.time_s for frame in frames]) - frames[0].time_s
    with tempfile.TemporaryDirectory() as folder:
        still = _solved(frames, _view(np.zeros((len(frames), 4)), (0.0, 0.0)), Path(folder), models)
        for name, strength in _STRENGTHS.items():
            view = _view(CAMERAS[name](times_s), strength)
            clip = _solved(frames, view, Path(folder), models)
            path_m, gravity_deg = _path_error_m(clip, still), _gravity_error_deg(clip, still, view)
            print(
                f"{video.name} {name}: noticed {clip.header.camera_moves}, followed {clip.focal_scale is not None}, "
                f"root path {path_m.mean():.3f} m (at most {path_m.max():.3f}), "
                f"gravity {gravity_deg.mean():.2f} degrees (at most {gravity_deg.max():.2f})",
                flush=True,
            )


def _view(curve: np.ndarray, strength: tuple[float, float]) -> _View:
    turn, growth = strength
    rotvecs = turn * np.stack([curve[:, 1], -curve[:, 0], curve[:, 3]], axis=1)
    return _View(np.stack([cv2.Rodrigues(one)[0] for one in rotvecs]), 1.0 + growth * np.clip(curve[:, 2], 0.0, None))


def _solved(frames: list[Frame], view: _View, folder: Path, models: SolveModels) -> MotionClip:
    """Write the recording as the virtual camera sees it, and solve it."""
    height, width = frames[0].image.shape[:2]
    focal = 0.5 * max(height, width) / np.tan(np.deg2rad(30.0))
    lens = np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])
    step_s = float(np.median(np.diff([frame.time_s for frame in frames])))
    rate = Fraction(round(1000.0 / step_s), 1000)
    path = folder / "view.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"crf": "16", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width // 2 * 2, height // 2 * 2, "yuv420p"
        for index, frame in enumerate(frames):
            zoomed = lens @ np.diag([_CLOSER * view.zoom[index], _CLOSER * view.zoom[index], 1.0])
            image = cv2.warpPerspective(
                frame.image, zoomed @ view.turns[index].T @ np.linalg.inv(lens), (width, height)
            )
            cut = np.asarray(image[: stream.height, : stream.width], np.uint8, order="C")
            shown = av.VideoFrame.from_ndarray(cut, format="rgb24")
            shown.pts, shown.time_base = index, 1 / rate
            out.mux(stream.encode(shown))
        out.mux(stream.encode(None))
    camera = CameraOptions(focal_px=focal * _CLOSER)
    request = SolveRequest(path, folder / "view.npz", quality=SolveQuality.BALANCED, camera=camera)
    return solve(request, models=models).clips[0]


def _path_error_m(clip: MotionClip, still: MotionClip) -> np.ndarray:
    """Distances (N,) of the roots at the best heading and place."""
    known = np.isfinite(clip.root_world_m[:, 0]) & np.isfinite(still.root_world_m[:, 0])
    own, other = (one.root_world_m[known] - one.root_world_m[known].mean(axis=0) for one in (clip, still))
    left, _, right = np.linalg.svd(own[:, :2].T @ other[:, :2])
    flip = np.diag([1.0, np.sign(np.linalg.det(left @ right))])
    own = np.concatenate([own[:, :2] @ (left @ flip @ right), own[:, 2:]], axis=1)
    return np.asarray(np.linalg.norm(own - other, axis=1))


def _gravity_error_deg(clip: MotionClip, still: MotionClip, view: _View) -> np.ndarray:
    own = -clip.world_from_camera[:, 2, :3]
    true = np.einsum("tji,j->ti", view.turns[: len(own)], -still.world_from_camera[0, 2, :3])
    return np.asarray(np.rad2deg(np.arccos(np.clip((own * true).sum(axis=1), -1.0, 1.0))))


if __name__ == "__main__":
    main()
