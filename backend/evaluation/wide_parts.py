"""Retrieval by parts at full length: what retrieval alone can reach, at about eight times the time of a solve's."""

from __future__ import annotations

from backend.embedding.part_retrieval import PartSettings

WIDE_HITS = 4000
WIDE_PARTS = PartSettings(candidates=400, sweeps=2)
WIDE_NAME = f"by parts, {WIDE_PARTS.candidates} of {WIDE_HITS:,} hits"
