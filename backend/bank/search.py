"""Exact maximum-inner-product search: blocked matrix product with a running top-k. numpy; torch on CUDA; FAISS for
banks larger than memory. One interface, equal answers.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInputError, DeviceError
from backend.types import Array

_BLOCK_ROWS = 16384
_TORCH_BLOCK_ROWS = 1 << 18
_QUERY_ROWS = 64  # the same whatever the number of threads, so that every machine gives the same answer
_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Hits:
    """The best k candidates of each query, best first: scores (Q, k) and indices (Q, k)."""

    scores: Array
    indices: NDArray[np.intp]

    def best(self, count: int) -> Hits:
        """The best `count` candidates of each query."""
        return Hits(self.scores[:, :count], self.indices[:, :count])

    def rows(self, rows: slice | NDArray[np.intp]) -> Hits:
        """Some of the queries."""
        return Hits(self.scores[rows], self.indices[rows])


class Searcher(Protocol):
    """Finds the candidates with the largest dot product."""

    def search(self, queries: Array, count: int) -> Hits:
        """Best `count` of the bank for queries (Q, E). Raises BadInputError when count is not 1 to bank size."""


class CpuSearcher:
    """Exact search over embeddings (N, E) in memory, float16 or float32, block by block.

    A block's scores are compared with each query's k-th best so far; only the few that beat it are kept, so beyond
    the matrix product there is one comparison an element.
    """

    def __init__(self, embeddings: Array, block_rows: int = _BLOCK_ROWS) -> None:
        _check_bank(embeddings)
        self._embeddings = embeddings
        self._block_rows = block_rows

    def search(self, queries: Array, count: int) -> Hits:
        """As `Searcher.search` says."""
        _check_query(queries, count, self._embeddings)
        rows = [queries[at : at + _QUERY_ROWS] for at in range(0, len(queries), _QUERY_ROWS)]
        if len(rows) > 1:  # numpy lets go of the interpreter in the products
            with ThreadPoolExecutor(min(_THREADS, len(rows)), "search") as pool:
                parts = list(pool.map(lambda part: self._search(part, count), rows))
        else:
            parts = [self._search(part, count) for part in rows]
        if not parts:
            return Hits(np.zeros((0, count), np.float32), np.zeros((0, count), np.intp))
        return Hits(np.concatenate([p.scores for p in parts]), np.concatenate([p.indices for p in parts]))

    def _search(self, queries: Array, count: int) -> Hits:
        right = np.ascontiguousarray(queries.T, np.float32)
        best = _RunningBest(len(queries), count)
        scores = np.empty((self._block_rows, len(queries)), np.float32)
        for start in range(0, len(self._embeddings), self._block_rows):
            block = self._embeddings[start : start + self._block_rows].astype(np.float32, copy=False)
            out = np.matmul(block, right, out=scores[: len(block)])
            best.offer(out, start)
        return best.sorted()


class _RunningBest:
    """A pool of at least the k best of each query; emptied down to k when it fills."""

    def __init__(self, queries: int, count: int) -> None:
        self._count = count
        self._threshold = np.full(queries, -np.inf, np.float32)
        self._scores: list[list[Array]] = [[] for _ in range(queries)]
        self._indices: list[list[NDArray[np.intp]]] = [[] for _ in range(queries)]
        self._held = np.zeros(queries, np.intp)

    def offer(self, scores: Array, start: int) -> None:
        """Scores (rows, Q) of candidates start, start + 1, ..."""
        if start == 0 and len(scores) > self._count:
            self._begin(scores)
            return
        # by way of flat positions: finding them in two dimensions costs several times as much
        rows, columns = np.divmod(np.flatnonzero(scores >= self._threshold), scores.shape[1])
        order = np.argsort(columns, kind="stable")
        rows, columns = rows[order], columns[order]
        bounds = np.searchsorted(columns, np.arange(scores.shape[1] + 1))
        for query in np.flatnonzero(np.diff(bounds)):
            mine = rows[bounds[query] : bounds[query + 1]]
            self._scores[query].append(scores[mine, query])
            self._indices[query].append(mine + start)
            self._held[query] += len(mine)
            if self._held[query] >= 2 * self._count:
                self._shrink(int(query))

    def _begin(self, scores: Array) -> None:
        """The first block: everything would beat a threshold of minus infinity, so take its k best at once."""
        by_query = np.ascontiguousarray(scores.T)
        keep = np.argpartition(by_query, len(scores) - self._count, axis=1)[:, -self._count :]
        best = np.take_along_axis(by_query, keep, axis=1)
        for query in range(len(by_query)):
            self._scores[query], self._indices[query] = [best[query]], [keep[query]]
        self._held[:] = self._count
        self._threshold = best.min(axis=1)

    def _shrink(self, query: int) -> None:
        scores, indices = np.concatenate(self._scores[query]), np.concatenate(self._indices[query])
        keep = np.argpartition(-scores, self._count - 1)[: self._count]
        self._scores[query], self._indices[query] = [scores[keep]], [indices[keep]]
        self._held[query] = len(keep)
        self._threshold[query] = scores[keep].min()

    def sorted(self) -> Hits:
        scores = np.empty((len(self._scores), self._count), np.float32)
        indices = np.empty(scores.shape, np.intp)
        for query in range(len(self._scores)):
            own, where = np.concatenate(self._scores[query]), np.concatenate(self._indices[query])
            order = np.lexsort((where, -own))[: self._count]
            scores[query], indices[query] = own[order], where[order]
        return Hits(scores, indices)


class TorchSearcher:
    """Exact search over embeddings (N, E) that live on the device, in half precision with float32 products.

    Raises DeviceError where PyTorch is not installed.
    """

    def __init__(self, embeddings: Array, device: str) -> None:
        try:
            import torch
        except ImportError as fault:
            raise DeviceError(
                f"device {device} needs PyTorch, which is not installed", "Install the `gpu` extra or use cpu"
            ) from fault
        _check_bank(embeddings)
        self._torch = torch
        self._shape = embeddings
        self._bank = torch.from_numpy(np.ascontiguousarray(embeddings)).to(device)

    def search(self, queries: Array, count: int) -> Hits:
        """As `Searcher.search` says."""
        _check_query(queries, count, self._shape)
        torch = self._torch
        with torch.inference_mode():
            right = torch.from_numpy(np.ascontiguousarray(queries, np.float32)).to(self._bank.device)
            scores = torch.empty(len(queries), 0, device=right.device)
            indices = torch.empty(len(queries), 0, dtype=torch.long, device=right.device)
            for start in range(0, len(self._bank), _TORCH_BLOCK_ROWS):
                block = right @ self._bank[start : start + _TORCH_BLOCK_ROWS].float().T
                best, where = block.topk(min(count, block.shape[1]), dim=1)
                scores, keep = torch.cat([scores, best], 1).topk(min(count, scores.shape[1] + best.shape[1]), dim=1)
                indices = torch.cat([indices, where + start], 1).gather(1, keep)
        return Hits(scores.cpu().numpy(), indices.cpu().numpy().astype(np.intp))


class FaissSearcher:
    """The same exact search through FAISS, to compare with. Banks larger than memory: `disk_index.DiskSearcher`."""

    def __init__(self, embeddings: Array) -> None:
        try:
            import faiss
        except ImportError as fault:
            raise DeviceError("FAISS is not installed", "Install the `batch` extra") from fault
        _check_bank(embeddings)
        self._embeddings = embeddings
        self._index = faiss.IndexFlatIP(embeddings.shape[1])
        for start in range(0, len(embeddings), 262144):
            self._index.add(np.ascontiguousarray(embeddings[start : start + 262144], np.float32))

    def search(self, queries: Array, count: int) -> Hits:
        """As `Searcher.search` says."""
        _check_query(queries, count, self._embeddings)
        scores, indices = self._index.search(np.ascontiguousarray(queries, np.float32), count)
        return Hits(scores, indices.astype(np.intp))


def make_searcher(embeddings: Array, device: str = "cpu") -> Searcher:
    """The searcher for a device: 'cpu' or a torch CUDA device."""
    if device == "cpu":
        return CpuSearcher(embeddings)
    return TorchSearcher(embeddings, device)


def _check_bank(embeddings: Array) -> None:
    if embeddings.ndim != 2 or not len(embeddings):
        raise BadInputError(
            f"the bank is empty: embeddings have shape {embeddings.shape}", "Build it with `bank build`"
        )


def _check_query(queries: Array, count: int, embeddings: Array) -> None:
    if queries.ndim != 2 or queries.shape[1] != embeddings.shape[1]:
        raise BadInputError(
            f"queries of shape {queries.shape} do not fit embeddings of {embeddings.shape[1]} dimensions"
        )
    if not np.isfinite(queries).all():
        raise BadInputError(
            "a query embedding holds NaN or infinite values", "Check the landmarks that it was made from"
        )
    if not 1 <= count <= len(embeddings):
        raise BadInputError(
            f"{count} candidates were asked for from a bank of {len(embeddings)}",
            "Ask for fewer, or build a larger bank",
        )
