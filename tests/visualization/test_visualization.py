"""Overlay, sheets and plot: timing of the source kept, strokes where the body is, output faults named."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from backend.errors import OutputError
from backend.video import VideoOptions, open_video, parse_range
from backend.visualization import write_overlay, write_plot, write_sheet
from backend.visualization.drawing import clip_joints_px, confidence_colour
from backend.visualization.plot import acceleration_m_s2
from blender_addon.motion.body import canonical_body, forward_kinematics, points_m
from blender_addon.motion.clip import ClipHeader, MotionClip

SIZE = (320, 240)
# camera looks along the world's +Y, one metre above the floor: x right, y down, z forward
WORLD_FROM_CAMERA = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 1], [0, 0, 0, 1]])


@pytest.fixture
def stamps() -> np.ndarray:
    return np.cumsum([0] + [1001, 1001, 3003, 1001, 2002] * 3)


@pytest.fixture
def video(tmp_path: Path, stamps: np.ndarray) -> Path:
    """Grey images at uneven times on a 1/24000 s clock."""
    path = tmp_path / "grey.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=24, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 24000)
        for stamp in stamps:
            frame = av.VideoFrame.from_ndarray(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = int(stamp), Fraction(1, 24000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def make_clip(times_s: np.ndarray, source: str = "grey.mp4", person: int = 0) -> MotionClip:
    """A body in T-pose that drifts to the right, three metres before the camera, lost in its last frame."""
    body = canonical_body()
    frames, joints = len(times_s), len(body.joint_names)
    rotations = np.tile([1.0, 0.0, 0.0, 0.0], (frames, joints, 1))
    root = np.stack([0.2 * times_s, np.full(frames, 3.0), np.full(frames, 0.9)], axis=-1)
    positions, world = forward_kinematics(body, rotations, root)
    joints_world = points_m(body, "h36m17", positions, world)
    camera = (joints_world - WORLD_FROM_CAMERA[:3, 3]) @ WORLD_FROM_CAMERA[:3, :3]
    k = np.array([[260.0, 0.0, 160.0], [0.0, 260.0, 120.0], [0.0, 0.0, 1.0]])
    names = body.subsets["blazepose33"]
    shown = (points_m(body, "blazepose33", positions, world) - WORLD_FROM_CAMERA[:3, 3]) @ WORLD_FROM_CAMERA[:3, :3]
    keypoints = shown[..., :2] / shown[..., 2:] @ k[:2, :2].T + k[:2, 2]
    confidence = np.full(frames, 0.9)
    confidence[-1] = 0.0
    for array in (rotations, root, camera, keypoints):
        array[-1] = np.nan
    return MotionClip(
        times_s=times_s,
        rotations_wxyz=rotations,
        root_world_m=root,
        root_camera_m=camera[:, 0],
        joints_camera_m=camera,
        keypoints_px=keypoints,
        keypoint_confidence=np.where(np.isnan(keypoints[..., 0]), 0.0, 0.8),
        confidence=confidence,
        score=confidence,
        margin=confidence,
        contacts=np.ones((frames, 4)),
        intrinsics=k,
        world_from_camera=np.tile(WORLD_FROM_CAMERA, (frames, 1, 1)),
        bone_scales=np.ones(joints),
        body_joint_names=body.joint_names,
        joint_names=body.subsets["h36m17"],
        keypoint_names=names,
        header=ClipHeader(source=source, person=person, cuts_s=(0.2,)),
    )


def packet_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def test_overlay_keeps_each_time_and_draws_the_body(video, stamps, tmp_path):
    out = tmp_path / "overlay.mp4"
    clip = make_clip(stamps / 24000)
    write_overlay(open_video(video), [clip], out)
    times = packet_times(out)
    np.testing.assert_allclose([float(t) for t in times], stamps / 24000, atol=1 / 90000)
    with av.open(str(out)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].codec_context.name == "h264"
    wrist = clip_joints_px(clip, 3)[clip.joint_names.index("lwrist")]
    elbow = clip_joints_px(clip, 3)[clip.joint_names.index("lelbow")]
    x, y = ((wrist + elbow) / 2).round().astype(int)
    red, green, blue = images[3][y, x].astype(int)
    assert green > 150 > blue
    assert red < green
    # the last frame has no person: nothing is drawn there, and the label stays at the bottom
    assert np.abs(images[-1][y - 10 : y + 10, x - 10 : x + 10].astype(int) - 90).max() < 12


def test_overlay_of_a_range_and_slow_motion_shows_the_file_s_own_times(video, stamps, tmp_path):
    out = tmp_path / "overlay.mp4"
    reader = open_video(video, VideoOptions(range=parse_range("4:9"), slow_motion=4.0))
    write_overlay(reader, [make_clip(stamps[4:9] / 24000 / 4)], out)
    np.testing.assert_allclose([float(t) for t in packet_times(out)], (stamps[4:9] - stamps[4]) / 24000, atol=1 / 45000)


def test_overlay_into_a_missing_folder_is_refused(video, stamps, tmp_path):
    with pytest.raises(OutputError, match="overlay"):
        write_overlay(open_video(video), [make_clip(stamps / 24000)], tmp_path / "nowhere" / "overlay.mp4")


def test_sheet_shows_each_person_with_a_side_view(video, stamps, tmp_path):
    out = tmp_path / "sheet.png"
    write_sheet(open_video(video), [make_clip(stamps / 24000), make_clip(stamps / 24000, person=1)], out, frames=4)
    image = cv2.cvtColor(cv2.imread(str(out)), cv2.COLOR_BGR2RGB)
    assert image.shape == (2 * 304 + 4, 4 * 454 + 4, 3)
    cell, side = image[4:304, 4:304], image[40:280, 308:450]
    for part in (cell, side):
        green = (part[..., 1].astype(int) - part[..., 2] > 80).sum()
        assert green > 200


def test_plot_is_written_without_a_display(stamps, tmp_path):
    out = tmp_path / "plot.png"
    write_plot([make_clip(stamps / 24000)], out)
    assert cv2.imread(str(out)).std() > 10
    with pytest.raises(OutputError, match="plot"):
        write_plot([make_clip(stamps / 24000)], tmp_path / "nowhere" / "plot.png")


def test_acceleration_of_uneven_samples_is_exact_for_parabolas():
    times = np.cumsum([0, 0.1, 0.3, 0.05, 0.2, 0.1])
    points = np.stack([3.0 * times**2, -4.0 * times**2, 5.0 * times], axis=-1)[:, None]
    np.testing.assert_allclose(acceleration_m_s2(times, points)[1:-1], 10.0)


def test_colours_run_from_red_to_green():
    assert confidence_colour(0.0) == (255, 0, 40)
    assert confidence_colour(1.0) == (0, 220, 40)
    assert confidence_colour(0.5) == (255, 220, 40)


def test_points_behind_the_camera_are_not_drawn(stamps):
    clip = make_clip(stamps / 24000)
    behind = replace(clip, joints_camera_m=-clip.joints_camera_m)
    assert np.isnan(clip_joints_px(behind, 0)).all()
