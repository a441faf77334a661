"""Measure how far joints turn in motion capture: `tools/build_joint_limits.py --mocap mocap/`.

Writes backend/embedding/joint_limits.json: for each joint the range of its local rotation vector's components in
degrees, left and right measured together, percentiles 0.2 and 99.8 of all frames of the training subjects.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from backend.datasets import read_library  # noqa: E402
from blender_addon.motion.body import canonical_body  # noqa: E402
from blender_addon.motion.mirroring import mirror_pose  # noqa: E402
from blender_addon.motion.rotations import quaternion_to_rotvec  # noqa: E402

OUTPUT = ROOT / "backend" / "embedding" / "joint_limits.json"


def main() -> None:
    """Read the mocap, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mocap", type=Path, required=True, help="folder of .bvh, or .amc with .asf")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args()
    turns = np.concatenate([take.rotations_wxyz for take in read_library(args.mocap).for_banks()]).astype(np.float64)
    turns = np.degrees(quaternion_to_rotvec(np.concatenate([turns, mirror_pose(turns)])))
    low, high = np.percentile(turns, 0.2, axis=0), np.percentile(turns, 99.8, axis=0)
    names = canonical_body().joint_names
    limits = {
        name: {"low_deg": [round(float(v), 1) for v in low[row]], "high_deg": [round(float(v), 1) for v in high[row]]}
        for row, name in enumerate(names)
        if row  # the pelvis turns as it likes
    }
    args.output.write_text(json.dumps({"frames": len(turns), "limits": limits}, indent=1) + "\n", encoding="utf-8")
    print(f"{args.output}: {len(limits)} joints from {len(turns)} frames")


if __name__ == "__main__":
    main()
