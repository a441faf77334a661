"""How far joints turn in motion capture: the range that structured inference holds them to. numpy only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from backend.types import Array
from blender_addon.motion.body import canonical_body

_FILE = Path(__file__).with_name("joint_limits.json")


@dataclass(frozen=True, slots=True)
class JointLimits:
    """low and high (J, 3) rad of each joint's local rotation vector; the pelvis has none."""

    low: Array
    high: Array

    def excess(self, turns: Array) -> Array:
        """How far local rotation vectors (T, J, 3) lie outside, component by component, zero inside."""
        return turns - np.clip(turns, self.low, self.high)


@cache
def joint_limits(slack_deg: float = 5.0) -> JointLimits:
    """The measured limits (tools/build_joint_limits.py), widened by `slack_deg`."""
    record = json.loads(_FILE.read_text(encoding="utf-8"))["limits"]
    free = [-1e3, -1e3, -1e3], [1e3, 1e3, 1e3]
    rows = [
        (record[name]["low_deg"], record[name]["high_deg"]) if name in record else free
        for name in canonical_body().joint_names
    ]
    low, high = (np.radians(np.array(side, np.float64)) for side in zip(*rows, strict=True))
    slack = np.radians(slack_deg)
    return JointLimits((low - slack).astype(np.float32), (high + slack).astype(np.float32))
