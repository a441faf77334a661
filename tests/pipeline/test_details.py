"""`--hands` and `--face` through the whole pipeline: the body stays as it is, the clip has the groups."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.multiview.solve_take import solve_take
from backend.multiview.take_request import CloseUp, TakeRequest
from backend.multiview.types import Offset
from backend.pipeline import SolveResult, solve
from backend.solving.models import SolveModels
from backend.types import CancelToken, Progress
from blender_addon.motion.clip import MotionClip, read_clip
from tests.pipeline.conftest import Rendered

BODY = ("times_s", "root_world_m", "joints_camera_m", "keypoints_px", "confidence", "score", "margin", "contacts")


@pytest.fixture(scope="module")
def plain(walk: Rendered, models: SolveModels, tmp_path_factory: pytest.TempPathFactory) -> MotionClip:
    path = tmp_path_factory.mktemp("plain") / "walk.npz"
    return solve(walk.request(path), models=models).clips[0]


@pytest.fixture(scope="module")
def detailed(walk: Rendered, models: SolveModels, tmp_path_factory: pytest.TempPathFactory) -> SolveResult:
    path = tmp_path_factory.mktemp("detailed") / "walk.npz"
    return solve(walk.request(path, hands=True, face=True), models=models)


def test_without_the_options_there_are_no_groups(plain: MotionClip) -> None:
    assert plain.hands is None
    assert plain.face is None
    assert not [name for name in plain.header.figures if "hand" in name or "face" in name]
    assert not {"hands", "face"} & set(plain.header.settings)


def test_the_body_is_the_same_but_for_forearm_and_wrist(plain: MotionClip, detailed: SolveResult) -> None:
    clip = detailed.clips[0]
    for name in BODY:
        np.testing.assert_allclose(getattr(clip, name), getattr(plain, name), atol=2e-5, err_msg=name)
    arms = {f"{side}_{part}" for side in ("left", "right") for part in ("elbow", "wrist")}
    others = [index for index, name in enumerate(clip.body_joint_names) if name not in arms]
    np.testing.assert_array_equal(clip.rotations_wxyz[:, others], plain.rotations_wxyz[:, others])


def test_the_face_alone_turns_the_head_at_most(
    plain: MotionClip, walk: Rendered, models: SolveModels, tmp_path: Path
) -> None:
    request = walk.request(tmp_path / "walk.npz", face=True)
    clip = solve(request, models=models).clips[0]
    for name in (name for name in BODY if name != "joints_camera_m"):
        np.testing.assert_array_equal(getattr(clip, name), getattr(plain, name), err_msg=name)
    head = plain.body_joint_names.index("head")
    others = [joint for joint in range(len(plain.body_joint_names)) if joint != head]
    np.testing.assert_array_equal(clip.rotations_wxyz[:, others], plain.rotations_wxyz[:, others])
    above = [place for place, name in enumerate(plain.joint_names) if "head" in name or "nose" in name]
    below = [place for place in range(17) if place not in above]
    np.testing.assert_array_equal(clip.joints_camera_m[:, below], plain.joints_camera_m[:, below])
    assert clip.face is not None
    assert clip.hands is None


def test_the_groups_are_whole_and_written(detailed: SolveResult) -> None:
    clip = read_clip(detailed.files[0])
    assert clip.hands is not None
    assert clip.face is not None
    solved = np.isfinite(clip.root_world_m).all(axis=1)
    assert np.isfinite(clip.hands.rotations_wxyz[solved]).all()
    assert np.isfinite(clip.face.weights[solved]).all()
    assert {"left_hand_seen_share", "right_hand_seen_share", "face_seen_share", "hand_size_px"} <= set(
        clip.header.figures
    )


def test_a_cancel_during_the_second_look_keeps_the_clip(walk: Rendered, models: SolveModels, tmp_path: Path) -> None:
    cancel = CancelToken()

    def progress(where: Progress) -> None:
        if where.stage == "details" and where.done == 3:
            cancel.cancel()

    request = walk.request(tmp_path / "walk.npz", hands=True)
    result = solve(request, progress, cancel, models=models)
    assert result.cancelled
    assert "stopped_early" in [warning.code for warning in read_clip(result.files[0]).header.warnings]
    assert "stopped_early" in [warning.code for warning in result.warnings]
    assert result.clips[0].hands is not None
    assert not result.clips[0].hands.confidence[10:].any()
    assert list(tmp_path.glob("*.partial")), "the checkpoint stays for --resume"
    looked: list[int] = []

    def count(where: Progress) -> None:
        if where.stage == "details":
            looked.append(where.done)

    again = solve(replace(request, resume=True), count, models=models)
    assert min(looked) > 3, "frames that were looked at before are not looked at again"
    whole = solve(walk.request(tmp_path / "whole.npz", hands=True), models=models)
    assert again.clips[0].hands is not None
    assert whole.clips[0].hands is not None
    np.testing.assert_array_equal(again.clips[0].hands.rotations_wxyz, whole.clips[0].hands.rotations_wxyz)
    np.testing.assert_array_equal(again.clips[0].hands.confidence, whole.clips[0].hands.confidence)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("at", [(0, 3), (2, 1)], ids=["of the body's video", "of the close-up"])
def test_a_take_that_is_stopped_in_its_second_look_says_so(
    walk: Rendered, models: SolveModels, tmp_path: Path, at: tuple[int, int]
) -> None:
    cancel, output = CancelToken(), tmp_path / "take.npz"

    def progress(where: Progress) -> None:
        if where.stage == "details" and (where.video, where.done) == at:
            cancel.cancel()

    body = walk.request(output, hands=at[0] == 0)
    request = TakeRequest((body,), output, close_ups=(CloseUp(walk.video, Offset()),))
    result = solve_take(request, progress, cancel, models)
    assert result.cancelled
    assert "stopped_early" in [warning.code for warning in result.warnings]
    assert list(tmp_path.glob("*.partial")), "the checkpoint stays for --resume"
