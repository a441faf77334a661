"""Human3.6M as its owners distribute it: 3D positions in CDF files, videos, camera parameters. numpy; cdflib inside.

The files are licensed and are never part of this repository; users who have them point `evaluate --human36m` at the
folder. Expected below it, for each subject: `S9/MyPoseFeatures/D3_Positions_mono/*.cdf` (camera coordinates) or
`.../D3_Positions/*.cdf` (world), `S9/Videos/*.mp4`, and `metadata.xml` with the cameras in the folder or above it.
Protocol of the paper (Li, Zhang, Chan 2015): train on S1 S5 S6 S7 S8, test on S9 S11, camera coordinates relative to
the pelvis, the four cameras as separate images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from backend.errors import BadInputError, DeviceError
from backend.types import Array, Intrinsics

TEST_SUBJECTS = ("S9", "S11")
CAMERAS = ("54138969", "55011271", "58860488", "60457274")
FPS = 50.0
JOINTS_17 = np.array([0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27])
"""Which of the 32 joints are the 17, in the order of `keypoints.H36M_NAMES`; the others are doubles, hands, toes."""

_SUBJECTS = 11
_EXTRINSICS, _INTRINSICS = 6, 9
_SIZE_PX = 1000  # 1000 x 1000, or 1000 x 1002: the principal point alone matters


class Human36mError(BadInputError):
    """A file of Human3.6M that is missing or cannot be read."""

    code = "human36m"


@dataclass(frozen=True, slots=True)
class Human36mCamera:
    """One camera of one subject: intrinsics with distortion, camera_from_world (3, 3), its centre (3,) in m."""

    intrinsics: Intrinsics
    camera_from_world: Array
    center_m: Array


@dataclass(frozen=True, slots=True)
class Human36mTake:
    """One take seen by one camera: joints_camera_m (T, 17, 3) in m at 50/s, its video, and the camera.

    `action` is the name without the number of the trial ("Directions" of "Directions 1").
    """

    subject: str
    action: str
    name: str
    camera_name: str
    joints_camera_m: Array
    video: Path
    camera: Human36mCamera


def read_human36m(
    folder: Path, subjects: Sequence[str] = TEST_SUBJECTS, cameras: Sequence[str] = CAMERAS
) -> list[Human36mTake]:
    """All takes of these subjects. Raises Human36mError that names what is missing, DeviceError without cdflib."""
    parameters = _parameters(_metadata(folder))
    takes: list[Human36mTake] = []
    for subject in subjects:
        home = folder / subject
        mono = sorted(home.rglob("D3_Positions_mono/*.cdf"))
        for path in mono:
            name, camera_name = path.stem.rsplit(".", 1) if "." in path.stem else (path.stem, "")
            if camera_name in cameras:
                takes.append(_take(home, name, camera_name, read_positions_m(path), parameters))
        if mono:
            continue
        for path in sorted(home.rglob("D3_Positions/*.cdf")):
            world = read_positions_m(path)
            for camera_name in cameras:
                seen = human36m_camera(parameters, subject, camera_name)
                in_camera = (world - seen.center_m) @ seen.camera_from_world.T
                takes.append(_take(home, path.stem, camera_name, in_camera, parameters))
    if not takes:
        raise Human36mError(
            f"{folder} holds no positions of {', '.join(subjects)}",
            "Expected S9/MyPoseFeatures/D3_Positions_mono/*.cdf and so on",
        )
    return takes


def read_positions_m(path: Path) -> Array:
    """The 17 joints (T, 17, 3) in m of a D3_Positions file: variable 'Pose' of shape (1, T, 96) in mm, 32 joints."""
    try:
        import cdflib
    except ImportError as fault:
        raise DeviceError("reading Human3.6M needs cdflib", "Install the `train` extra") from fault
    if not path.exists():
        raise Human36mError(f"{path} is missing")
    try:
        pose: Any = cdflib.CDF(path).varget("Pose")
        values = np.asarray(pose, np.float64).reshape(-1, 32, 3)
    except Exception as fault:  # cdflib raises whatever its parser stumbles over
        raise Human36mError(f"{path} holds no 'Pose' of 32 joints ({fault})", "Download it again") from fault
    if not len(values) or not np.isfinite(values).all():
        raise Human36mError(f"{path} holds {len(values)} frames, or values that are not numbers", "Download it again")
    return np.asarray(values[:, JOINTS_17] / 1000.0)


def human36m_camera(parameters: Array, subject: str, camera_name: str) -> Human36mCamera:
    """A camera from the list `w0` of metadata.xml: 11 subjects x 4 cameras x (3 angles, 3 mm), then 4 x (focal length,
    principal point, k1 k2 k3, p1 p2) in px.
    """
    if camera_name not in CAMERAS or not subject.removeprefix("S").isdigit():
        raise Human36mError(f"there is no camera {camera_name!r} of subject {subject!r}", f"Cameras: {CAMERAS}")
    place, number = CAMERAS.index(camera_name), int(subject[1:]) - 1
    if not 0 <= number < _SUBJECTS:
        raise Human36mError(f"there is no subject {subject!r}", "Subjects are S1 to S11")
    first = _EXTRINSICS * (place * _SUBJECTS + number)
    angles, center = parameters[first : first + 3], parameters[first + 3 : first + 6] / 1000.0
    start = _EXTRINSICS * _SUBJECTS * len(CAMERAS) + _INTRINSICS * place
    focal, middle, k, p = np.split(parameters[start : start + _INTRINSICS], [2, 4, 7])
    matrix = np.array([[focal[0], 0.0, middle[0]], [0.0, focal[1], middle[1]], [0.0, 0.0, 1.0]])
    lens = (float(k[0]), float(k[1]), float(p[0]), float(p[1]), float(k[2]))
    return Human36mCamera(Intrinsics(matrix, _SIZE_PX, _SIZE_PX, "calibration", lens), _euler(angles), center)


def _euler(angles: Array) -> Array:
    """Rotation about x, then y, then z as the data set writes it: Rx Ry Rz."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)


def _take(home: Path, name: str, camera_name: str, joints: Array, parameters: Array) -> Human36mTake:
    camera = human36m_camera(parameters, home.name, camera_name)
    video = home / "Videos" / f"{name}.{camera_name}.mp4"
    return Human36mTake(home.name, name.split(" ", maxsplit=1)[0], name, camera_name, joints, video, camera)


def _metadata(folder: Path) -> Path:
    for place in (folder, *folder.resolve().parents[:2]):
        if (place / "metadata.xml").exists():
            return place / "metadata.xml"
    raise Human36mError(f"{folder} has no metadata.xml with the cameras", "It is part of the data set's code release")


@cache
def _parameters(path: Path) -> Array:
    expected = _EXTRINSICS * _SUBJECTS * len(CAMERAS) + _INTRINSICS * len(CAMERAS)
    try:
        text = ElementTree.parse(path).getroot().findtext(".//w0", "")  # noqa: S314  the user's own data set
        values = np.array(text.strip().strip("[]").split(), np.float64)
    except (ElementTree.ParseError, OSError, ValueError) as fault:
        raise Human36mError(f"{path} is not readable ({fault})", "Download it again") from fault
    if len(values) != expected:
        raise Human36mError(f"{path} holds {len(values)} camera parameters, not {expected}", "Download it again")
    return values
