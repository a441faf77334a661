"""The temporal image tower: rays to joints, windows of seconds, a run that learns, is resumed and measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from backend.cli import main  # noqa: E402
from backend.datasets import read_library  # noqa: E402
from backend.datasets.motion import Motion  # noqa: E402
from backend.embedding.temporal_tower import (  # noqa: E402  # noqa: E402
    RAY_VALUES,
    TOKEN_FRAMES,
    TemporalSizes,
    TemporalTower,
    joint_image_map,
    ray_joints_m,
)
from backend.embedding.tower_weights import POSE_LAYERS, Dense, read_towers, write_towers  # noqa: E402
from backend.embedding.towers_onnx import Towers  # noqa: E402
from backend.embedding.towers_torch import PoseTower, TowerSizes  # noqa: E402
from backend.embedding.window_offsets import DENSE_OFFSETS, LONG_OFFSETS, ImageLayout  # noqa: E402
from backend.errors import BadInputError, WeightsError  # noqa: E402
from backend.evaluation.exact_keypoints import exact_keypoint_errors  # noqa: E402
from backend.training.checkpoint import CheckpointError, new_state, read_trained_towers, start_from  # noqa: E402
from backend.training.landmark_noise import correlated  # noqa: E402
from backend.training.motion_truth import joint_motion  # noqa: E402
from backend.training.pool import motion_pool  # noqa: E402
from backend.training.run import (  # noqa: E402
    TrainRequest,
    keep_pose_tower,
    run_training,
)
from backend.training.simulate import SimulationSettings, simulate_batch  # noqa: E402
from backend.training.trainer import TrainerSettings  # noqa: E402

_SIZES = TemporalSizes(width=24, layers=1, mix=8, trunk=48, blocks=2, hidden=32, embedding=8)
_SETTINGS = TrainerSettings(
    steps=120,
    batch=32,
    candidates=64,
    bank=400,
    warmup=10,
    replay=12,
    average=0.95,
    rate=2e-3,
    soft=0.0,
    margin_rows=16,
)


def _takes(frames: int = 200) -> list[Motion]:
    rng = np.random.default_rng(0)
    from blender_addon.motion.body import canonical_body
    from blender_addon.motion.rotations import rotvec_to_quaternion

    joints = len(canonical_body().joint_names)
    swing = np.sin(np.linspace(0, 20, frames))[:, None, None] * rng.normal(0, 0.4, (1, joints, 3))
    return [Motion(rotvec_to_quaternion(swing), np.tile([0, 0, 0.9], (frames, 1)), 30.0, "s0", "swing", "made")]


def _batch(count: int, **changes):  # type: ignore[no-untyped-def]
    settings = replace(SimulationSettings(offsets=LONG_OFFSETS, exact_keypoints=True), **changes)
    return simulate_batch(motion_pool(_takes()), count, np.random.default_rng(3), settings)


def test_joints_from_true_depths_along_their_rays_are_the_true_joints() -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 0.4, (50, 17, 3))
    joints[:, 0] = 0.0
    pelvis = np.stack([rng.normal(0, 0.5, 50), rng.normal(0, 0.5, 50), rng.uniform(2, 6, 50)], axis=-1)
    seen = pelvis[:, None] + joints
    half = rng.uniform(0.1, 0.5, (50, 1))
    image = seen[..., :2] / seen[..., 2:] / half[..., None]
    hips, size = image[:, 0], pelvis[:, 2:] * half
    values = np.concatenate([joints[..., 2] / 0.3, 2.0 * np.log(size / 0.8), np.zeros((50, 34))], axis=-1)
    assert values.shape[1] == RAY_VALUES
    found = ray_joints_m(*(torch.from_numpy(a) for a in (values, image - hips[:, None], hips, half)))
    assert np.abs(found.numpy() - joints).max() < 1e-9


def test_joints_in_the_image_are_means_of_their_keypoints() -> None:
    batch = _batch(64)
    points = batch.frames[:, len(LONG_OFFSETS) // 2, :66].reshape(-1, 33, 2)
    image = np.einsum("bkd,kj->bjd", points, joint_image_map().numpy())
    scale = np.abs(batch.joints_m[:, 1:, :2]).sum((1, 2)) / np.abs(image[:, 1:]).sum((1, 2))
    off = np.linalg.norm(image * scale[:, None, None] - batch.joints_m[..., :2], axis=-1).mean(axis=0)
    assert off[[1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]].max() < 0.12  # perspective and what lies off the centre


def test_a_long_window_has_the_dense_frames_in_its_middle() -> None:
    middle = len(LONG_OFFSETS) // 2
    assert LONG_OFFSETS[middle - 13 : middle + 14] == DENSE_OFFSETS
    assert tuple(sorted(LONG_OFFSETS)) == LONG_OFFSETS
    assert LONG_OFFSETS[middle] == 0
    assert middle in TOKEN_FRAMES
    assert len(TOKEN_FRAMES) * 3 == len(LONG_OFFSETS)


def test_frames_outside_the_take_are_marked_and_the_truth_is_of_the_centre() -> None:
    batch = _batch(64)
    present = batch.frames[..., -1]
    assert 0.3 < present.mean() < 0.99
    assert present[:, len(LONG_OFFSETS) // 2].all()
    assert batch.window_joints_m is not None
    assert np.abs(batch.window_joints_m[:, len(LONG_OFFSETS) // 2] - batch.joints_m).max() < 2e-3
    assert (batch.frames[..., 66:99] == 1.0).all()
    assert (batch.context[:, 1] == 0.0).all()


def test_velocity_and_standing_feet_follow_the_track() -> None:
    track = np.zeros((1, len(LONG_OFFSETS), 17, 3), np.float32)
    track[:, :, :, 0] = np.asarray(LONG_OFFSETS)[:, None] / 30.0 * 1.5
    track[:, :, 6] = 0.4  # the left ankle stands
    motion = joint_motion(track)
    assert motion.velocity_m_s[0, 3] == pytest.approx([1.5, 0.0, 0.0], abs=1e-5)
    assert motion.standing.tolist() == [[0.0, 1.0]]


def test_an_untrained_tower_answers_in_the_shapes_it_names() -> None:
    batch = _batch(5)
    output = TemporalTower(_SIZES)(torch.from_numpy(batch.frames), torch.from_numpy(batch.context))
    assert output.embedding.shape == (5, 8)
    assert output.joints_m.shape == output.log_spread.shape == output.velocity_m_s.shape == (5, 17, 3)
    assert output.token_joints_m.shape == (5, len(TOKEN_FRAMES), 17, 3)
    assert output.standing.shape == (5, 2)
    assert (output.joints_m[:, 0] == 0).all()


@pytest.fixture(scope="module")
def trained(mocap, tmp_path_factory) -> Path:
    """A folder with a run's checkpoint."""
    folder = tmp_path_factory.mktemp("temporal") / "run"
    request = TrainRequest(mocap, folder, _SETTINGS, _SIZES, exact_keypoints=True, checkpoint_steps=40)
    done = run_training(request, lambda now, begun: None, lambda text: None)
    assert done.step == 120
    assert done.weights.layout is ImageLayout.TEMPORAL
    return folder


def test_a_run_learns_and_its_checkpoint_is_measured(trained, mocap) -> None:
    takes = read_library(mocap).training()
    towers = read_trained_towers(trained / "checkpoint.pt")
    assert towers.step == 120
    untrained = replace(towers, image=TemporalTower(_SIZES).eval())
    learned, before = (exact_keypoint_errors(takes, which, 200, 0) for which in (towers, untrained))
    assert learned.mpjpe_mm < 0.75 * before.mpjpe_mm
    assert learned.pa_mpjpe_mm < learned.mpjpe_mm
    assert 0.0 <= learned.within_30 <= 1.0


def test_a_run_goes_on_from_its_checkpoint(trained, mocap) -> None:
    told: list[str] = []
    request = TrainRequest(mocap, trained, replace(_SETTINGS, steps=125), _SIZES, exact_keypoints=True)
    assert run_training(request, lambda now, begun: None, told.append).step == 125
    assert told == ["going on at step 120"]


def test_checkpoints_of_the_other_tower_are_refused(trained, mocap) -> None:
    with pytest.raises(CheckpointError, match="another configuration"):
        run_training(TrainRequest(mocap, trained, _SETTINGS, TowerSizes()), lambda now, begun: None, print)


def test_a_run_writes_towers_that_a_run_begins_with(trained, mocap, tmp_path) -> None:
    towers = read_trained_towers(trained / "checkpoint.pt")
    batch = _batch(16)
    with torch.no_grad():
        expected = towers.image(torch.from_numpy(batch.frames), torch.from_numpy(batch.context)).joints_m.numpy()
    written = Towers(read_towers(trained / "towers.safetensors")).embed_images(batch)
    assert np.abs(written.joints_m - expected).max() < 2e-3
    told: list[str] = []
    request = TrainRequest(mocap, tmp_path, replace(_SETTINGS, steps=1), _SIZES, start=trained / "towers.safetensors")
    assert run_training(request, lambda now, begun: None, told.append).step == 1
    assert told == [f"beginning with the towers of {trained / 'towers.safetensors'}"]
    with pytest.raises(WeightsError, match="temporal image tower"):
        run_training(replace(request, output=tmp_path / "f", sizes=TowerSizes()), lambda now, begun: None, print)


def test_the_pose_tower_of_a_file_is_kept_and_scores_stay(trained, mocap, tmp_path) -> None:
    torch.manual_seed(5)
    other = PoseTower(_SIZES)
    layers = {name: other.get_submodule(name) for name in POSE_LAYERS}
    pose = {name: Dense(one.weight.detach().numpy().T, one.bias.detach().numpy()) for name, one in layers.items()}
    write_towers(replace(read_towers(trained / "towers.safetensors"), pose=pose), tmp_path / "other.safetensors")
    kept = read_towers(tmp_path / "other.safetensors")
    state = start_from(new_state(_SIZES, _SETTINGS), trained / "checkpoint.pt")
    before, batch = read_trained_towers(trained / "checkpoint.pt"), _batch(64)
    poses = torch.from_numpy(batch.pose_m)
    explained = keep_pose_tower(state, kept, poses.repeat(4, 1, 1) + 0.05 * torch.randn(256, 17, 3))
    assert 0.5 < explained <= 1.0
    seen = torch.from_numpy(batch.frames), torch.from_numpy(batch.context)
    with torch.no_grad():
        old = before.image(*seen).embedding @ before.pose(poses).T
        new = state.image_average.eval()(*seen).embedding @ state.pose_average(poses).T
    old, new = old - old.mean(1, keepdim=True), new - new.mean(1, keepdim=True)
    assert float((old * new).sum() / (old.norm() * new.norm())) > 0.8
    request = TrainRequest(
        mocap, tmp_path / "run", replace(_SETTINGS, steps=3), _SIZES, pose_tower=tmp_path / "other.safetensors"
    )
    assert run_training(request, lambda now, begun: None, lambda text: None).weights.pose_hash == kept.pose_hash


def test_the_command_measures_a_checkpoint(trained, mocap, capsys, monkeypatch) -> None:
    checkpoint = str(trained / "checkpoint.pt")
    assert main(["evaluate", "--exact-keypoints", checkpoint]) != 0
    assert "--mocap" in capsys.readouterr().err
    command = ["evaluate", "--mocap", str(mocap), "--exact-keypoints", checkpoint, "--windows", "64"]
    assert main(command) != 0
    assert "no take of these subjects" in capsys.readouterr().err
    monkeypatch.setattr("backend.datasets.library.HELD_OUT_SUBJECTS", (read_library(mocap).takes[0].subject,))
    assert main(command) == 0
    table = capsys.readouterr().out
    assert "held-out" in table
    assert "training" in table


def test_the_embedding_alone_is_trained_where_that_is_asked(trained, mocap, tmp_path) -> None:
    start = trained / "towers.safetensors"
    request = TrainRequest(mocap, tmp_path, replace(_SETTINGS, steps=3), _SIZES, start=start, only_embedding=True)
    after = run_training(request, lambda now, begun: None, lambda text: None).weights
    before = read_towers(start)
    for name, layer in before.image.items():
        same = np.allclose(after.image[name].weight, layer.weight, atol=1e-6)
        assert same is (name not in {"embed_hidden", "embed"}), name
    with pytest.raises(BadInputError, match="no towers"):
        run_training(replace(request, start=None, output=tmp_path / "new"), lambda now, begun: None, print)


def test_errors_of_frames_far_apart_correlate_less() -> None:
    time = np.array([0, 1, 7])
    noise = correlated(np.random.default_rng(0), (20_000, 3), 0.8, time)
    assert noise.std(axis=0) == pytest.approx([1.0, 1.0, 1.0], abs=0.02)
    assert np.corrcoef(noise.T)[0, 1:] == pytest.approx([0.8, 0.8**7], abs=0.02)


def test_windows_with_errors_lack_frames_as_short_clips_do() -> None:
    batch = _batch(400, exact_keypoints=False)
    present = batch.frames[..., -1] > 0.5
    middle = len(LONG_OFFSETS) // 2
    assert present[:, middle].all()
    assert 0.15 < present[:, [0, -1]].mean() < 0.9
    assert (np.abs(np.diff(present, axis=1)).sum(axis=1) <= 2).all()  # without gaps
    first = present.argmax(axis=1)
    assert (batch.frames[np.arange(400), 0, :66] == batch.frames[np.arange(400), first, :66]).all()
