"""Exact search against the bare matrix product and FAISS, on the same data and threads, in the same run.

    python benchmarks/search.py                       # 1 M x 1024, k = 500, 64 queries
    python benchmarks/search.py --rows 200000 --dimensions 64 --queries 100
    python benchmarks/search.py --device cuda

Prints seconds (median of the repeats) and ratios; memory is the search's own growth over the bank's size.
"""

from __future__ import annotations

import argparse
import logging
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.bank.search import CpuSearcher, make_searcher
from benchmarks.outcome import CANNOT_RUN

log = logging.getLogger("search")


def _median_s(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _has(device: str) -> bool:
    try:
        import torch
    except ImportError:
        return False
    return device.startswith("cuda") and torch.cuda.is_available()


def _bare_product(bank: np.ndarray, queries: np.ndarray, device: str) -> Callable[[], object]:
    """The matrix product alone, on the same device, with the data there already."""
    if device == "cpu":
        return lambda: bank @ queries.T
    import torch

    left, right = torch.from_numpy(bank).to(device), torch.from_numpy(queries).to(device).T

    def product() -> object:
        out = left @ right
        torch.cuda.synchronize(device)
        return out

    return product


def _peak_bytes(device: str) -> int:
    if device != "cpu":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--without-faiss", action="store_true")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if args.device != "cpu" and not _has(args.device):
        log.error("NOT RUN: there is no device %s here, so nothing was measured on a GPU", args.device)
        return CANNOT_RUN
    rng = np.random.default_rng(0)
    bank = np.empty((args.rows, args.dimensions), np.float32)
    for start in range(0, args.rows, 65536):
        bank[start : start + 65536] = rng.standard_normal((min(65536, args.rows - start), args.dimensions), np.float32)
    queries = rng.standard_normal((args.queries, args.dimensions), np.float32)
    searcher = CpuSearcher(bank) if args.device == "cpu" else make_searcher(bank, args.device)
    before = _peak_bytes(args.device)
    own = _median_s(lambda: searcher.search(queries, args.count), args.repeats)
    grown = _peak_bytes(args.device) - before
    product = _median_s(_bare_product(bank, queries, args.device), args.repeats)
    log.info(
        "| %d x %d, %d queries, k = %d, %s | seconds | ratio |", *bank.shape, args.queries, args.count, args.device
    )
    log.info("|---|---|---|")
    log.info("| bare matrix product | %.5f | 1.00 |", product)
    log.info("| Marionet, exact | %.5f | %.2f |", own, own / product)
    if not args.without_faiss:
        import faiss

        index = faiss.IndexFlatIP(args.dimensions)
        index.add(bank)
        other = _median_s(lambda: index.search(queries, args.count), args.repeats)
        log.info("| FAISS IndexFlatIP, %d threads | %.5f | %.2f |", faiss.omp_get_max_threads(), other, other / product)
    log.info("\nmemory of the search beyond the bank: %.1f %% of it", 100 * grown / bank.nbytes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
