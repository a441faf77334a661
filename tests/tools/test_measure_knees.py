"""The bend of knees: of made legs, on the shipped clip from the command line, and a model that does not fit."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.embedding.keypoints import H36M_NAMES
from backend.embedding.tower_weights import Dense, read_towers, write_towers
from tools.measure_knees import _bend_deg

_ROOT = Path(__file__).resolve().parents[2]


def _measure(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/measure_knees.py", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT, timeout=120)


@pytest.mark.parametrize("bend", [0.0, 12.5, 90.0])
def test_the_bend_is_the_angle_between_thigh_and_shin(bend: float) -> None:
    joints = np.zeros((1, 17, 3))
    turned = np.radians(bend)
    for side in "lr":
        joints[0, H36M_NAMES.index(f"{side}knee")] = (0.0, 0.4, 0.0)
        joints[0, H36M_NAMES.index(f"{side}ankle")] = (0.0, 0.4 + 0.4 * np.cos(turned), 0.4 * np.sin(turned))
    np.testing.assert_allclose(_bend_deg(joints, H36M_NAMES), [[bend, bend]], atol=1e-5)


def test_the_shipped_clip_is_measured() -> None:
    done = _measure("--video", "assets/demo_clip.mp4", "--frames", "30")
    found = re.fullmatch(r"demo_clip.mp4, person \d+: (\d+) degrees in (\d+) frames\n", done.stdout)
    assert found, done.stdout + done.stderr
    assert 0 < int(found[1]) < 40
    assert 8 <= int(found[2]) <= 30


def test_towers_that_do_not_fit_the_bank_are_named_without_a_traceback(tmp_path: Path) -> None:
    towers = read_towers(_ROOT / "backend" / "weights" / "towers.safetensors")
    pose = dict(towers.pose, first=Dense(towers.pose["first"].weight * 2, towers.pose["first"].bias))
    write_towers(replace(towers, pose=pose), tmp_path / "other.safetensors")
    done = _measure("--towers", str(tmp_path / "other.safetensors"))
    assert done.returncode == 1
    assert "was embedded by pose tower" in done.stderr
    assert "Traceback" not in done.stderr
