"""An inverted-file index on disk over a large bank: FAISS reads a few lists a query instead of the whole bank.

The search is approximate in which candidates it looks at and exact in their scores. Largest dot product is nearest
neighbour once every embedding carries one more coordinate that brings it to the same length (Neyshabur and Srebro,
2015), so that the lists are clusters in the plain sense.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bank.search import Hits, _check_bank, _check_query
from backend.errors import BadInputError, DeviceError, OutputError, WeightsError
from backend.types import Array

INDEX_FILE, LISTS_FILE, ABOUT_FILE = "index.faiss", "index.lists", "index.json"
_BLOCK = 262144
_SAMPLES_A_LIST = 40
_ROUNDS = 10
_EXTRA = 2  # the index keeps half precision: look at twice as many, then score exactly


def build_disk_index(
    embeddings: Array,
    folder: Path,
    lists: int | None = None,
    block: int = _BLOCK,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Index embeddings (N, E), in memory or mapped, block by block into `folder`. Raises BadInputError for an empty
    bank, DeviceError without FAISS, OutputError when the disk refuses.
    """
    faiss = _faiss()
    _check_bank(embeddings)
    count = max(1, min(lists or round(np.sqrt(len(embeddings))), len(embeddings)))
    longest = _longest(embeddings, block)
    rng = np.random.default_rng(0)
    sample = np.sort(rng.permutation(len(embeddings))[: _SAMPLES_A_LIST * count])
    index = _empty_index(faiss, embeddings.shape[1] + 1, count)
    index.train(_lifted(embeddings[sample], longest))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        blank = folder / "blank.faiss"
        faiss.write_index(index, str(blank))
        parts: list[Path] = []
        for start in range(0, len(embeddings), block):
            part = faiss.read_index(str(blank))
            rows = _lifted(embeddings[start : start + block], longest)
            part.add_with_ids(rows, np.arange(start, start + len(rows), dtype=np.int64))
            parts.append(folder / f"part_{len(parts):05d}.faiss")
            faiss.write_index(part, str(parts[-1]))
            progress(min(start + block, len(embeddings)), len(embeddings))
        _merge(faiss, index, parts, folder)
        about = {"candidates": len(embeddings), "dimensions": int(embeddings.shape[1]), "longest": longest}
        (folder / ABOUT_FILE).write_text(json.dumps({**about, "lists": count}), encoding="utf-8")
        for path in (blank, *parts):
            path.unlink()
    except (OSError, RuntimeError) as fault:  # FAISS reports a full disk as a RuntimeError
        raise OutputError(
            f"{folder} cannot be written ({fault})", "Free some space or choose another folder"
        ) from fault


def _empty_index(faiss: Any, dimensions: int, lists: int) -> Any:
    quantizer = faiss.IndexFlatL2(dimensions)
    index = faiss.IndexIVFScalarQuantizer(quantizer, dimensions, lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2)
    index.by_residual = False
    index.own_fields = True
    quantizer.this.disown()
    index.cp.niter = _ROUNDS
    index.cp.min_points_per_centroid = 1
    return index


def _merge(faiss: Any, index: Any, parts: list[Path], folder: Path) -> None:
    from faiss.contrib.ondisk import merge_ondisk

    merge_ondisk(index, [str(path) for path in parts], str(folder / LISTS_FILE))
    faiss.write_index(index, str(folder / INDEX_FILE))


class DiskSearcher:
    """The best candidates of a large bank through its index; `share` of the lists is read for each query."""

    def __init__(self, embeddings: Array, folder: Path, share: float = 0.08) -> None:
        faiss = _faiss()
        remedy = "Make it with `python -m backend bank index`"
        if not 0.0 < share <= 1.0:
            raise BadInputError(f"a share of {share} of the lists is not between 0 and 1")
        try:
            about = json.loads((folder / ABOUT_FILE).read_text(encoding="utf-8"))
            self._index = faiss.read_index(str(folder / INDEX_FILE), faiss.IO_FLAG_ONDISK_SAME_DIR)
        except (OSError, ValueError, RuntimeError) as fault:
            raise WeightsError(f"{folder} holds no complete index ({fault})", remedy) from fault
        if [about["candidates"], about["dimensions"]] != list(embeddings.shape):
            raise WeightsError(
                f"the index in {folder} is of {about['candidates']} x {about['dimensions']} embeddings, "
                f"the bank holds {embeddings.shape[0]} x {embeddings.shape[1]}",
                remedy,
            )
        self._embeddings, self._lists = embeddings, int(about["lists"])
        self._index.nprobe = max(1, round(share * self._lists))

    def search(self, queries: Array, count: int) -> Hits:
        """As `Searcher.search` says; near the best rather than the best, with exact scores. More lists are read where
        these hold fewer than `count` candidates.
        """
        _check_query(queries, count, self._embeddings)
        scores = np.empty((len(queries), count), np.float32)
        indices = np.empty((len(queries), count), np.intp)
        lifted = np.concatenate([queries, np.zeros_like(queries[:, :1])], axis=1).astype(np.float32)
        for row, found in enumerate(self._found(lifted, min(_EXTRA * count, len(self._embeddings)), count)):
            exact = self._embeddings[np.sort(found)].astype(np.float32) @ queries[row].astype(np.float32)
            order = np.argsort(-exact, kind="stable")[:count]
            scores[row], indices[row] = exact[order], np.sort(found)[order]
        return Hits(scores, indices)

    def _found(self, lifted: Array, wanted: int, least: int) -> list[NDArray[np.intp]]:
        probes = self._index.nprobe
        try:
            while True:
                _, indices = self._index.search(lifted, wanted)
                found = [row[row >= 0].astype(np.intp) for row in indices]
                if all(len(row) >= least for row in found):
                    return found
                self._index.nprobe = min(2 * self._index.nprobe, self._lists)
        finally:
            self._index.nprobe = probes


def _longest(embeddings: Array, block: int) -> float:
    squares = [
        float(np.square(embeddings[start : start + block].astype(np.float32)).sum(axis=1).max())
        for start in range(0, len(embeddings), block)
    ]
    return float(np.sqrt(max(squares)))


def _lifted(rows: Array, longest: float) -> Array:
    rows = np.asarray(rows, np.float32)
    rest = np.sqrt(np.maximum(longest**2 - np.square(rows).sum(axis=1, keepdims=True), 0.0))
    return np.ascontiguousarray(np.concatenate([rows, rest], axis=1), np.float32)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as fault:
        raise DeviceError("FAISS is not installed", "Install the `batch` extra") from fault
    return faiss
