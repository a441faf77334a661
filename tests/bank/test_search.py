"""Exact search against brute force, and its refusals."""

from __future__ import annotations

import numpy as np
import pytest

from backend.bank.search import CpuSearcher, FaissSearcher, make_searcher
from backend.errors import BadInputError


def _brute(bank: np.ndarray, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    scores = queries.astype(np.float32) @ bank.astype(np.float32).T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(scores, order, axis=1), order


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("count", [1, 7, 500])
def test_equals_brute_force_over_many_blocks(dtype: type, count: int) -> None:
    rng = np.random.default_rng(1)
    bank, queries = rng.normal(size=(5000, 24)).astype(dtype), rng.normal(size=(9, 24)).astype(np.float32)
    scores, order = _brute(bank, queries, count)
    hits = CpuSearcher(bank, block_rows=257).search(queries, count)
    assert np.allclose(hits.scores, scores, atol=1e-4)
    assert (hits.indices == order).mean() > 0.999  # equal scores may swap


def test_ascending_bank_is_the_worst_case_and_still_exact() -> None:
    bank = np.arange(1, 4001, dtype=np.float32)[:, None]
    hits = CpuSearcher(bank, block_rows=100).search(np.ones((2, 1), np.float32), 5)
    assert hits.indices.tolist() == [[3999, 3998, 3997, 3996, 3995]] * 2


def test_whole_bank_and_no_queries() -> None:
    bank = np.eye(4, dtype=np.float32)
    assert sorted(CpuSearcher(bank).search(bank[:1], 4).indices[0].tolist()) == [0, 1, 2, 3]
    assert CpuSearcher(bank).search(np.zeros((0, 4), np.float32), 2).indices.shape == (0, 2)


def test_faiss_gives_the_same_answer() -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(2)
    bank, queries = rng.normal(size=(3000, 16)).astype(np.float32), rng.normal(size=(5, 16)).astype(np.float32)
    ours, theirs = CpuSearcher(bank).search(queries, 20), FaissSearcher(bank).search(queries, 20)
    assert (ours.indices == theirs.indices).all()


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_torch_gives_the_same_answer(device: str) -> None:
    pytest.importorskip("torch")
    from backend.bank.search import TorchSearcher

    rng = np.random.default_rng(3)
    bank, queries = rng.normal(size=(3000, 16)).astype(np.float16), rng.normal(size=(5, 16)).astype(np.float32)
    ours, theirs = CpuSearcher(bank).search(queries, 20), TorchSearcher(bank, device).search(queries, 20)
    assert np.allclose(ours.scores, theirs.scores, atol=1e-4)


@pytest.mark.parametrize(
    ("bank", "queries", "count", "words"),
    [
        (np.zeros((0, 8), np.float32), np.zeros((1, 8)), 1, "empty"),
        (np.zeros((5, 8), np.float32), np.zeros((1, 8)), 6, "bank of 5"),
        (np.zeros((5, 8), np.float32), np.zeros((1, 8)), 0, "bank of 5"),
        (np.zeros((5, 8), np.float32), np.zeros((1, 9)), 1, "dimensions"),
        (np.zeros((5, 8), np.float32), np.full((1, 8), np.nan), 1, "NaN"),
    ],
)
def test_refusals_name_the_value(bank: np.ndarray, queries: np.ndarray, count: int, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        make_searcher(bank).search(queries.astype(np.float32), count)
