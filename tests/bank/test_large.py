"""Banks larger than memory: built in blocks, opened without reading, searched through an index on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backend.bank.candidates import make_candidates
from backend.bank.large import HEADER_FILE, LargeSettings, build_large_bank, open_large_bank
from backend.bank.search import CpuSearcher
from backend.embedding.model_files import TOWERS_FILE, WEIGHTS_DIR
from backend.embedding.tower_weights import read_towers
from backend.embedding.towers_onnx import Towers
from backend.errors import BadInputError, WeightsError
from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import rotvec_to_quaternion

_REPOSITORY = Path(__file__).resolve().parents[2]


def _poses(count: int) -> np.ndarray:
    joints = len(canonical_body().joint_names)
    return rotvec_to_quaternion(np.random.default_rng(0).normal(0, 0.3, (count, joints, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def towers() -> Towers:
    return Towers(read_towers(WEIGHTS_DIR / TOWERS_FILE))


@pytest.fixture(scope="module")
def folder(towers, tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("large")
    settings = LargeSettings(size=4900, views=10, block=640)
    assert build_large_bank(_poses(500), towers, settings, where, {"mocap": "made"}) == 4900
    return where


def test_every_candidate_is_a_pose_seen_from_a_view_and_its_embedding(folder, towers):
    bank = open_large_bank(folder, towers.weights.pose_hash)
    assert len(bank) == 4900
    assert isinstance(bank.embeddings, np.memmap)
    rows = np.array([0, 63, 64, 650, 4899])
    joints = bank.candidates.joints_m(rows)
    assert np.allclose(towers.embed_poses(joints), bank.embeddings[rows], atol=0.05)
    whole = make_candidates(bank.candidates.rotations_wxyz[bank.candidates.pose[rows]], 1, _NO_VIEWS, _RNG)
    assert np.allclose(whole.pose_joints_m, bank.candidates.pose_joints_m[bank.candidates.pose[rows]], atol=1e-4)
    assert len(np.unique(bank.candidates.pose)) == 490


from backend.bank.candidates import ViewRange  # noqa: E402

_NO_VIEWS, _RNG = ViewRange(), np.random.default_rng(1)


def test_the_exact_searcher_works_on_the_mapped_file(folder):
    bank = open_large_bank(folder)
    queries = np.array(bank.embeddings[[5, 900]], np.float32)
    hits = CpuSearcher(bank.embeddings, block_rows=512).search(queries, 7)
    expected = np.argsort(-(queries @ np.array(bank.embeddings, np.float32).T), axis=1)[:, :7]
    assert (hits.indices == expected).mean() > 0.99


def test_unusable_folders_are_named(folder, tmp_path):
    with pytest.raises(WeightsError, match="not a complete large bank"):
        open_large_bank(tmp_path)
    with pytest.raises(WeightsError, match="the loaded tower is 0123"):
        open_large_bank(folder, "0123")
    header = json.loads((folder / HEADER_FILE).read_text())
    for name in ("rotations_wxyz", "pose_joints_m", "pose", "view_wxyz", "embeddings"):
        (tmp_path / f"{name}.npy").write_bytes((folder / f"{name}.npy").read_bytes())
    (tmp_path / HEADER_FILE).write_text(json.dumps({**header, "candidates": 5000}))
    with pytest.raises(WeightsError, match="not 5000"):
        open_large_bank(tmp_path)
    (tmp_path / "embeddings.npy").write_bytes((folder / "embeddings.npy").read_bytes()[:9000])
    with pytest.raises(WeightsError, match="not a complete large bank"):
        open_large_bank(tmp_path)


def test_nothing_to_build_from(towers, tmp_path):
    with pytest.raises(BadInputError, match="no poses"):
        build_large_bank(_poses(1)[:0], towers, LargeSettings(10, 2), tmp_path, {})


def _clustered(count: int, dimensions: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(60, dimensions)) * rng.uniform(0.5, 2.0, (60, 1))
    return (centers[rng.integers(0, 60, count)] + 0.4 * rng.normal(size=(count, dimensions))).astype(np.float16)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory) -> tuple[np.ndarray, Path]:
    pytest.importorskip("faiss")
    from backend.bank.disk_index import build_disk_index

    bank, where = _clustered(20000, 16, 3), tmp_path_factory.mktemp("index")
    build_disk_index(bank, where, block=3000)
    assert sorted(path.name for path in where.iterdir()) == ["index.faiss", "index.json", "index.lists"]
    return bank, where


def test_the_index_finds_what_the_exact_search_finds(indexed):
    from backend.bank.disk_index import DiskSearcher

    bank, where = indexed
    queries = _clustered(40, 16, 4).astype(np.float32)
    exact = CpuSearcher(bank).search(queries, 100)
    near = DiskSearcher(bank, where, share=0.2).search(queries, 100)
    shared = [len(np.intersect1d(a, b)) for a, b in zip(exact.indices, near.indices, strict=True)]
    assert np.mean(shared) / 100 > 0.9
    assert np.mean(exact.indices[:, 0] == near.indices[:, 0]) > 0.9
    best = np.take_along_axis(queries @ bank.astype(np.float32).T, near.indices, axis=1)
    assert np.allclose(near.scores, best, atol=1e-3), "scores are exact"
    assert (np.diff(near.scores, axis=1) <= 1e-6).all()
    whole = DiskSearcher(bank, where, share=1.0).search(queries, 100)
    shared = [len(np.intersect1d(a, b)) for a, b in zip(exact.indices, whole.indices, strict=True)]
    assert np.mean(shared) / 100 > 0.995


def test_the_index_moves_and_gives_more_than_its_lists_hold(indexed, tmp_path):
    from backend.bank.disk_index import DiskSearcher

    bank, where = indexed
    for path in where.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    hits = DiskSearcher(bank, tmp_path, share=0.001).search(bank[:2].astype(np.float32), 5000)
    assert hits.indices.shape == (2, 5000)
    assert len(np.unique(hits.indices[0])) == 5000


def test_an_index_of_another_bank_is_refused(indexed, tmp_path):
    from backend.bank.disk_index import DiskSearcher

    bank, where = indexed
    with pytest.raises(WeightsError, match="the bank holds 19999 x 16"):
        DiskSearcher(bank[:-1], where)
    with pytest.raises(WeightsError, match="no complete index"):
        DiskSearcher(bank, tmp_path)
    with pytest.raises(BadInputError, match="bank of 20000"):
        DiskSearcher(bank, where).search(bank[:1].astype(np.float32), 20001)


def test_the_commands_build_index_and_describe(tmp_path):
    pytest.importorskip("faiss")
    sys.path.insert(0, str(_REPOSITORY / "tests/training"))
    from conftest import write_bvh

    mocap = tmp_path / "mocap"
    mocap.mkdir()
    for seed in range(2):
        write_bvh(mocap / f"person{seed}.bvh", seed)

    def bank(*arguments: str) -> str:
        command = [sys.executable, "-m", "backend", "bank", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, cwd=_REPOSITORY, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    large = str(tmp_path / "large")
    assert "3000 candidates" in bank("build", "--large", "--mocap", str(mocap), "-o", large, "--size", "3000")
    assert "3000 candidates" in bank("index", "--bank", large)
    assert "index" in bank("info", "--bank", large)
