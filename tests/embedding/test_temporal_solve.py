"""The temporal image tower in a solve: its towers file, its windows of seconds, clips of any rate and length."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from backend.embedding.augmented_views import ALL_VIEWS, ONE_VIEW, embed_clip
from backend.embedding.features import tower_input
from backend.embedding.keypoints import MIRROR
from backend.embedding.model_files import TOWERS_FILE, WEIGHTS_DIR, ModelFiles
from backend.embedding.pose_model import PoseModel, PoseOptions, load_model
from backend.embedding.tower_weights import TowerWeights, read_towers, write_towers
from backend.embedding.towers_onnx import Towers
from backend.embedding.window_offsets import DENSE_OFFSETS, LONG_OFFSETS, ImageLayout
from backend.embedding.windows import TrackWindows, track_windows
from backend.errors import WeightsError
from backend.evaluation.real import _ablations
from backend.solving.video_pass import apart_at_cuts
from backend.types import Intrinsics, PersonTrack

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from backend.embedding.ray_values import RAY_VALUES, joints_along_rays_m  # noqa: E402
from backend.embedding.temporal_tower import (  # noqa: E402  # noqa: E402
    TemporalSizes,
    TemporalTower,
    joint_image_map,
    ray_joints_m,
    temporal_weights,
)
from backend.embedding.torch_runtime import torch_towers  # noqa: E402

_CAMERA = Intrinsics(np.array([[1000.0, 0, 640], [0, 1000.0, 360], [0, 0, 1]]), 1280, 720, "test")
_MIDDLE = len(LONG_OFFSETS) // 2


def _track(seconds: float, fps: float = 30.0, seed: int = 0) -> PersonTrack:
    """A figure of random proportions that drifts and swings, the same motion at any frame rate."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * fps)) / fps
    rest = rng.normal(0, 80, (33, 2)) + np.array([600, 300])
    phase, reach = rng.uniform(0, 6, (33, 2)), rng.uniform(0, 30, (33, 2))
    points = rest + reach * np.sin(2 * np.pi * 0.3 * times[:, None, None] + phase)
    guess = rng.normal(0, 0.3, (33, 3)) + 0.1 * np.sin(times)[:, None, None]
    count = len(times)
    flat = (np.zeros((count, 33)), np.full((count, 33), 0.9))
    return PersonTrack(0, np.arange(count), times, points, *flat, guess, np.ones(count), np.zeros((count, 4)))


def _lost(track: PersonTrack, rows: slice) -> PersonTrack:
    presence = track.presence.copy()
    presence[rows] = 0.0
    return replace(track, presence=presence)


def _tower() -> TemporalTower:
    torch.manual_seed(0)
    tower = TemporalTower(TemporalSizes(width=24, layers=2, mix=8, trunk=48, blocks=2, hidden=32)).eval()
    with torch.no_grad():
        for name, parameter in tower.named_parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # also the layers that begin at zero
            if name.endswith("norm.weight"):
                parameter.mul_(1.3)
    return tower


@pytest.fixture(scope="module")
def weights() -> TowerWeights:
    """A small temporal tower beside the shipped pose tower."""
    shipped = read_towers(WEIGHTS_DIR / TOWERS_FILE)
    return TowerWeights(temporal_weights(_tower()), shipped.pose, {"trained": "not at all"})


@pytest.fixture(scope="module")
def file(weights: TowerWeights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("towers") / "temporal.safetensors"
    write_towers(weights, path)
    return path


@pytest.fixture(scope="module")
def model(file: Path) -> PoseModel:
    return load_model(threads=1, files=ModelFiles(towers=file))


def test_a_file_keeps_the_layers_and_names_their_layout(weights: TowerWeights, file: Path) -> None:
    again = read_towers(file)
    assert again.layout is ImageLayout.TEMPORAL
    assert list(again.image) == list(weights.image)
    assert again.image_hash == weights.image_hash
    for name, layer in weights.image.items():
        assert np.allclose(again.image[name].weight, layer.weight, atol=2e-3)
    with safe_open(file, framework="numpy") as stored:
        assert stored.metadata()["layout"] == "temporal"
        assert stored.metadata()["version"] == "3"  # programs that know no temporal tower read version 2 only
    assert read_towers(WEIGHTS_DIR / TOWERS_FILE).pose_hash == again.pose_hash


def test_files_of_unknown_layouts_and_without_a_layer_are_refused(file: Path, tmp_path: Path) -> None:
    tensors = load_file(file)
    with safe_open(file, framework="numpy") as stored:
        header = stored.metadata()
    save_file(tensors, tmp_path / "other.safetensors", metadata=header | {"layout": "spiral"})
    with pytest.raises(WeightsError, match="version 3 spiral"):
        read_towers(tmp_path / "other.safetensors")
    del tensors["image.blocks.1.widen.weight"]
    save_file(tensors, tmp_path / "less.safetensors", metadata=header)
    with pytest.raises(WeightsError, match="damaged"):
        read_towers(tmp_path / "less.safetensors")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_onnx_torch_and_the_trained_tower_answer_alike(file: Path, device: str) -> None:
    seen = tower_input(track_windows(_track(2.0), _CAMERA, LONG_OFFSETS).rows(slice(0, 40)))
    weights = read_towers(file)
    own = Towers(weights, threads=1).embed_images(seen)
    embedding, _ = torch_towers(weights, device)[0](seen.frames, seen.context)
    assert np.abs(own.embedding - embedding).max() < 1e-4 * np.abs(embedding).max()
    there = Towers(weights, device, threads=1).embed_images(seen)
    assert np.abs(own.joints_m - there.joints_m).max() < 1e-4
    with torch.no_grad():
        trained = _tower()(torch.from_numpy(seen.frames), torch.from_numpy(seen.context))
    assert np.abs(own.joints_m - trained.joints_m.numpy()).max() < 5e-3  # the file is in half precision
    assert np.abs(np.log(own.error_m / 0.1) - trained.log_error.numpy()).max() < 2e-2
    assert np.abs(own.proportions - trained.proportions.numpy()).max() < 2e-2


def test_numpy_and_torch_mean_the_same_joints() -> None:
    rng = np.random.default_rng(1)
    values, frame = rng.normal(size=(20, RAY_VALUES)), rng.normal(size=(20, 135))
    half = rng.uniform(0.1, 0.5, (20, 1))
    found = joints_along_rays_m(values, frame, half)
    image = np.einsum("bkd,kj->bjd", frame[:, :66].reshape(20, 33, 2), joint_image_map().numpy())
    expected = ray_joints_m(*(torch.from_numpy(a) for a in (values, image, frame[:, 132:134], half)))
    assert np.abs(found - expected.numpy()).max() < 1e-5


def test_windows_reach_over_seconds_and_end_with_the_clip() -> None:
    track = _track(7.0)
    window = track_windows(track, _CAMERA, LONG_OFFSETS).rows(slice(0, 210))
    assert window.present[105].all()
    assert window.present[0].tolist() == [offset >= 0 for offset in LONG_OFFSETS]
    assert window.present[-1].tolist() == [offset <= 0 for offset in LONG_OFFSETS]
    points = (track.keypoints_px - [640, 360]) / 1000
    for place, offset in enumerate(LONG_OFFSETS):
        assert np.allclose(window.points[105, place], points[105 + offset], atol=1e-6)
    assert np.allclose(window.points[0, 0], points[0], atol=1e-6)  # absent frames repeat the nearest one


def test_a_frame_rate_changes_nothing_but_where_the_frames_lie() -> None:
    plain = track_windows(_track(7.0), _CAMERA, LONG_OFFSETS).rows(slice(90, 91))
    for fps, row in ((60.0, 180), (24.0, 72), (15.0, 45)):
        other = track_windows(_track(7.0, fps), _CAMERA, LONG_OFFSETS).rows(slice(row, row + 1))
        assert other.present.all()
        assert np.abs(other.points - plain.points).max() < 2e-3


def test_frames_behind_a_gap_are_absent() -> None:
    windows = track_windows(_lost(_track(7.0), slice(120, 150)), _CAMERA, LONG_OFFSETS)
    window = windows.rows(slice(100, 101))
    there = np.asarray(LONG_OFFSETS)[window.present[0]]
    assert there.max() <= 20
    assert there.min() == LONG_OFFSETS[0]
    short = track_windows(_lost(_track(7.0), slice(120, 126)), _CAMERA, LONG_OFFSETS)
    assert short.rows(slice(100, 101)).present.all()  # bridged


def test_blocks_of_windows_are_those_of_the_whole_clip() -> None:
    windows = track_windows(_lost(_track(7.0), slice(60, 80)), _CAMERA, LONG_OFFSETS)
    whole = windows.rows(slice(0, len(windows)))
    part = windows.rows(slice(50, 90))
    assert np.array_equal(part.points, whole.points[50:90])
    assert np.array_equal(part.present, whole.present[50:90])


def test_memory_does_not_grow_with_the_clip(model: PoseModel) -> None:
    def peak(seconds: float) -> int:
        windows = track_windows(_track(seconds), _CAMERA, LONG_OFFSETS)
        tracemalloc.start()
        embed_clip(model.towers, windows, ONE_VIEW)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    windows_bytes = 2048 * len(LONG_OFFSETS) * 33 * 6 * 4
    short = peak(32.0)
    assert peak(100.0) - short < 0.2 * windows_bytes
    assert short < 30e6, "few windows at once: the towers' own memory is several times theirs"


def test_a_clip_is_solved_with_its_ends_and_without_what_was_lost(model: PoseModel) -> None:
    for seconds, fps in ((3.0, 30.0), (2.0, 60.0), (0.04, 25.0)):
        solved = model.solve(_track(seconds, fps), _CAMERA)
        assert np.isfinite(solved.joints_camera_m).all()
    solved = model.solve(_lost(_track(3.0), slice(20, 50)), _CAMERA)
    assert np.isnan(solved.joints_camera_m[20:50]).all()
    assert np.isfinite(solved.joints_camera_m[[19, 50]]).all()


def test_a_cut_in_a_track_changes_nothing_before_it() -> None:
    """Whoever is found again after a cut goes on in the same track, elsewhere in the image and of another size."""
    shipped, one, frames = load_model(threads=1), _track(2.0), 60
    parts = {
        name: np.concatenate([getattr(one, name), getattr(one, name)])
        for name in ("keypoint_depth", "visibility", "world_m", "presence", "box_px")
    }
    points = np.concatenate([one.keypoints_px, 0.6 * one.keypoints_px[::-1] + [300, 100]])
    frame, cut = np.arange(2 * frames), (frames / 30.0,)
    track = PersonTrack(0, frame, frame / 30.0, points, **parts)
    alone, through, apart = (
        shipped.solve(each, _CAMERA).joints_camera_m[frames - 5 : frames]
        for each in (one, track, apart_at_cuts(track, cut))
    )
    far, near = (np.linalg.norm(joints - alone, axis=-1).mean() for joints in (through, apart))
    assert far > 0.1
    assert near < 0.2 * far  # proportions are those of the whole clip, and these points are nobody's
    told = [shipped.embed(each, _CAMERA, PoseOptions()).joints_m[:frames] for each in (one, apart_at_cuts(track, cut))]
    assert np.abs(told[1] - told[0]).max() < 1e-6


def test_a_mirrored_clip_is_the_mirror_image(model: PoseModel) -> None:
    track = _track(2.0)
    flipped = replace(
        track,
        keypoints_px=np.stack([1280 - track.keypoints_px[..., 0], track.keypoints_px[..., 1]], axis=-1)[:, MIRROR],
        world_m=(track.world_m * [-1, 1, 1])[:, MIRROR],
    )
    plain, mirror = (
        embed_clip(model.towers, track_windows(one, _CAMERA, LONG_OFFSETS), ALL_VIEWS) for one in (track, flipped)
    )
    from backend.embedding.keypoints import H36M_MIRROR

    assert np.abs(mirror.joints_m[:, H36M_MIRROR] * [-1, 1, 1] - plain.joints_m).max() < 1e-3


def test_the_folding_tower_still_sees_the_dense_frames() -> None:
    windows = track_windows(_track(2.0), _CAMERA)
    assert isinstance(windows, TrackWindows)
    assert windows.offsets == DENSE_OFFSETS
    window = windows.rows(slice(30, 31))
    assert window.points.shape[1] == len(DENSE_OFFSETS)
    assert LONG_OFFSETS[_MIDDLE - 13 : _MIDDLE + 14] == DENSE_OFFSETS


def test_the_temporal_tower_answers_beside_the_folding_one() -> None:
    """Joints, gravity and proportions are weighted means, rotations rotations; what is searched with is the folding
    tower's own embedding.
    """
    both, track = load_model(threads=1), _track(1.0)
    assert both.temporal is not None
    folding, mixed, temporal = (
        both.embed(track, _CAMERA, PoseOptions(temporal_share=share)) for share in (0.0, 0.7, 1.0)
    )
    assert np.abs(temporal.joints_m - folding.joints_m).max() > 1e-3
    for name in ("joints_m", "proportions"):
        expected = 0.3 * getattr(folding, name) + 0.7 * getattr(temporal, name)
        assert np.allclose(getattr(mixed, name), expected, atol=1e-6)
    assert np.allclose(np.swapaxes(mixed.turns, -1, -2) @ mixed.turns, np.eye(3), atol=1e-5)
    assert np.isclose(np.linalg.norm(mixed.gravity), 1.0)
    for one, other in zip(mixed.queries, folding.queries, strict=True):
        assert np.array_equal(one.embedding, other.embedding)


def test_towers_of_ones_own_answer_alone(model: PoseModel) -> None:
    own = load_model(threads=1, files=ModelFiles(towers=WEIGHTS_DIR / TOWERS_FILE))
    both = load_model(threads=1)
    assert own.temporal is None
    assert own.name != both.name
    assert own.name == both.without_temporal().name, "live capture, which asks the folding tower alone, says so"
    alone = {f"structured inference, {name} tower alone" for name in ("folding", "temporal")}
    assert alone <= _ablations(both).keys()
    assert not alone & _ablations(own).keys()
