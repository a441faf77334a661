"""The mean of image towers beside one pose tower."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.embedding.tower_weights import Dense, TowerWeights, read_towers, write_towers
from backend.errors import BadInputError
from tools.mean_towers import mean_towers

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shipped() -> TowerWeights:
    return read_towers(_ROOT / "backend" / "weights" / "towers.safetensors")


def _shifted(towers: TowerWeights, by: float) -> TowerWeights:
    image = {name: Dense(layer.weight + by, layer.bias - by) for name, layer in towers.image.items()}
    return replace(towers, image=image)


def test_every_layer_is_the_weighted_mean(shipped: TowerWeights) -> None:
    mean = mean_towers([shipped, _shifted(shipped, 1.0)], [0.75, 0.25])
    assert mean.pose_hash == shipped.pose_hash
    for name, layer in shipped.image.items():
        assert np.allclose(mean.image[name].weight, layer.weight + 0.25, atol=1e-6), name
        assert np.allclose(mean.image[name].bias, layer.bias - 0.25, atol=1e-6), name


def test_other_pose_towers_and_odd_weights_are_refused(shipped: TowerWeights) -> None:
    pose = dict(shipped.pose, first=Dense(shipped.pose["first"].weight * 2, shipped.pose["first"].bias))
    with pytest.raises(BadInputError, match="different pose towers"):
        mean_towers([shipped, replace(shipped, pose=pose)], [0.5, 0.5])
    with pytest.raises(BadInputError, match="weights"):
        mean_towers([shipped, shipped], [0.5, 0.6])


def test_the_command_writes_towers_that_read_back(shipped: TowerWeights, tmp_path: Path) -> None:
    write_towers(_shifted(shipped, 0.5), tmp_path / "other.safetensors")
    write_towers(shipped, tmp_path / "one.safetensors")
    command = [sys.executable, str(_ROOT / "tools" / "mean_towers.py"), "-o", "mean.safetensors"]
    done = subprocess.run(
        [*command, "one.safetensors", "other.safetensors"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    mean = read_towers(tmp_path / "mean.safetensors")
    assert np.abs(mean.image["last"].bias - shipped.image["last"].bias + 0.25).max() < 2e-3
    missing = subprocess.run([*command, "none.safetensors"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert missing.returncode != 0
    assert "none.safetensors is missing" in missing.stderr
