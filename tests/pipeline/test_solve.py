"""The whole path on rendered clips with known truth: arrays, times, previews, cancel, resume, several people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.bank.large import LargeSettings, build_large_bank
from backend.embedding.model_files import ModelFiles
from backend.errors import BadInputError, Cancelled, DeviceError, NoPersonError, OutputError, WeightsError
from backend.people.options import Choice, Selection
from backend.pipeline import SolveRequest, solve
from backend.solving.checkpoint import Checkpoint, checkpoint_key, open_checkpoint
from backend.solving.device import choose_device
from backend.solving.models import people_options
from backend.solving.option_parsing import parse_person
from backend.solving.preview import Previewer
from backend.solving.request import SolveQuality
from backend.types import CancelToken, Progress
from backend.video import FrameRange, open_video, parse_range
from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import MotionClip, read_clip

H36M = [
    *("pelvis", "rhip", "rknee", "rankle", "lhip", "lknee", "lankle", "spine", "thorax", "nose", "headtop"),
    *("lshoulder", "lelbow", "lwrist", "rshoulder", "relbow", "rwrist"),
]
FAST = SolveQuality.FAST
ARRAYS = ("rotations_wxyz", "root_world_m", "joints_camera_m", "keypoints_px", "confidence", "contacts", "times_s")


@pytest.fixture(scope="module")
def solved_walk(walk, models, tmp_path_factory) -> tuple[Path, MotionClip]:
    output = tmp_path_factory.mktemp("walk") / "walk.npz"
    result = solve(walk.request(output), models=models)
    assert result.files == (output,)
    return output, result.clips[0]


def assert_same(first: MotionClip, second: MotionClip) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_fixed_arrays_are_in_the_file_for_any_reader(solved_walk, walk):
    with np.load(solved_walk[0], allow_pickle=False) as clip:
        frames, joints = 24, len(canonical_body().joint_names)
        shapes = {
            "times_s": (frames,),
            "joints_camera_m": (frames, 17, 3),
            "joint_names": (17,),
            "keypoints_px": (frames, 33, 2),
            "keypoint_confidence": (frames, 33),
            "root_world_m": (frames, 3),
            "rotations_wxyz": (frames, joints, 4),
            "confidence": (frames,),
        }
        assert {name: clip[name].shape for name in shapes} == shapes
        assert [str(name) for name in clip["joint_names"]] == H36M
        assert json.loads(str(clip["header"]))["quality"] == "fast"
        assert (clip["confidence"] > 0).all()


def test_times_are_exact_for_23976_and_uneven_files(solved_walk, walk, uneven_walk, models, tmp_path):
    np.testing.assert_allclose(solved_walk[1].times_s, walk.truth["times_s"][:24], rtol=0, atol=1e-9)
    uneven = solve(uneven_walk.request(tmp_path / "d.npz", range=parse_range(":12")), models=models).clips[0]
    np.testing.assert_allclose(uneven.times_s, uneven_walk.truth["times_s"][:12], rtol=0, atol=1e-9)
    assert np.ptp(np.diff(uneven.times_s)) > 0.02


def test_the_body_lies_over_the_image(solved_walk, walk):
    clip = solved_walk[1]
    shown = clip.joints_camera_m @ clip.intrinsics.T
    truth = walk.truth["joints_camera_m"][:24] @ walk.truth["intrinsics"].T
    error_px = np.linalg.norm(shown[..., :2] / shown[..., 2:] - truth[..., :2] / truth[..., 2:], axis=-1)
    height_px = np.ptp((truth[..., :2] / truth[..., 2:])[..., 1], axis=1).mean()
    assert np.median(error_px) < 0.04 * height_px


def test_root_path_is_metric(walk, models, tmp_path):
    clip = solve(walk.request(tmp_path / "whole.npz", range=FrameRange()), models=models).clips[0]
    truth = walk.truth["joints_camera_m"][:, 0]
    path_m = np.linalg.norm(np.diff(truth, axis=0), axis=1).sum()
    error = np.linalg.norm(clip.root_camera_m - truth, axis=1)
    assert len(clip) == len(truth)
    assert error.mean() <= 0.05 * path_m
    assert clip.header.figures["foot_skate_m_s"] <= 0.01


def test_planted_feet_stand_and_the_body_is_upright_on_the_floor(solved_walk):
    clip = solved_walk[1]
    assert clip.header.figures["foot_skate_m_s"] <= 0.01
    assert clip.header.figures["below_floor_m"] < 0.03
    height = clip.joints_camera_m[:, H36M.index("headtop")] - clip.joints_camera_m[:, H36M.index("lankle")]
    up = np.einsum("tij,tj->ti", clip.world_from_camera[:, :3, :3], height)
    assert (up[:, 2] > 0.8 * np.linalg.norm(up, axis=1)).all()


def test_previews_come_early_and_change_nothing(solved_walk, walk, models, tmp_path):
    chunks = []
    result = solve(walk.request(tmp_path / "walk.npz"), on_chunk=chunks.append, models=models)
    assert_same(result.clips[0], solved_walk[1])
    assert chunks
    assert chunks[0].frame_index[0] == 0
    assert len(chunks[0].frame_index) < len(result.clips[0])
    for chunk in chunks:
        assert np.isfinite(chunk.rotations_wxyz).all()
        assert np.isfinite(chunk.root_m).all()
        np.testing.assert_allclose(chunk.times_s, result.clips[0].times_s[chunk.frame_index])


def cancel_at(done: int, cancel: CancelToken):
    def progress(now: Progress) -> None:
        if now.stage == "people" and now.done >= done:
            cancel.cancel()

    return progress


def test_a_cancel_keeps_what_is_done_and_resume_ends_the_same(solved_walk, walk, models, tmp_path):
    output, cancel = tmp_path / "walk.npz", CancelToken()
    stopped = solve(walk.request(output), cancel_at(10, cancel), cancel, models=models)
    assert stopped.cancelled
    assert 10 <= len(read_clip(output)) < 20
    assert any(warning.code == "stopped_early" for warning in stopped.warnings)
    assert (tmp_path / "walk.npz.partial").is_dir()
    resumed = []
    result = solve(walk.request(output, resume=True), lambda now: resumed.append(now.done), models=models)
    assert resumed[0] > 10 - 2  # the two frames on their way when it stopped are looked at again
    assert not result.cancelled
    assert_same(read_clip(output), solved_walk[1])
    assert not (tmp_path / "walk.npz.partial").exists()


def test_a_cancel_before_anyone_was_found_writes_nothing(write_images, models, tmp_path):
    video, cancel = write_images("grey.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 40), CancelToken()
    with pytest.raises(Cancelled, match="before anyone was found"):
        solve(
            SolveRequest(video, tmp_path / "a.npz", device="cpu", quality=FAST),
            cancel_at(9, cancel),
            cancel,
            None,
            models,
        )
    assert not (tmp_path / "a.npz").exists()


def test_a_killed_run_resumes_to_the_same_result(uneven_walk, models, tmp_path):
    output = tmp_path / "uneven_walk.npz"
    whole = solve(uneven_walk.request(tmp_path / "whole.npz", range=parse_range(":32")), models=models).clips[0]
    known = [str(float(uneven_walk.truth["height_m"])), str(float(uneven_walk.truth["intrinsics"][0, 0]))]
    command = [sys.executable, "-c", _DIE, str(uneven_walk.video), str(output), *known]
    died = subprocess.run(command, check=False, cwd=Path(__file__).parents[2])
    assert died.returncode != 0
    assert not output.exists()
    assert (tmp_path / "uneven_walk.npz.partial").is_dir()
    seen = []
    request = uneven_walk.request(output, range=parse_range(":32"), resume=True)
    resumed = solve(request, lambda now: seen.append(now.done), models=models).clips[0]
    assert seen[0] == 19  # 20 frames were given at the last save, two of them on their way
    assert_same(resumed, whole)


# The child kills itself as a power cut would, between two saves of the checkpoint.
_DIE = """
import os, psutil, sys
from pathlib import Path
import backend.solving.checkpoint as checkpoint
from backend.camera import CameraOptions
from backend.pipeline import SolveRequest, solve
from backend.solving.request import SolveQuality
from backend.video import parse_range
checkpoint.Checkpoint.is_due = property(lambda self: True)
video, output, height, focal_px = sys.argv[1:]
request = SolveRequest(Path(video), Path(output), quality=SolveQuality.FAST, device="cpu", range=parse_range(":32"),
                       camera=CameraOptions(focal_px=float(focal_px)), height_m=float(height))
solve(request, lambda now: psutil.Process().kill() if now.done == 21 else None)
"""


def test_another_request_does_not_take_up_the_checkpoint(walk, tmp_path):
    info = open_video(walk.video).info
    request = walk.request(tmp_path / "walk.npz", resume=True)
    checkpoint = open_checkpoint(request, info, "cpu")
    checkpoint.save({"value": np.arange(3)})
    assert checkpoint.load() is not None
    assert open_checkpoint(request, info, "cpu").load() is not None
    other = walk.request(tmp_path / "walk.npz", resume=True, range=parse_range("5:"))
    assert open_checkpoint(other, info, "cpu").load() is None
    calmer = walk.request(tmp_path / "walk.npz", resume=True, smoothing="medium", height_m=1.6)
    assert checkpoint_key(calmer, info, "cpu") == checkpoint_key(request, info, "cpu")
    assert open_checkpoint(walk.request(tmp_path / "walk.npz"), info, "cpu").load() is None


def test_a_damaged_checkpoint_is_left_aside(tmp_path):
    checkpoint = Checkpoint(tmp_path / "j", "key")
    checkpoint.save({"value": np.arange(1000)})
    file = next((tmp_path / "j").iterdir())
    file.write_bytes(file.read_bytes()[:100])
    assert checkpoint.load() is None


def test_a_disk_that_refuses_the_checkpoint_does_not_end_the_solve(tmp_path):
    (tmp_path / "j").write_text("a file where the folder should be")
    checkpoint = Checkpoint(tmp_path / "j", "key", interval_s=0.0)
    checkpoint.save({"value": np.arange(3)})
    assert not checkpoint.is_due


def test_no_person(write_images, models, tmp_path):
    rng = np.random.default_rng(4)
    video = write_images("noise.mp4", [rng.integers(0, 90, (120, 160, 3), dtype=np.uint8) for _ in range(8)])
    with pytest.raises(NoPersonError, match="No person"):
        solve(SolveRequest(video, tmp_path / "a.npz", device="cpu", quality=FAST), models=models)


def test_a_person_who_leaves_and_returns_is_one_clip_with_a_gap(walk_images, write_images, models, tmp_path, walk):
    right = walk_images[0][:, 320:]
    empty = np.hstack([right[:, ::-1], right])
    images = [*walk_images[:12], *[empty] * 14, *walk_images[12:24]]
    request = walk.request(tmp_path / "gap.npz")
    result = solve(
        SolveRequest(write_images("gap.mp4", images), request.output, device="cpu", quality=request.quality),
        models=models,
    )
    clip = result.clips[0]
    assert len(clip) == 38
    gone = clip.confidence == 0
    assert gone[16:25].all()
    assert not gone[2:10].any()
    assert not gone[30:].any()
    assert np.isnan(clip.rotations_wxyz[gone]).all()
    assert np.isnan(clip.joints_camera_m[gone]).all()
    assert (clip.contacts[gone] == 0).all()


def test_several_people_are_several_files_in_one_world(walk_images, write_images, models, tmp_path, walk):
    video = write_images("two.mp4", [np.hstack([p[:, :320], p[:, :320][:, ::-1]]) for p in walk_images[:16]])
    request = walk.request(tmp_path / "two.npz")
    everyone = SolveRequest(video, request.output, person=Selection(Choice.ALL), device="cpu", quality=request.quality)
    result = solve(everyone, models=models)
    assert [path.name for path in result.files] == ["two.0.npz", "two.1.npz"]
    first, second = (read_clip(path) for path in result.files)
    assert (first.header.person, second.header.person) == (0, 1)
    np.testing.assert_array_equal(first.times_s, second.times_s)
    np.testing.assert_array_equal(first.world_from_camera, second.world_from_camera)
    assert np.nanmean(np.linalg.norm(first.root_world_m - second.root_world_m, axis=1)) > 0.5
    assert not (tmp_path / "two.npz").exists()


def test_smoothing_is_applied_and_written_down(solved_walk, walk, models, tmp_path):
    calm = solve(walk.request(tmp_path / "calm.npz", smoothing="medium"), models=models).clips[0]
    raw = solved_walk[1]
    assert calm.header.settings["smoothing"] == "medium"
    assert calm.header.figures["acceleration_m_s2"] < 0.7 * raw.header.figures["acceleration_m_s2"]


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("clip.txt", "does not end in .npz"),
        ("nowhere/clip.npz", "no folder"),
        (".", "does not end in"),
        ("d.npz", "is a folder"),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_the_work(walk, tmp_path, name, match):
    (tmp_path / "d.npz").mkdir()
    with pytest.raises(OutputError, match=match):
        solve(walk.request(tmp_path / name))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="a superuser may write anywhere")
def test_a_folder_without_permission_is_refused(walk, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written to"):
        solve(walk.request(tmp_path / "a.npz"))


def test_a_full_disk_is_told_and_the_checkpoint_stays(walk, models, tmp_path, monkeypatch):
    def full(clip: MotionClip, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("backend.solving.outputs.write_clip", full)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"):
        solve(walk.request(tmp_path / "a.npz", range=parse_range(":8")), models=models)
    assert (tmp_path / "a.npz.partial").is_dir()


def test_limits_and_options_are_checked(walk, tmp_path):
    with pytest.raises(BadInputError, match="the limit is 10"):
        solve(walk.request(tmp_path / "a.npz", max_frames=10))
    with pytest.raises(BadInputError, match="out of range"):
        walk.request(tmp_path / "a.npz", height_m=17.0)
    with pytest.raises(BadInputError, match="Unknown smoothing preset"):
        walk.request(tmp_path / "a.npz", smoothing="silky")
    with pytest.raises(BadInputError, match="length of the gravity vector"):
        walk.request(tmp_path / "a.npz", gravity_camera=(0.0, 0.0, 0.0))


def test_devices_that_are_not_there_are_refused():
    assert choose_device("cpu") == "cpu"
    for name in ("cuda:99", "tpu", "cuda:x"):
        with pytest.raises(DeviceError):
            choose_device(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("largest", Selection(Choice.LARGEST)),
        ("moving", Selection(Choice.MOST_MOVING)),
        ("all", Selection(Choice.ALL)),
        ("2", Selection(Choice.INDEX, index=2)),
        ("640,360.5@12", Selection(Choice.CLICK, click_px=(640.0, 360.5), click_frame=12)),
    ],
)
def test_people_are_named_in_text(text, expected):
    assert parse_person(text) == expected


@pytest.mark.parametrize("text", ["", "somebody", "1,2,3", "-1"])
def test_names_of_no_one_are_refused(text):
    with pytest.raises(BadInputError, match="unknown person"):
        parse_person(text)


def test_previews_take_a_small_share_of_the_time():
    class SlowPoses:
        calls = 0

        def __call__(self, track):
            self.calls += 1
            time.sleep(0.05)
            raise NoPersonError("nobody")

    class Tracker:
        def tracks(self):
            return []

    slow = SlowPoses()
    previewer = Previewer(slow, Selection(), lambda chunk: None)
    for _ in range(20):
        previewer.preview(Tracker())
    assert previewer.spent_s < 0.1


def test_a_bank_of_ones_own_is_what_a_solve_retrieves_from(solved_walk, walk, models, tmp_path):
    poses = models.poses.bank.candidates.rotations_wxyz[:400]
    folder = tmp_path / "large"
    build_large_bank(poses, models.poses.towers, LargeSettings(2000, 5), folder, {})
    request = walk.request(tmp_path / "own.npz", model=ModelFiles(bank=folder))
    clip = solve(request, models=models).clips[0]  # the models at hand have another bank: they are not taken
    assert clip.header.model.endswith("-2000")
    assert solved_walk[1].header.model.endswith(f"-{len(models.poses.bank)}")
    assert np.abs(clip.joints_camera_m - solved_walk[1].joints_camera_m).max() > 1e-3
    with pytest.raises(WeightsError, match="not a complete large bank"):
        solve(walk.request(tmp_path / "none.npz", model=ModelFiles(bank=tmp_path)), models=models)


def test_numbers_of_tracks_are_the_same_peoples_at_every_quality(walk, models):
    """`tracks` looks for people every half second; a fast solve of a numbered person has to look as often."""
    chosen = [Selection(choice) for choice in (Choice.LARGEST, Choice.LONGEST, Choice.MOST_MOVING, Choice.ALL)]
    chosen += [Selection(Choice.INDEX, index=1), Selection(Choice.CLICK, click_px=(5.0, 5.0))]
    often = {
        selection.choice
        for selection in chosen
        if people_options(walk.request(Path("a.npz"), person=selection), models).search_interval_s == 0.5
    }
    assert often == {Choice.INDEX, Choice.ALL}


def test_images_that_were_rendered_anew_are_another_video(walk, walk_images, tmp_path):
    folder = tmp_path / "shot"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"shot_{number}.bmp"), walk_images[number])
    request = SolveRequest(folder, tmp_path / "a.npz")
    info = open_video(folder).info
    before = checkpoint_key(request, info, "cpu")
    assert checkpoint_key(request, info, "cpu") == before
    cv2.imwrite(str(folder / "shot_1.bmp"), walk_images[1][:, ::-1])  # of the same size on the disk
    assert checkpoint_key(request, info, "cpu") != before


def test_the_shot_after_a_cut_changes_nothing_before_it(walk, walk_images, write_images, models, tmp_path) -> None:
    """The same person goes on in the same track, nearer to another camera and in other light."""
    height, width = walk_images[0].shape[:2]
    light = np.full((height, width, 1), 0.3)
    light[height // 3 :, width // 5 : -width // 5] = 1.0
    nearer = [(cv2.resize(image[:, : width // 2], (width, height)) * light).astype(np.uint8) for image in walk_images]
    clips = []
    for name, images in (("alone", walk_images), ("both", [*walk_images, *nearer])):
        request = replace(walk.request(tmp_path / f"{name}.npz"), range=FrameRange(0, None))
        request = replace(request, video=write_images(f"{name}.mp4", images))
        clips.append(solve(request, models=models).clips[0])
    alone, both = clips
    assert len(both.header.cuts_s) == 1
    assert np.isfinite(both.joints_camera_m[[0, -1]]).all(), "the person is one track"
    off_m = np.linalg.norm(both.joints_camera_m[: len(alone)] - alone.joints_camera_m, axis=-1).mean(axis=1)
    # proportions, and with them the distance, are those of both shots; frames joined across the cut were 0.2 m off
    assert off_m.max() < 0.06
    assert off_m[-3:].max() < off_m.mean() + 0.01
