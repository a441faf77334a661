"""What a bank can reach, whole and by parts, against brute force."""

from __future__ import annotations

import numpy as np

from backend.embedding.pose_model import load_model
from backend.evaluation.simulated import nearest_in_bank


def test_nearest_pose_and_nearest_parts():
    bank = load_model().bank
    candidates = bank.candidates
    rng = np.random.default_rng(0)
    part = type(bank)(
        type(candidates)(
            candidates.rotations_wxyz, candidates.pose_joints_m, candidates.pose[:900], candidates.view_wxyz[:900]
        ),
        bank.embeddings[:900],
        bank.tower_hash,
        bank.provenance,
    )
    held = candidates.joints_m(rng.integers(1000, len(bank), 30))
    every = part.candidates.joints_m()
    brute = np.linalg.norm(held[:, None] - every, axis=-1).mean(-1).min(axis=1).mean() * 1000
    reach = nearest_in_bank(held, part, block=250)
    assert abs(reach.whole_mm - brute) < 0.05
    assert reach.by_parts_mm < 0.8 * reach.whole_mm
    assert nearest_in_bank(every[:20], part).by_parts_mm < 0.01
