"""A bank comes back from its file: poses to a fraction of a millimetre, scores to the levels they are stored on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.bank.bank_file import PoseBank, read_bank, write_bank
from backend.bank.candidates import ViewRange, make_candidates
from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import rotvec_to_quaternion


def _bank() -> PoseBank:
    rng = np.random.default_rng(0)
    turns = rng.normal(0, 0.5, (300, len(canonical_body().joint_names), 3))
    candidates = make_candidates(rotvec_to_quaternion(turns), 5, ViewRange(), rng)
    return PoseBank(candidates, rng.normal(0, 2, (len(candidates), 16)).astype(np.float32), "tower", {"licence": "x"})


def test_poses_survive_the_file(tmp_path: Path) -> None:
    bank = _bank()
    write_bank(bank, tmp_path / "bank.safetensors")
    again = read_bank(tmp_path / "bank.safetensors", "tower")
    assert np.abs(again.candidates.joints_m() - bank.candidates.joints_m()).max() < 5e-4
    assert np.array_equal(again.candidates.pose, bank.candidates.pose)
    assert again.provenance == bank.provenance


def test_embeddings_come_back_on_their_levels(tmp_path: Path) -> None:
    bank = _bank()
    write_bank(bank, tmp_path / "bank.safetensors")
    again = read_bank(tmp_path / "bank.safetensors")
    level = np.abs(bank.embeddings).max(axis=0) / 127
    assert (np.abs(again.embeddings - bank.embeddings) <= 0.51 * level).all()
    write_bank(again, tmp_path / "second.safetensors")
    assert np.abs(read_bank(tmp_path / "second.safetensors").embeddings - again.embeddings).max() < 1e-5
