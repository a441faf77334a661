"""Measure where the landmark networks see each landmark on the body, on renders; give Human3.6M's shoulders theirs.

    python tools/fit_landmark_points.py --renders renders/ --renders videos/

A landmark network's "shoulder" or "hip" is no joint centre. Per landmark, one offset that turns with the bone above it
is fitted to all its sightings by both networks (least absolute deviation, left and right mirrored onto each other) and
printed. The shoulders' goes into `skeleton_maps/canonical_body.json`: joints of that name are Human3.6M's, whose
skeleton has 302 mm from shoulder to shoulder where the humeral heads of the canonical body are 344 mm apart.
Needs the training packages; the renders come from `python -m backend synthesize`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.people import Quality
from backend.training.render_landmarks import RenderLandmarks, render_landmarks
from blender_addon.motion.body import SKELETON_MAPS_DIR, canonical_body, forward_kinematics
from blender_addon.motion.rotations import quaternion_to_matrix

Array = NDArray[np.floating]

_BODY_FILE = SKELETON_MAPS_DIR / "canonical_body.json"
_ROUNDS = 30
_LEAST_M = 0.01
_SHOULDERS = {"lshoulder": "left_shoulder", "rshoulder": "right_shoulder"}


def main() -> None:
    """Fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", type=Path, action="append", required=True, help="a folder of renders; repeatable")
    args = parser.parse_args()
    seen = [render_landmarks(folder, quality) for folder in args.renders for quality in (Quality.FULL, Quality.HEAVY)]
    record = json.loads(_BODY_FILE.read_text(encoding="utf-8"))
    points, fitted = record["subsets"]["blazepose33"], {}
    for point in points:
        name = point["name"]
        if name.startswith("right_"):
            continue
        offset, before, after = _fit([part.rows(part.found) for part in seen], name)
        fitted[name] = offset
        print(f"{name:16s} {np.round(1000 * offset)} mm, median distance {1000 * before:.0f} -> {1000 * after:.0f} mm")
    for point in record["subsets"]["h36m17"]:
        if point["name"] in _SHOULDERS:
            joint = _SHOULDERS[point["name"]]
            shift = fitted["left_shoulder"] * (1.0 if joint.startswith("left") else np.array([-1, 1, 1]))
            point |= {"turned_by": _frame(joint), "shift_m": [round(float(value), 4) for value in shift]}
    _BODY_FILE.write_text(_text(record), encoding="utf-8")


def _text(record: dict[str, Any]) -> str:
    """The canonical body's file as it is laid out: a joint, site or point a line, places to a tenth of a millimetre."""
    head = [f' "{key}": {json.dumps(record[key])},' for key in record if key not in ("joints", "sites", "subsets")]
    lists = [f' "{key}": [\n{_lines(record[key], 2)}\n ],' for key in ("joints", "sites")]
    subsets = [f'  "{key}": [\n{_lines(points, 3)}\n  ]' for key, points in record["subsets"].items()]
    return "\n".join(["{", *head, *lists, ' "subsets": {', ",\n".join(subsets), " }", "}"]) + "\n"


def _lines(entries: list[dict[str, Any]], indent: int) -> str:
    def value(entry: object) -> str:
        if isinstance(entry, list):
            return "[" + ", ".join(f"{number + 0.0:.4f}" for number in entry) + "]"
        return json.dumps(entry)

    lines = ["{" + ", ".join(f'"{key}": {value(entry[key])}' for key in entry) + "}" for entry in entries]
    return ",\n".join(" " * indent + line for line in lines)


def _frame(name: str) -> str:
    """The joint in whose frame a landmark's offset rides: a site's own joint, the one above a joint."""
    body = canonical_body()
    site = next((site for site in body.sites if site.name == name), None)
    return body.joint_names[site.joint if site else body.parents[body.joint_index(name)]]


def _fit(parts: list[RenderLandmarks], name: str) -> tuple[Array, float, float]:
    """Offset (3,) m of a landmark and its mirror image, and the median distance in m before and after."""
    names = canonical_body().subsets["blazepose33"]
    sides = [(name, 1.0), (name.replace("left_", "right_"), -1.0)] if name.startswith("left_") else [(name, 1.0)]
    rows = [_sightings(part, names.index(side), _frame(side), sign) for part in parts for side, sign in sides]
    slope, error = np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows])
    offset = np.zeros(3)
    for _ in range(_ROUNDS):  # least absolute deviation by reweighting: lost landmarks must not pull
        weight = 1.0 / np.maximum(np.linalg.norm(error - slope @ offset, axis=-1), _LEAST_M)
        normal = np.einsum("n,nij,nik->jk", weight, slope, slope)
        offset = np.linalg.solve(normal, np.einsum("n,nij,ni->j", weight, slope, error))
    if not name.startswith("left_"):
        offset[0] = 0.0  # the body is symmetric
    before, after = (np.linalg.norm(error - slope @ o, axis=-1) for o in (np.zeros(3), offset))
    return offset, float(np.median(before)), float(np.median(after))


def _sightings(seen: RenderLandmarks, landmark: int, frame: str, sign: float) -> tuple[Array, Array]:
    """How a visible landmark moves in the image with its offset (N, 2, 3), and by how much it is seen elsewhere
    (N, 2), in m at its own depth.
    """
    rows = seen.rows(seen.visible[:, landmark])
    _, turns = forward_kinematics(canonical_body(), rows.rotations_wxyz.astype(np.float64), np.zeros((len(rows), 3)))
    turn = rows.camera_from_world @ quaternion_to_matrix(turns[:, canonical_body().joint_index(frame)])
    place = rows.landmarks_m[:, landmark].astype(np.float64)
    ray, depth = place[:, :2] / place[:, 2:], place[:, 2:]
    slope = turn[:, :2] - ray[:, :, None] * turn[:, 2:]
    return slope * np.array([sign, 1.0, 1.0]), (rows.points[:, landmark] - ray) * depth


if __name__ == "__main__":
    main()
