"""Measure the canonical body's joints and sites on the CC0 MakeHuman body and write them into its file.

Run from the repository's root with the extra `train` installed: `python tools/build_canonical_body.py`.
The body is the mean of the average adult man and woman, in the T-pose, scaled to the file's height, made symmetric.
Only the numbers of `skeleton_maps/canonical_body.json` change; names, order and layout stay.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.synthesis.body_model import BODY_VERTICES, Phenotype, body_model, rest_body
from backend.synthesis.posing import pose_body, poseable_body, skin_vertices

BODY_FILE = Path(__file__).resolve().parents[1] / "skeleton_maps" / "canonical_body.json"
_DECIMALS = 4


def main() -> int:
    """Measure, symmetrise, write."""
    text = BODY_FILE.read_text(encoding="utf-8")
    record = json.loads(text)
    points: dict[str, list[NDArray[np.float64]]] = {"joints": [], "sites": []}
    for gender in (0.0, 1.0):
        joints, sites = measured_t_pose(gender, float(record["height_m"]))
        points["joints"].append(joints)
        points["sites"].append(sites)
    for section in ("joints", "sites"):
        names = [entry["name"] for entry in record[section]]
        mirror = [names.index(entry["mirror"]) for entry in record[section]]
        text = with_positions(text, names, symmetric(np.mean(points[section], axis=0), mirror))
    BODY_FILE.write_text(text, encoding="utf-8")
    return 0


def measured_t_pose(gender: float, height_m: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Joints (J, 3) and sites (S, 3) in m of the average adult of a gender (0 male, 1 female), feet at z = 0."""
    model = body_model()
    body = poseable_body(model, rest_body(model, Phenotype(gender=gender)))
    identity = np.zeros((len(body.joint_heads), 4))
    identity[:, 0] = 1.0
    posed = pose_body(body, identity, np.zeros(3))
    skin_z = skin_vertices(body, posed.bone_matrices, np.arange(BODY_VERTICES))[:, 2]
    scale = height_m / float(skin_z.max() - skin_z.min())
    ground = np.array([0.0, 0.0, skin_z.min()])
    return (posed.joints_m - ground) * scale, (posed.sites_m - ground) * scale


def symmetric(points: NDArray[np.float64], mirror: list[int]) -> NDArray[np.float64]:
    """The mean of points (N, 3) and their reflection across x = 0."""
    return (points + points[mirror] * np.array([-1.0, 1.0, 1.0])) / 2


def with_positions(text: str, names: list[str], points: NDArray[np.float64]) -> str:
    """The file's text with each named entry's rest position replaced. Raises ValueError for a missing entry."""
    for name, point in zip(names, points, strict=True):
        numbers = ", ".join(f"{value:.{_DECIMALS}f}" for value in point + 0.0).replace("-0.0000", "0.0000")
        pattern = re.compile(r'(\{"name": "' + name + r'",[^}]*"rest_position_m": )\[[^\]]*\]')
        text, count = pattern.subn(rf"\g<1>[{numbers}]", text)
        if count != 1:
            raise ValueError(f"{BODY_FILE} has {count} entries with a rest position named {name}, expected 1")
    return text


if __name__ == "__main__":
    sys.exit(main())
