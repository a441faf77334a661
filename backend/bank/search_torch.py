"""Blocked search with running top-k in torch, for CUDA. Import only where torch is installed."""

from __future__ import annotations

import numpy as np
import torch

from backend.bank.search import Hits, _check_query
from backend.types import Array

_BLOCK_ROWS = 1 << 18


class TorchSearcher:
    """Exact search over embeddings (N, E) that live on the device, in half precision with float32 products."""

    def __init__(self, embeddings: Array, device: str) -> None:
        self._shape = embeddings
        self._bank = torch.from_numpy(np.ascontiguousarray(embeddings)).to(device)

    def search(self, queries: Array, count: int) -> Hits:
        """As `Searcher.search` says."""
        _check_query(queries, count, self._shape)
        with torch.inference_mode():
            right = torch.from_numpy(np.ascontiguousarray(queries, np.float32)).to(self._bank.device)
            scores = torch.empty(len(queries), 0, device=right.device)
            indices = torch.empty(len(queries), 0, dtype=torch.long, device=right.device)
            for start in range(0, len(self._bank), _BLOCK_ROWS):
                block = right @ self._bank[start : start + _BLOCK_ROWS].float().T
                best, where = block.topk(min(count, block.shape[1]), dim=1)
                scores, keep = torch.cat([scores, best], 1).topk(min(count, scores.shape[1] + best.shape[1]), dim=1)
                indices = torch.cat([indices, where + start], 1).gather(1, keep)
        return Hits(scores.cpu().numpy(), indices.cpu().numpy().astype(np.intp))
