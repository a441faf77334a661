"""Intrinsics from every source, and whether a camera moves."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.camera import CameraMotionMeter, CameraOptions, choose_intrinsics
from backend.camera.motion import camera_motion
from backend.errors import BadInputError
from backend.types import Frame, PersonTrack, VideoInfo

K = np.array([[900.0, 2.0, 510.0], [0.0, 880.0, 480.0], [0.0, 0.0, 1.0]])


def video(width: int = 1920, height: int = 1080, focal_35mm: float | None = None) -> VideoInfo:
    return VideoInfo(Path("take.mp4"), width, height, 30.0, 1.0, 30, "h264", 0, False, focal_35mm)


def test_flag_metadata_and_assumption():
    given_fov = choose_intrinsics(video(), CameraOptions(fov_deg=90.0))
    assert given_fov.matrix[0, 0] == pytest.approx(960.0)
    upright = choose_intrinsics(video(1080, 1920), CameraOptions(fov_deg=90.0))
    assert upright.matrix[1, 1] == pytest.approx(960.0)
    assert choose_intrinsics(video(), CameraOptions(focal_px=1500.0)).matrix[1, 1] == 1500.0
    from_metadata = choose_intrinsics(video(3000, 2000, focal_35mm=36.0), CameraOptions())
    # 36 mm on a 36 mm wide frame is as many pixels as the image is wide
    assert from_metadata.matrix[0, 0] == pytest.approx(3000.0)
    assert "metadata" in from_metadata.source
    assumed = choose_intrinsics(video(), CameraOptions())
    assert [one.is_assumed for one in (given_fov, upright, from_metadata, assumed)] == [False] * 3 + [True]
    np.testing.assert_allclose(assumed.matrix[:2, 2], [960.0, 540.0])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (CameraOptions(fov_deg=0.0), "out of range"),
        (CameraOptions(fov_deg=4.9), "out of range"),
        (CameraOptions(fov_deg=150.1), "5 to 150 degrees"),
        (CameraOptions(fov_deg=float("nan")), "out of range"),
        (CameraOptions(focal_px=35.0), "fits no camera"),
        (CameraOptions(focal_px=1500.0, fov_deg=60.0), "given twice"),
        (CameraOptions(calibration=Path("nowhere.json")), "no calibration file"),
    ],
)
def test_impossible_cameras_are_refused(options, match):
    with pytest.raises(BadInputError, match=match):
        choose_intrinsics(video(), options)


def test_json_calibration_is_scaled_to_the_video(tmp_path):
    path = tmp_path / "rig.json"
    k = [[1500.0, 0.0, 955.0], [0.0, 1490.0, 541.0], [0.0, 0.0, 1.0]]
    cameras = [{"file": "other.mp4", "size": [1920, 1080], "K": k}, {"file": "take.mp4", "size": [1920, 1080], "K": k}]
    path.write_text(json.dumps({"cameras": cameras}))
    half = choose_intrinsics(video(960, 540), CameraOptions(calibration=path))
    np.testing.assert_allclose(half.matrix[:2], np.array(k)[:2] / 2)
    assert "rig.json, take.mp4" in half.source
    with pytest.raises(BadInputError, match=r"calibrated for 1920x1080.*1080x1920"):
        choose_intrinsics(video(1080, 1920), CameraOptions(calibration=path))
    with pytest.raises(BadInputError, match="no camera left"):
        choose_intrinsics(video(), CameraOptions(calibration=path, camera_name="left"))
    path.write_text(json.dumps({"K": k}))
    assert choose_intrinsics(video(), CameraOptions(calibration=path)).matrix[0, 0] == 1500.0
    for lens, filled in ((None, ()), ([], ()), ([0.1, 0.01], (0.1, 0.01, 0.0, 0.0)), ([[1.0] * 5], (1.0,) * 5)):
        path.write_text(json.dumps({"K": k, "distortion": lens}))
        assert choose_intrinsics(video(), CameraOptions(calibration=path)).distortion == filled
    for record in ({"distortion": [1.0] * 6}, {"distortion": [float("nan")] * 4}, {"size": [0, 0]}, {"size": [1920]}):
        path.write_text(json.dumps({"K": k, **record}))
        with pytest.raises(BadInputError, match="is not a camera calibration"):
            choose_intrinsics(video(), CameraOptions(calibration=path))


def test_pose2sim_and_opencv_calibrations(tmp_path):
    toml = tmp_path / "Calib.toml"
    toml.write_text(
        '[cam_1]\nname = "take"\nsize = [1920.0, 1080.0]\n'
        "matrix = [[1681.0, 0.0, 533.0], [0.0, 1681.0, 948.0], [0.0, 0.0, 1.0]]\n"
        "distortions = [-0.046, 0.139, 0.0, 0.0]\nrotation = [0.9, 0.7, 0.8]\n[metadata]\nadjusted = false\n"
    )
    camera = choose_intrinsics(video(), CameraOptions(calibration=toml))
    assert camera.matrix[1, 2] == 948.0
    assert camera.distortion == (-0.046, 0.139, 0.0, 0.0)
    yml = tmp_path / "camera.yml"
    storage = cv2.FileStorage(str(yml), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 1920)
    storage.write("image_height", 1080)
    storage.write("camera_matrix", K)
    storage.write("distortion_coefficients", np.array([[0.1, -0.2, 0.0, 0.0, 0.0]]))
    storage.release()
    camera = choose_intrinsics(video(), CameraOptions(calibration=yml))
    np.testing.assert_allclose(camera.matrix, K)
    assert camera.distortion[:2] == (0.1, -0.2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{"),
        ("a.json", '{"K": [1, 2]}'),
        ("a.json", "5"),
        ("a.json", '"foo"'),
        ("a.json", '{"cameras": [1]}'),
        ("a.toml", "[x]\ny = 1"),
        ("a.yml", "b"),
    ],
)
def test_foreign_calibration_files_are_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInputError, match="is not a camera calibration"):
        choose_intrinsics(video(), CameraOptions(calibration=tmp_path / name))


def scene(shift_px: float, person_px: int) -> np.ndarray:
    noise = np.random.default_rng(5).integers(0, 255, (90, 190, 3), dtype=np.uint8)
    wall = cv2.resize(noise, (760, 360), interpolation=cv2.INTER_CUBIC)
    image = cv2.warpAffine(wall, np.float32([[1, 0, -60 - shift_px], [0, 1, 0]]), (640, 360))
    image[80:330, person_px : person_px + 110] = cv2.resize(noise[:25, :11], (110, 250))
    return image


@pytest.mark.parametrize(("pan_px_per_s", "expected"), [(0.0, False), (20.0, True), (-60.0, True)])
def test_a_panning_camera_is_told_from_a_walking_person(pan_px_per_s, expected):
    meter = CameraMotionMeter()
    for index in range(60):
        time_s = index / 20
        meter.update(Frame(index, time_s, scene(pan_px_per_s * time_s if expected else 0.0, 40 + 7 * index)))
    assert meter.moves is expected


def test_a_blank_wall_is_no_moving_camera():
    meter = CameraMotionMeter()
    for index in range(40):
        meter.update(Frame(index, index / 10, np.full((360, 640, 3), 90, np.uint8)))
    assert not meter.moves


def shaken(image: np.ndarray, shift_px: tuple[float, float], growth: float = 1.0) -> np.ndarray:
    height, width = image.shape[:2]
    middle = np.array([width / 2, height / 2])
    where = np.array([[growth, 0, 0], [0, growth, 0]], float)
    where[:, 2] = middle + shift_px - growth * middle
    return cv2.warpAffine(image, where, (width, height), borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("kind", ["slow pan", "zoom", "hand-held", "fast pan"])
def test_each_kind_of_camera_motion_is_noticed(kind):
    meter = CameraMotionMeter()
    for index in range(60):
        time_s, still = index / 20, scene(0.0, 40 + 7 * index)
        shift, growth = (0.0, 0.0), 1.0
        if kind == "slow pan":
            shift = (0.022 * 640 * time_s / 3.0, 0.0)
        elif kind == "fast pan":
            shift = (120.0 * time_s, 0.0)
        elif kind == "zoom":
            growth = 1.0 + 0.03 * time_s
        else:
            shift = (9.0 * math.sin(5.0 * time_s), 7.0 * math.sin(7.0 * time_s + 1.0))
        meter.update(Frame(index, time_s, shaken(still, shift, growth)))
    assert meter.moves


def test_a_person_who_fills_a_blank_frame_is_no_moving_camera():
    rng = np.random.default_rng(3)
    body = cv2.resize(rng.integers(0, 255, (30, 16, 3), dtype=np.uint8), (160, 300), interpolation=cv2.INTER_NEAREST)
    meter = CameraMotionMeter()
    for index in range(40):
        image = np.full((360, 640, 3), 120, np.uint8)
        image[30:330, 60 + 8 * index : 220 + 8 * index] = body[:, : max(0, 640 - 60 - 8 * index)]
        meter.update(Frame(index, index / 20, image))
    assert not camera_motion(meter.samples, [moving_track(40)], 640).moves


def moving_track(frames: int) -> PersonTrack:
    """Somebody whose body is the moving patch of the test above."""
    shape = np.zeros((33, 2))
    shape[[11, 13, 15]], shape[[12, 14, 16]] = (30.0, 110.0), (130.0, 110.0)
    shape[[23, 25, 27, 29, 31]], shape[[24, 26, 28, 30, 32]] = (40.0, 220.0), (120.0, 220.0)
    shape[[25, 27, 29, 31, 26, 28, 30, 32], 1] = 300.0
    shape[:11] = 80.0, 50.0
    places = np.stack([60.0 + 8.0 * np.arange(frames), np.zeros(frames)], axis=-1)
    keypoints = shape + places[:, None]
    ones = np.ones((frames, 33))
    box = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=-1)
    return PersonTrack(
        0, np.arange(frames), np.arange(frames) / 20, keypoints, ones, ones, np.zeros((frames, 33, 3)),
        np.ones(frames), box,
    )  # fmt: skip


def test_a_meter_that_goes_on_from_its_state_says_the_same():
    whole, first, second = CameraMotionMeter(), CameraMotionMeter(), CameraMotionMeter()
    frames = [Frame(index, index / 20, scene(0.4 * index, 40 + 7 * index)) for index in range(60)]
    for frame in frames:
        whole.update(frame)
    for frame in frames[:25]:
        first.update(frame)
    second.restore(first.state())
    for frame in frames[25:]:
        second.update(frame)
    assert [one.index for one in second.samples] == [one.index for one in whole.samples]
    np.testing.assert_array_equal(second.samples[-1].after_px, whole.samples[-1].after_px)
