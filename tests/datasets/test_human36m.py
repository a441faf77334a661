"""The Human3.6M reader on tiny files in the real format, and both configurations evaluated through the command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

cdflib = pytest.importorskip("cdflib")

from backend.camera.lens import project_m  # noqa: E402
from backend.datasets.human36m import (  # noqa: E402
    CAMERAS,
    JOINTS_17,
    Human36mError,
    human36m_camera,
    read_human36m,
    read_positions_m,
)

_REPOSITORY = Path(__file__).resolve().parents[2]
_FOCAL, _MIDDLE = (1145.05, 1143.78), (512.54, 515.45)
_ANGLES, _CENTER_MM = (1.5, -0.3, 0.2), (1841.1, 4955.3, 1563.4)


def write_positions(path: Path, joints_m: np.ndarray) -> None:
    """17 joints (T, 17, 3) in m as the data set writes them: 'Pose' (1, T, 96) in mm, 32 joints, the rest doubles."""
    values = np.zeros((len(joints_m), 32, 3))
    values[:, JOINTS_17] = 1000 * joints_m
    path.parent.mkdir(parents=True, exist_ok=True)
    from cdflib.cdfwrite import CDF

    plain = path.parent / "written"
    file = CDF(str(plain), cdf_spec={"Encoding": 6})
    spec = {
        "Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": [len(joints_m), 96]
    }  # fmt: skip
    file.write_var(spec, var_data=values.reshape(1, len(joints_m), 96).astype(np.float32))
    file.close()
    plain.with_suffix(".cdf").rename(path)  # the writer takes a camera's number for the file's ending


def write_metadata(folder: Path, focal=_FOCAL, middle=_MIDDLE) -> None:
    values = np.zeros(300)
    for place in range(4):
        for subject in range(11):
            start = 6 * (place * 11 + subject)
            values[start : start + 6] = [*(np.array(_ANGLES) + 0.1 * place), *_CENTER_MM]
        values[264 + 9 * place : 273 + 9 * place] = [*focal, *middle, -0.2, 0.24, -0.001, -0.0009, -0.0014]
    folder.mkdir(parents=True, exist_ok=True)
    text = " ".join(f"{value:.6f}" for value in values)
    (folder / "metadata.xml").write_text(f"<?xml version='1.0'?><metadata><w0>[{text}]</w0></metadata>")


def _motion(frames: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(frames, 17, 3)) * 0.3 + [0.2, 0.1, 4.0]


def test_positions_come_back_in_metres_and_in_order(tmp_path):
    path = tmp_path / "Walking 1.54138969.cdf"
    write_positions(path, _motion())
    assert np.allclose(read_positions_m(path), _motion(), atol=1e-5)


def test_both_kinds_of_files_give_the_same_camera_coordinates(tmp_path):
    write_metadata(tmp_path)
    take = _motion()
    parameters = np.array((tmp_path / "metadata.xml").read_text().split("[")[1].split("]")[0].split(), float)
    for name in CAMERAS:
        write_positions(tmp_path / f"S9/MyPoseFeatures/D3_Positions_mono/Walking 1.{name}.cdf", take)
    camera = human36m_camera(parameters, "S11", CAMERAS[2])
    world = take @ camera.camera_from_world + camera.center_m
    write_positions(tmp_path / "S11/MyPoseFeatures/D3_Positions/Eating 2.cdf", world)
    takes = read_human36m(tmp_path)
    assert len(takes) == 8
    assert {(t.subject, t.action, t.camera_name) for t in takes} == {
        *(("S9", "Walking", name) for name in CAMERAS), *(("S11", "Eating", name) for name in CAMERAS)
    }  # fmt: skip
    other = next(t for t in takes if t.subject == "S11" and t.camera_name == CAMERAS[2])
    assert np.allclose(other.joints_camera_m, take, atol=1e-4)
    assert other.video == tmp_path / "S11/Videos" / f"Eating 2.{CAMERAS[2]}.mp4"


def test_camera_parameters_project_as_the_data_set_does(tmp_path):
    write_metadata(tmp_path)
    write_positions(tmp_path / f"S9/MyPoseFeatures/D3_Positions_mono/Walking 1.{CAMERAS[0]}.cdf", _motion())
    camera = read_human36m(tmp_path)[0].camera
    assert np.allclose(camera.camera_from_world @ camera.camera_from_world.T, np.eye(3), atol=1e-9)
    assert np.allclose(camera.center_m, np.array(_CENTER_MM) / 1000)
    x, y = 0.3, -0.2
    r2 = x * x + y * y
    k1, k2, k3, p1, p2 = -0.2, 0.24, -0.001, -0.0009, -0.0014
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    expected = [_FOCAL[0] * u + _MIDDLE[0], _FOCAL[1] * v + _MIDDLE[1]]
    seen = project_m(camera.intrinsics, np.array([[4 * x, 4 * y, 4.0]]))[0]
    assert seen == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("fault", ["truncated", "no cdf", "other variable", "no metadata", "short metadata", "empty"])
def test_bad_files_are_named(tmp_path, fault):
    path = tmp_path / f"S9/MyPoseFeatures/D3_Positions_mono/Walking 1.{CAMERAS[0]}.cdf"
    write_positions(path, _motion(40))
    write_metadata(tmp_path)
    if fault == "truncated":
        path.write_bytes(path.read_bytes()[:200])
    elif fault == "no cdf":
        path.write_bytes(b"hello" * 100)
    elif fault == "other variable":
        path.write_bytes(path.read_bytes().replace(b"Pose", b"Nose"))
    elif fault == "no metadata":
        (tmp_path / "metadata.xml").unlink()
    elif fault == "short metadata":
        (tmp_path / "metadata.xml").write_text("<metadata><w0>[1 2 3]</w0></metadata>")
    else:
        path.unlink()
    words = "metadata" if "metadata" in fault else "holds no positions" if fault == "empty" else "Pose"
    with pytest.raises(Human36mError, match=words):
        read_human36m(tmp_path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The shipped rendered clip and its truth, laid out as Human3.6M: one subject, one camera."""
    folder = tmp_path_factory.mktemp("h36m")
    with np.load(_REPOSITORY / "assets/demo_clip.npz") as truth:
        joints, matrix = truth["joints_camera_m"], truth["intrinsics"]
    write_metadata(folder, (matrix[0, 0], matrix[1, 1]), (matrix[0, 2], matrix[1, 2]))
    text = (folder / "metadata.xml").read_text().replace(
        "-0.200000 0.240000 -0.001000 -0.000900 -0.001400", "0 0 0 0 0"
    )  # fmt: skip
    (folder / "metadata.xml").write_text(text)
    write_positions(folder / f"S9/MyPoseFeatures/D3_Positions_mono/Walking 1.{CAMERAS[0]}.cdf", joints)
    (folder / "S9/Videos").mkdir()
    shutil.copy(_REPOSITORY / "assets/demo_clip.mp4", folder / f"S9/Videos/Walking 1.{CAMERAS[0]}.mp4")
    return folder


def _evaluate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backend", "evaluate", "--subjects", "S9", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=_REPOSITORY, check=False)


def _mpjpe(text: str, method: str) -> float:
    row = next(line for line in text.splitlines() if line.startswith(f"| {method} |"))
    return float(row.split("|")[2])


@pytest.mark.slow
def test_marionet_is_evaluated_in_the_protocol(tiny, tmp_path):
    done = _evaluate("--human36m", str(tiny), "--every", "5", "--plots", str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert _mpjpe(done.stdout, "structured inference") < 90
    assert "| rwrist |" in done.stdout
    assert [path.suffix for path in tmp_path.iterdir()] == [".png"]


@pytest.mark.slow
def test_structnet_is_evaluated_on_the_same_files(tiny, tmp_path):
    torch = pytest.importorskip("torch")
    from backend.embedding.structnet import PoseBranch, paired_networks
    from backend.embedding.structnet_file import StructNet, write_structnet

    torch.manual_seed(0)
    truth = read_human36m(tiny, ("S9",))[0].joints_camera_m
    bank = torch.from_numpy((truth - truth[:, :1]).astype(np.float32))
    image, pose = paired_networks(PoseBranch.TWO_LAYERS)
    write_structnet(StructNet(image, pose, torch.zeros(3, 112, 112), bank), tmp_path / "net.safetensors")
    done = _evaluate("--human36m", str(tiny), "--every", "20", "--structnet", str(tmp_path / "net.safetensors"))
    assert done.returncode == 0, done.stderr[-2000:]
    # untrained, but every candidate is a pose of this clip: Avg of all of them is the clip's mean pose
    assert 0 < _mpjpe(done.stdout, "structnet: Avg(20)") < 300
    missing = _evaluate("--human36m", str(tiny), "--structnet", str(tmp_path / "none.safetensors"))
    assert missing.returncode == 5
    assert "none.safetensors" in missing.stderr
