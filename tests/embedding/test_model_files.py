"""Towers and banks of the user's own: a file, a mapped folder, a folder with an index; what does not fit is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.bank.bank_file import PoseBank, read_bank, write_bank
from backend.bank.candidates import Candidates
from backend.bank.disk_index import DiskSearcher, build_disk_index
from backend.bank.large import LargeSettings, build_large_bank
from backend.bank.search import CpuSearcher
from backend.embedding import model_files
from backend.embedding.model_files import BANK_FILE, SHIPPED, TEMPORAL_FILE, TOWERS_FILE, WEIGHTS_DIR, ModelFiles
from backend.embedding.pose_model import load_model
from backend.embedding.tower_weights import TowerWeights, read_towers, write_towers
from backend.embedding.towers_onnx import Towers
from backend.errors import WeightsError


@pytest.fixture(scope="module")
def weights() -> TowerWeights:
    return read_towers(WEIGHTS_DIR / TOWERS_FILE)


@pytest.fixture(scope="module")
def bank() -> PoseBank:
    whole = read_bank(WEIGHTS_DIR / BANK_FILE)
    few = np.arange(0, len(whole), 400)
    poses, index = np.unique(whole.candidates.pose[few], return_inverse=True)
    candidates = Candidates(
        whole.candidates.rotations_wxyz[poses],
        whole.candidates.pose_joints_m[poses],
        index,
        whole.candidates.view_wxyz[few],
    )
    return PoseBank(candidates, whole.embeddings[few], whole.tower_hash, {"mocap": "every 400th of the shipped"})


@pytest.fixture(scope="module")
def folder(weights: TowerWeights, bank: PoseBank, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("large")
    build_large_bank(bank.candidates.rotations_wxyz[:200], Towers(weights), LargeSettings(1000, 5), where, {})
    return where


def test_a_small_bank_of_ones_own_answers(bank: PoseBank, tmp_path: Path) -> None:
    write_bank(bank, tmp_path / "mine.safetensors")
    model = load_model(files=ModelFiles(bank=tmp_path / "mine.safetensors"))
    assert model.name == load_model().name.replace("-320000", f"-{len(bank)}")
    hits = model.searcher.search(bank.embeddings[:3], 5)
    np.testing.assert_array_equal(hits.indices[:, 0], (bank.embeddings[:3] @ bank.embeddings.T).argmax(axis=1))


def test_a_large_bank_is_searched_in_blocks_and_by_its_index_where_it_has_one(folder: Path) -> None:
    model = load_model(files=ModelFiles(bank=folder))
    assert (type(model.searcher), len(model.bank)) == (CpuSearcher, 1000)
    pytest.importorskip("faiss")
    build_disk_index(model.bank.embeddings, folder, lists=4)
    assert type(load_model(files=ModelFiles(bank=folder)).searcher) is DiskSearcher


def test_towers_of_ones_own_go_with_the_shipped_bank_while_the_pose_tower_stays(
    weights: TowerWeights, tmp_path: Path
) -> None:
    image = {name: replace(layer, weight=layer.weight * 1.01) for name, layer in weights.image.items()}
    write_towers(replace(weights, image=image), tmp_path / "towers.safetensors")
    model = load_model(files=ModelFiles(towers=tmp_path / "towers.safetensors"))
    assert model.towers.weights.pose_hash == weights.pose_hash
    assert model.name != load_model().name


def test_a_missing_or_damaged_temporal_tower_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ModelFiles(WEIGHTS_DIR / TOWERS_FILE, WEIGHTS_DIR / BANK_FILE)
    for name in (TOWERS_FILE, BANK_FILE):
        (tmp_path / name).symlink_to(WEIGHTS_DIR / name)
    whole = (WEIGHTS_DIR / TEMPORAL_FILE).read_bytes()
    monkeypatch.setattr(model_files, "WEIGHTS_DIR", tmp_path)
    with pytest.raises(WeightsError, match=rf"{TEMPORAL_FILE} is missing"):
        load_model()
    (tmp_path / TEMPORAL_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=rf"{TEMPORAL_FILE} is damaged"):
        load_model()
    assert own.read_temporal() is None


def test_what_does_not_fit_is_refused_before_anything_is_solved(
    weights: TowerWeights, folder: Path, tmp_path: Path
) -> None:
    SHIPPED.check()
    ModelFiles(bank=folder).check()
    pose = {name: replace(layer, weight=layer.weight * 1.01) for name, layer in weights.pose.items()}
    other = tmp_path / "other.safetensors"
    write_towers(replace(weights, pose=pose), other)
    for files in (ModelFiles(other), ModelFiles(other, folder)):
        with pytest.raises(WeightsError, match="was embedded by pose tower"):
            files.check()
    for files in (ModelFiles(tmp_path / "none"), ModelFiles(bank=tmp_path / "none"), ModelFiles(bank=tmp_path)):
        with pytest.raises(WeightsError, match=r"none|not a complete large bank"):
            files.check()
