"""A few takes of made-up motion, as objects and as BVH-free files that `train` reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

_JOINTS = (
    ("Hips", None, (0, 90, 0)), ("Spine", "Hips", (0, 10, 0)), ("Chest", "Spine", (0, 20, 0)),
    ("Neck", "Chest", (0, 20, 0)), ("Head", "Neck", (0, 10, 0)),
    ("LeftShoulder", "Chest", (17, 15, 0)), ("LeftElbow", "LeftShoulder", (28, 0, 0)),
    ("LeftWrist", "LeftElbow", (25, 0, 0)), ("RightShoulder", "Chest", (-17, 15, 0)),
    ("RightElbow", "RightShoulder", (-28, 0, 0)), ("RightWrist", "RightElbow", (-25, 0, 0)),
    ("LeftHip", "Hips", (9, -2, 0)), ("LeftKnee", "LeftHip", (0, -42, 0)), ("LeftAnkle", "LeftKnee", (0, -40, 0)),
    ("RightHip", "Hips", (-9, -2, 0)), ("RightKnee", "RightHip", (0, -42, 0)),
    ("RightAnkle", "RightKnee", (0, -40, 0)),
)  # fmt: skip


def _hierarchy(name: str, depth: int) -> list[str]:
    pad = "  " * depth
    parent, offset = next((p, o) for n, p, o in _JOINTS if n == name)
    channels = "6 Xposition Yposition Zposition" if parent is None else "3"
    lines = [f"{pad}{'ROOT' if parent is None else 'JOINT'} {name}", f"{pad}{{"]
    lines += [
        f"{pad}  OFFSET {' '.join(map(str, offset))}",
        f"{pad}  CHANNELS {channels} Zrotation Xrotation Yrotation",
    ]
    children = [n for n, p, _ in _JOINTS if p == name]
    for child in children:
        lines += _hierarchy(child, depth + 1)
    if not children:
        lines += [f"{pad}  End Site", f"{pad}  {{", f"{pad}    OFFSET 0 5 0", f"{pad}  }}"]
    return [*lines, f"{pad}}}"]


def write_bvh(path: Path, seed: int, frames: int = 90) -> None:
    """A take of swinging limbs."""
    rng = np.random.default_rng(seed)
    order = []

    def walk(name: str) -> None:
        order.append(name)
        for child in (n for n, p, _ in _JOINTS if p == name):
            walk(child)

    walk("Hips")
    swing = np.sin(np.linspace(0, 12, frames))[:, None] * rng.uniform(-30, 30, 3 * len(order))
    rows = [
        "0 90 0 " + " ".join(f"{value:.3f}" for value in row) for row in swing
    ]  # channels in the order of the hierarchy
    text = ["HIERARCHY", *_hierarchy("Hips", 0), "MOTION", f"Frames: {frames}", "Frame Time: 0.0333333", *rows]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def mocap(tmp_path_factory) -> Path:
    """A folder of three BVH takes."""
    folder = tmp_path_factory.mktemp("mocap")
    for seed in range(3):
        write_bvh(folder / f"person{seed}.bvh", seed)
    return folder
