"""Draw docs/images/smoothing.png: one elbow, raw and under the presets, with jitter, a spike, a gap and a punch.

`python tools/plot_smoothing.py [OUTPUT]`. Needs matplotlib; uses the same functions as the panel and `--smooth`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from blender_addon.motion.body import canonical_body  # noqa: E402  # the checkout comes first
from blender_addon.motion.clip import ClipHeader, MotionClip  # noqa: E402
from blender_addon.motion.rotations import quaternion_multiply, rotvec_to_quaternion  # noqa: E402
from blender_addon.motion.smoothing import PRESETS, smooth_clip  # noqa: E402

Array = NDArray[np.floating]
FPS = 30.0
JOINT = "right_elbow"


def elbow_deg() -> tuple[Array, Array]:
    """Times (T,) and the true bend of the elbow (T,) in degrees: a slow swing and one punch of two frames."""
    times = np.arange(150) / FPS
    bend = 70.0 + 30.0 * np.sin(2 * np.pi * 0.5 * times)
    bend[90:96] = [62.0, 14.0, 10.0, 10.0, 46.0, 51.0]
    return times, bend


def solved_clip(times: Array, bend_deg: Array) -> MotionClip:
    """A clip as a solver might give it: jitter on the elbow, a spike at 1 s, five missing frames at 4 s."""
    body = canonical_body()
    frames, joints = len(times), len(body.joint_names)
    rotations = np.zeros((frames, joints, 4))
    rotations[..., 0] = 1.0
    turn = np.zeros((frames, 3))
    turn[:, 2] = np.deg2rad(bend_deg)
    jitter = np.random.default_rng(4).normal(size=(frames, 3)) * np.deg2rad(3.0)
    jitter[30] += np.deg2rad([0.0, 0.0, 80.0])
    rotations[:, body.joint_index(JOINT)] = quaternion_multiply(
        rotvec_to_quaternion(turn), rotvec_to_quaternion(jitter)
    )
    root = np.tile(body.offsets_m[0], (frames, 1))
    rotations[120:125], root[120:125] = np.nan, np.nan
    names, keypoints = body.subsets["h36m17"], body.subsets["blazepose33"]
    return MotionClip(
        times_s=times,
        rotations_wxyz=rotations,
        root_world_m=root,
        root_camera_m=root.copy(),
        joints_camera_m=np.zeros((frames, len(names), 3)),
        keypoints_px=np.zeros((frames, len(keypoints), 2)),
        keypoint_confidence=np.ones((frames, len(keypoints))),
        confidence=np.where(np.isfinite(root).all(axis=1), 1.0, 0.0),
        score=np.zeros(frames),
        margin=np.zeros(frames),
        contacts=np.zeros((frames, 4)),
        intrinsics=np.eye(3),
        world_from_camera=np.tile(np.eye(4), (frames, 1, 1)),
        bone_scales=np.ones(joints),
        body_joint_names=body.joint_names,
        joint_names=names,
        keypoint_names=keypoints,
        header=ClipHeader(source="drawn", source_fps=FPS),
    )


def bend_of(clip: MotionClip) -> Array:
    """The elbow's turn about its hinge (T,) in degrees, NaN where the person is missing."""
    wxyz = clip.rotations_wxyz[:, canonical_body().joint_index(JOINT)]
    return np.asarray(np.rad2deg(2.0 * np.arctan2(wxyz[:, 3], wxyz[:, 0])))


def draw(output: Path) -> None:
    """Write the image."""
    mpl.use("Agg")
    from matplotlib import pyplot

    times, truth = elbow_deg()
    clip = solved_clip(times, truth)
    figure, axes = pyplot.subplots(3, 1, figsize=(10, 9), sharex=True, sharey=True, layout="constrained")
    for axis, name in zip(axes, ("light", "medium", "heavy"), strict=True):
        plain = replace(PRESETS[name], fast=None, spikes=None)
        axis.plot(times, bend_of(clip), color="0.7", marker=".", linewidth=0.8, label="raw")
        axis.plot(times, truth, color="black", linewidth=0.8, label="truth")
        axis.plot(times, bend_of(smooth_clip(clip, plain)), color="tab:orange", label="filter alone")
        axis.plot(times, bend_of(smooth_clip(clip, PRESETS[name])), color="tab:blue", label=name)
        axis.set_ylabel("elbow, degrees")
        axis.set_title(name, loc="left")
        axis.legend(loc="lower left", ncols=4)
    for at, text in ((1.0, "spike"), (3.07, "punch"), (4.08, "gap")):
        axes[0].annotate(text, (at, 160.0), ha="center")
    axes[0].set_ylim(0.0, 175.0)
    axes[-1].set_xlabel("seconds")
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=90)
    pyplot.close(figure)


def main() -> int:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", nargs="?", type=Path, default=ROOT / "docs" / "images" / "smoothing.png")
    draw(parser.parse_args().output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
