"""Where cameras stand, read from the files of Pose2Sim, Caliscope, anipose, FreeMoCap, OpenCV and from JSON."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.camera.calibration import read_cameras, read_rig
from backend.errors import BadInputError
from backend.types import Array, VideoInfo

K = [[1500.0, 0.0, 960.0], [0.0, 1500.0, 540.0], [0.0, 0.0, 1.0]]
TURNS = ([0.1, -0.4, 0.02], [1.2, 0.3, -0.5])
PLACES_M = ([0.5, 0.2, 3.0], [-1.5, 0.1, 2.5])


def pose(camera: int) -> Array:
    expected = np.eye(4)
    expected[:3, :3] = cv2.Rodrigues(np.array(TURNS[camera]))[0]
    expected[:3, 3] = PLACES_M[camera]
    return expected


def toml(section: str, rotations: str = "rotation", units: float = 1.0) -> str:
    parts = ["[metadata]\nadjusted = false\n"]
    for camera in range(2):
        shift = [value * units for value in PLACES_M[camera]]
        parts.append(
            f'[{section.format(camera)}]\nname = "cam{camera + 1}"\nsize = [1920, 1080]\nmatrix = {K}\n'
            f"distortions = [0.1, -0.05, 0.0, 0.001]\n{rotations} = {TURNS[camera]}\ntranslation = {shift}\n"
            "fisheye = false\nrotation_count = 0\nignore = false\n"
        )
    return "\n".join(parts)


def opencv(path: Path, camera: int) -> None:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("camera_matrix", np.array(K))
    storage.write("distortion_coefficients", np.array([[0.1, -0.05, 0.0, 0.001, 0.0]]))
    storage.write("image_width", 1920)
    storage.write("image_height", 1080)
    storage.write("R", pose(camera)[:3, :3])
    storage.write("T", pose(camera)[:3, 3:])
    storage.release()


def write_rig(path: Path, kind: str) -> Path:
    """A rig of two cameras in a file or folder of this kind."""
    if kind == "opencv":
        path.mkdir()
        for camera in range(2):
            opencv(path / f"cam{camera + 1}.yml", camera)
        return path
    if kind == "json":
        entries = {
            f"cam{n + 1}": {"K": K, "size": [1920, 1080], "distortion_k1k2p1p2": [0.1, -0.05, 0, 0.001],
                            "extrinsics": pose(n)[:3].tolist()} for n in range(2)
        }  # fmt: skip
        path = path.with_suffix(".json")
        path.write_text(json.dumps({"cameras": entries}))
        return path
    texts = {
        "pose2sim": toml("cam_0{}"),
        "caliscope": toml("cameras.{}"),
        "anipose": toml("cam_{}", units=1000.0),
    }
    path = path.with_suffix(".toml")
    path.write_text(texts[kind])
    return path


def video_info(width: int, height: int, path: Path) -> VideoInfo:
    return VideoInfo(path, width, height, 30.0, 1.0, 30, "h264", 0, False)


def infos(*names: str) -> list[VideoInfo]:
    return [video_info(1920, 1080, path=Path(f"{name}.mp4")) for name in names]


@pytest.mark.parametrize("kind", ["pose2sim", "caliscope", "anipose", "opencv", "json"])
def test_cameras_and_where_they_stand_are_read(tmp_path: Path, kind: str) -> None:
    path = write_rig(tmp_path / "rig", kind)
    for names, order in ((("cam2", "cam1"), (1, 0)), (("left", "right"), (0, 1))):
        for (camera, lens), place in zip(read_rig(path, infos(*names)), order, strict=True):
            assert camera.camera_from_rig is not None
            np.testing.assert_allclose(camera.camera_from_rig, pose(place), atol=1e-6)
            np.testing.assert_allclose(lens.matrix, K)
            assert lens.distortion[:4] == pytest.approx((0.1, -0.05, 0.0, 0.001))


def test_a_video_of_another_size_keeps_the_angles(tmp_path: Path) -> None:
    path = write_rig(tmp_path / "rig", "pose2sim")
    (_, lens), _ = read_rig(path, [video_info(960, 540, path=Path("cam1.mp4")), *infos("cam2")])
    assert lens.matrix[0, 0] == pytest.approx(750.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (toml("cam_{}").replace("[0.1, -0.4, 0.02]", "[[1,0,0],[0,1,0],[0,0,-1]]"), "mirrored"),
        (toml("cam_{}").replace("[0.1, -0.4, 0.02]", "[[2,0,0],[0,1,0],[0,0,1]]"), "no rotation"),
        (toml("cam_{}").replace("[0.1, -0.4, 0.02]", "[1, 2]"), "is not a camera calibration"),
        (toml("cam_{}").replace("[0.5, 0.2, 3.0]", "[nan, 0.0, 1.0]"), "no rotation with a translation"),
    ],
)
def test_positions_that_are_none_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "rig.toml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=words):
        read_cameras(path)


def test_videos_that_fit_no_camera_are_refused(tmp_path: Path) -> None:
    path = write_rig(tmp_path / "rig", "pose2sim")
    with pytest.raises(BadInputError, match="2 cameras and none has the name of a video") as caught:
        read_rig(path, infos("a", "b", "c"))
    assert "cam1, cam2" in caught.value.remedy
    with pytest.raises(BadInputError, match="no camera other"):
        read_rig(path, infos("cam1", "other"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="has no calibration file"):
        read_cameras(tmp_path / "empty")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"K": [[1,0,0],[0,1,0],[0,0,1]], "size": [1e999, 5]}'])
def test_a_json_file_of_anything_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rig.json"
    path.write_text(text)
    with pytest.raises(BadInputError, match="is not a camera calibration"):
        read_cameras(path)


def test_a_folder_has_one_file_a_camera_or_one_of_all(tmp_path: Path) -> None:
    path = write_rig(tmp_path / "rig", "opencv")
    (path / "._cam1.yml").write_bytes(b"\x00\x05\x16\x07")
    (path / "Calib.toml").write_text("of another tool")
    assert len(read_cameras(path)) == 2
    whole = tmp_path / "calibration"
    whole.mkdir()
    write_rig(tmp_path / "other", "pose2sim").rename(whole / "Calib.toml")
    assert [camera.name for camera in read_cameras(whole)] == [f"cam{place}" for place in (1, 2)]
    text = (whole / "Calib.toml").read_text()
    (whole / "Calib.toml").write_text(text, encoding="utf-8-sig")  # as Notepad saves it
    assert len(read_cameras(whole)) == 2


def test_a_file_without_positions_has_intrinsics_only(tmp_path: Path) -> None:
    path = tmp_path / "lens.json"
    path.write_text(json.dumps({"K": K, "size": [1920, 1080]}))
    ((camera, _),) = read_rig(path, infos("any"))
    assert camera.camera_from_rig is None
