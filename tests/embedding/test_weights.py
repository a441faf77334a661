"""The towers' file and the shipped weights: refusals, equal runtimes, and accuracy on a simulated clip."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backend.bank.bank_file import read_bank, write_bank
from backend.embedding.features import CONTEXT_FEATURES, FRAME_FEATURES, WINDOW, TowerInput, pose_features
from backend.embedding.model_files import BANK_FILE, TOWERS_FILE, WEIGHTS_DIR
from backend.embedding.pose_model import PoseModel, PoseOptions, load_model
from backend.embedding.skeleton import make_skeleton, pose_skeleton
from backend.embedding.tower_weights import read_towers
from backend.embedding.towers_onnx import Towers
from backend.errors import NoPersonError, WeightsError
from backend.types import Intrinsics, PersonTrack
from blender_addon.motion.body import BodyShape, canonical_body
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion

_TOWERS = WEIGHTS_DIR / TOWERS_FILE
_BANK = WEIGHTS_DIR / BANK_FILE


@pytest.fixture(scope="module")
def model() -> PoseModel:
    return load_model(threads=1)


def _walker(frames: int = 60) -> tuple[PersonTrack, Intrinsics, np.ndarray]:
    """A walking figure of canonical size seen by a known camera, landmarks without error, and its joints (T, 17, 3)."""
    body = canonical_body()
    swing = np.sin(np.arange(frames) / 30 * 2 * np.pi)
    turn = np.zeros((frames, len(body.joint_names), 3))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        turn[:, body.joint_index(f"{side}_hip"), 0] = -0.5 * sign * swing
        turn[:, body.joint_index(f"{side}_knee"), 0] = 0.35 + 0.3 * sign * swing
        turn[:, body.joint_index(f"{side}_shoulder"), 1] = sign * 1.2
        turn[:, body.joint_index(f"{side}_elbow"), 2] = -sign * 0.5
    local = quaternion_to_matrix(rotvec_to_quaternion(turn)).astype(np.float32)
    heading = quaternion_to_matrix(rotvec_to_quaternion(np.array([0.0, 0.0, 0.7])))
    local[:, 0] = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]) @ heading @ local[:, 0]
    pose = pose_skeleton(
        make_skeleton(BodyShape(1.70, np.ones(len(body.joint_names)))), local, np.tile([0.3, 0.0, 4.0], (frames, 1))
    )
    matrix = np.array([[1200.0, 0, 640], [0, 1200.0, 360], [0, 0, 1]])
    pixels = pose.landmarks_m @ matrix.T
    track = PersonTrack(
        0,
        np.arange(frames),
        np.arange(frames) / 30,
        pixels[..., :2] / pixels[..., 2:],
        np.zeros((frames, 33)),
        np.full((frames, 33), 0.97),
        pose.landmarks_m - pose.joints_m[:, :1],
        np.ones(frames),
        np.zeros((frames, 4)),
    )
    return track, Intrinsics(matrix, 1280, 720, "test"), pose.centres_m


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_onnx_and_torch_give_the_same_embedding(device: str) -> None:
    pytest.importorskip("torch")
    from backend.embedding.torch_runtime import torch_towers

    weights = read_towers(_TOWERS)
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(16, WINDOW, FRAME_FEATURES)).astype(np.float32)
    context = rng.normal(size=(16, CONTEXT_FEATURES)).astype(np.float32)
    embedding, _ = torch_towers(weights, device)[0](frames, context)
    own = Towers(weights).embed_images(TowerInput(frames, context, np.eye(3), np.ones(1))).embedding
    assert np.abs(own - embedding).max() < 1e-3 * np.abs(embedding).max()
    joints = rng.normal(size=(16, 17, 3)).astype(np.float32)
    poses = torch_towers(weights, device)[1](pose_features(joints))
    assert np.abs(Towers(weights).embed_poses(joints) - poses).max() < 1e-3 * np.abs(poses).max()


def test_shipped_files_are_small_and_load_quickly() -> None:
    sizes = {path.stem: path.stat().st_size for path in WEIGHTS_DIR.glob("*.safetensors")}
    assert sizes["towers"] + sizes["temporal_tower"] + sizes["bank"] < 100e6
    assert sum(sizes.values()) < 115e6, "with the networks of bodies, hands and faces"
    started = time.process_time()
    load_model()
    assert time.process_time() - started < 4.0  # 2 s of wall clock on an idle machine; benchmarks measure that


def test_shipped_bank_belongs_to_the_shipped_towers_and_holds_valid_embeddings(model: PoseModel) -> None:
    rows = np.arange(0, len(model.bank), len(model.bank) // 50)
    again = model.towers.embed_poses(model.bank.candidates.joints_m(rows))
    assert np.abs(again - model.bank.embeddings[rows].astype(np.float32)).max() < 0.02 * np.abs(again).max()


def test_a_walker_is_solved(model: PoseModel) -> None:
    track, camera, truth = _walker()
    solved = model.solve(track, camera)
    error = np.linalg.norm(
        solved.joints_camera_m - solved.joints_camera_m[:, :1] - truth + truth[:, :1], axis=-1
    ).mean()
    assert error < 0.08
    assert np.abs(solved.root_camera_m[:, 2] - 4.0).mean() < 0.5
    assert np.degrees(np.arccos(solved.gravity_camera @ [0, 1, 0])) < 20
    assert np.allclose(np.linalg.norm(solved.rotations_wxyz, axis=-1), 1.0, atol=1e-5)


def test_jitter_of_keypoints_does_not_reach_the_motion(model: PoseModel) -> None:
    track, camera, truth = _walker()
    jitter = np.random.default_rng(3).normal(0.0, 3.0, track.keypoints_px.shape)
    track = replace(track, keypoints_px=track.keypoints_px + jitter)

    def error_and_acceleration(options: PoseOptions) -> tuple[float, float]:
        off = model.solve(track, camera, options).joints_camera_m - truth
        off -= off[:, :1]
        second = off[2:] - 2 * off[1:-1] + off[:-2]
        return np.linalg.norm(off, axis=-1).mean(), np.linalg.norm(second, axis=-1).mean()

    error, acceleration = error_and_acceleration(PoseOptions())
    raw_error, raw_acceleration = error_and_acceleration(PoseOptions(path_s=0.0))
    assert acceleration < 0.75 * raw_acceleration
    assert error < raw_error


def test_taller_person_stands_farther_away(model: PoseModel) -> None:
    track, camera, _ = _walker(20)
    near, far = (model.solve(track, camera, PoseOptions(height_m=height)) for height in (1.5, 1.9))
    ratio = far.root_camera_m[:, 2].mean() / near.root_camera_m[:, 2].mean()
    assert ratio == pytest.approx(1.9 / 1.5, rel=0.02)


def test_lost_frames_hold_nan_and_no_confidence(model: PoseModel) -> None:
    track, camera, _ = _walker(40)
    keypoints, presence = track.keypoints_px.copy(), track.presence.copy()
    keypoints[10:20], presence[10:20] = np.nan, 0.0
    solved = model.solve(replace(track, keypoints_px=keypoints, presence=presence), camera)
    assert np.isnan(solved.joints_camera_m[10:20]).all()
    assert (solved.confidence[10:20] == 0).all()
    assert np.isfinite(solved.joints_camera_m[[9, 20]]).all()
    with pytest.raises(NoPersonError):
        model.solve(replace(track, presence=np.zeros(40)), camera)


def test_one_frame_is_enough(model: PoseModel) -> None:
    track, camera, _ = _walker(1)
    assert np.isfinite(model.solve(track, camera).joints_camera_m).all()


@pytest.mark.parametrize("reader", [read_towers, read_bank])
def test_missing_truncated_and_foreign_files_are_named(tmp_path: Path, reader) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(WeightsError, match="missing"):
        reader(tmp_path / "none.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(_TOWERS.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="damaged"):
        reader(cut)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": np.zeros(3)}, foreign)
    with pytest.raises(WeightsError, match="no Marionet"):
        reader(foreign)


def test_nan_weights_are_refused(tmp_path: Path) -> None:
    from safetensors import safe_open

    tensors = load_file(_TOWERS)
    with safe_open(_TOWERS, framework="numpy") as file:
        header = file.metadata()
    tensors["image.entry.weight"][0, 0] = np.nan
    save_file(tensors, tmp_path / "nan.safetensors", metadata=header)
    with pytest.raises(WeightsError, match="NaN"):
        read_towers(tmp_path / "nan.safetensors")


def test_bank_of_another_tower_and_empty_bank_are_refused(tmp_path: Path, model: PoseModel) -> None:
    few = replace(
        model.bank.candidates, pose=model.bank.candidates.pose[:10], view_wxyz=model.bank.candidates.view_wxyz[:10]
    )
    path = tmp_path / "bank.safetensors"
    write_bank(replace(model.bank, candidates=few, embeddings=model.bank.embeddings[:10]), path)
    again = read_bank(path, model.bank.tower_hash)
    assert np.allclose(again.candidates.joints_m(), few.joints_m(), atol=2e-3)
    with pytest.raises(WeightsError, match="embedded by pose tower"):
        read_bank(path, "another")
    none = replace(few, pose=few.pose[:0], view_wxyz=few.view_wxyz[:0])
    write_bank(replace(model.bank, candidates=none, embeddings=model.bank.embeddings[:0]), path)
    with pytest.raises(WeightsError, match="no candidates"):
        read_bank(path)


def test_a_model_is_named_by_both_towers(model: PoseModel) -> None:
    """An image tower trained on beside the same pose tower may use its bank, but is another model."""
    weights = model.towers.weights
    last = weights.image["auxiliary"]
    image = weights.image | {"auxiliary": replace(last, bias=last.bias + 1.0)}
    other = replace(weights, image=image)
    assert other.pose_hash == weights.pose_hash
    assert other.image_hash != weights.image_hash
    assert weights.image_hash[:8] in model.name
    assert weights.pose_hash in model.name
    assert PoseModel(Towers(other), model.bank, model.searcher).name != model.name
