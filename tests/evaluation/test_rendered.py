"""Rendered videos: every method is scored against the video's own truth, through the command too; single images and
videos without a person are named.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from backend.cli import main
from backend.embedding.keypoints import H36M_NAMES
from backend.embedding.pose_model import load_model
from backend.errors import BadInputError
from backend.evaluation.real import PEER
from backend.evaluation.rendered import _limbs, posture, true_joints_m, video_scores, whole_videos
from backend.evaluation.report import mean_errors
from backend.people import Quality
from backend.training.render_landmarks import RenderLandmarks, render_landmarks
from blender_addon.motion.body import canonical_body

FRAMES = 4


@pytest.mark.slow
def test_every_method_is_scored_video_by_video(rendered_videos: Path) -> None:
    rows = video_scores(rendered_videos, load_model(), (Quality.FULL,), most=3)
    methods = {row.method for row in rows}
    assert {f"full: {PEER}", "full: structured inference"} <= methods
    postures = {method for method in methods if method.startswith("full: structured inference, ")} - {
        "full: structured inference, no retrieved joints"
    }
    assert len([row for row in rows if row.method in postures]) == 3, "each video has one posture"
    assert len(rows) == 3 * (len(methods - postures) + 1)
    assert {row.frames for row in rows} == {FRAMES}
    ours = mean_errors([row for row in rows if row.method == "full: structured inference"])
    assert 10 < ours.pa_mpjpe_mm < 160
    assert ours.pa_mpjpe_mm <= ours.n_mpjpe_mm <= ours.mpjpe_mm
    assert ours.found == 1.0


@pytest.mark.parametrize(
    ("trunk", "thighs", "name"),
    [
        ((0, 0, 1), (0, 0, -1), "standing"),
        ((0, 1, 0.1), (0, -1, 0), "seated or lying"),
        ((0, 0, 1), (0, -1, -0.2), "seated or lying"),
    ],
)
def test_a_video_is_named_by_its_posture(trunk: tuple[float, ...], thighs: tuple[float, ...], name: str) -> None:
    """Joints are in the camera, which looks down by 30 degrees; up is that of the world."""
    joints_m = np.zeros((3, len(H36M_NAMES), 3))
    joints_m[:, H36M_NAMES.index("thorax")] = 0.5 * np.array(trunk)
    for side in "lr":
        joints_m[:, H36M_NAMES.index(f"{side}knee")] = 0.4 * np.array(thighs)
    camera = Rotation.from_euler("x", 120.0, degrees=True).as_matrix()
    body = canonical_body()
    video = replace(
        _seen(np.zeros(3, int), np.ones(3, bool)),
        joints_m=joints_m @ camera.T,
        rotations_wxyz=np.tile([1.0, 0.0, 0.0, 0.0], (3, len(body.joint_names), 1)),
        camera_from_world=np.tile(camera, (3, 1, 1)),
        visible=np.ones((3, 33), bool),
    )
    assert posture(video) == name
    assert posture(replace(video, visible=np.zeros((3, 33), bool))) == "cut off"


@pytest.mark.slow
def test_the_truth_is_the_body_in_the_image(rendered_videos: Path) -> None:
    seen = render_landmarks(rendered_videos, Quality.FULL)
    truth = true_joints_m(seen)
    for name, landmark in (("lknee", 25), ("rknee", 26), ("lwrist", 15), ("rankle", 28), ("lshoulder", 11)):
        off = np.linalg.norm(truth[:, H36M_NAMES.index(name)] - seen.landmarks_m[:, landmark], axis=-1)
        assert off.max() < 0.06, name
    shoulders = [H36M_NAMES.index(name) for name in ("lshoulder", "rshoulder")]
    apart = np.linalg.norm(truth[:, shoulders[0]] - truth[:, shoulders[1]], axis=-1)
    centres = np.linalg.norm(seen.joints_m[:, shoulders[0]] - seen.joints_m[:, shoulders[1]], axis=-1)
    assert (apart < centres - 0.02).all(), "shoulders are where they are seen, inside the joints' centres"
    assert np.allclose(_limbs(truth)[:, 6:8].sum(axis=1), 0.0, atol=1e-9), "relative to the mid-hip"


@pytest.mark.slow
def test_the_command_writes_the_table(rendered_videos: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    assert main(["evaluate", "--renders", str(rendered_videos), "--films", "2", "-o", str(table), "--quiet"]) == 0
    text = table.read_text()
    assert "2 rendered videos" in text
    assert "heavy: structured inference" in text
    assert f"full: {PEER}" in text


def _seen(videos: np.ndarray, found: np.ndarray) -> RenderLandmarks:
    """Landmarks of nothing: only which video a row is of, and whether somebody was found."""
    values = {field.name: np.zeros((len(videos), 1)) for field in fields(RenderLandmarks)}
    return RenderLandmarks(**values | {"video": videos, "found": found})


def test_single_images_and_videos_of_nobody_are_named() -> None:
    folder = Path("renders")
    with pytest.raises(BadInputError, match="single images"):
        next(whole_videos(_seen(np.arange(6), np.ones(6, bool)), folder, 5))
    with pytest.raises(BadInputError, match="no video shows its person"):
        next(whole_videos(_seen(np.arange(6) // 3, np.arange(6) % 3 > 0), folder, 5))


def test_no_videos_at_all_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--renders", "renders", "--films", "0", "--quiet"]) != 0
    assert "--films 0" in capsys.readouterr().err
