"""The poses of a live capture on disk as they are solved, and the clip that is made of them, also after a kill.

A log is two files: rows of a fixed size in `poses.bin`, and `poses.json` with what all rows share. numpy, `motion`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from backend.errors import NoPersonError
from backend.files import write_whole
from backend.keypoint_layouts import BLAZEPOSE, HUMAN36M
from backend.live.smoothing import SmoothPose
from backend.types import Array
from backend.world import seen_joints
from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import ClipHeader, MotionClip, write_clip
from blender_addon.motion.clip_warning import ClipWarning, WarningCode
from blender_addon.motion.rotations import matrix_to_quaternion, quaternion_continuous, quaternion_multiply

_JOINTS: Final = len(canonical_body().joint_names)
ROW: Final = np.dtype(
    [
        ("time_s", "<f8"),
        ("rotations", "<f4", (_JOINTS, 4)),
        ("root", "<f4", (3,)),
        ("joints", "<f4", (HUMAN36M.count, 3)),
        ("keypoints", "<f4", (BLAZEPOSE.count, 2)),
        ("seen", "<f4", (BLAZEPOSE.count,)),
        ("figures", "<f4", (4,)),  # confidence, score, margin, lift
    ]
)
_ROWS_NAME, _SHARED_NAME = "poses.bin", "poses.json"


@dataclass(frozen=True, slots=True)
class SharedFacts:
    """What all rows share; matrices as nested lists. `source` names the camera or the recording."""

    source: str
    width_px: int
    height_px: int
    height_m: float
    height_source: str
    intrinsics: list[list[float]]
    intrinsics_source: str
    world_from_camera: list[list[float]]
    bone_scales: list[float]
    model: str
    quality: str
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SolvedRow:
    """One frame: its time, the filtered pose in the camera, keypoints (33, 2) with visibility (33,), figures."""

    time_s: float
    pose: SmoothPose
    keypoints_px: Array
    visibility: Array
    figures: tuple[float, float, float, float]


class PoseLog:
    """Rows are appended and handed to the system at once. Raises OSError where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: IO[bytes] = (folder / _ROWS_NAME).open("wb")
        self.count = 0

    def share(self, facts: SharedFacts) -> None:
        """Write what all rows share, or write it anew."""
        write_whole(self._folder / _SHARED_NAME, json.dumps(asdict(facts)).encode())

    def add(self, row: SolvedRow) -> None:
        """One more frame."""
        record = np.zeros(1, ROW)
        record["time_s"], record["rotations"], record["root"] = row.time_s, row.pose.rotations_wxyz, row.pose.root_m
        record["joints"], record["keypoints"], record["seen"] = row.pose.joints_m, row.keypoints_px, row.visibility
        record["figures"] = row.figures
        self._rows.write(record.tobytes())
        self._rows.flush()
        self.count += 1

    def close(self) -> None:
        """End the file."""
        self._rows.close()


def has_log(folder: Path) -> bool:
    """Whether the folder has poses to make a clip of."""
    rows = folder / _ROWS_NAME
    return (folder / _SHARED_NAME).is_file() and rows.is_file() and rows.stat().st_size >= 2 * ROW.itemsize


def clip_from_log(folder: Path, output: Path, source: str = "") -> MotionClip:
    """Make and write the clip of a log, whole or cut off by a kill; `source` is the recording, where there is one.

    Raises NoPersonError where it has fewer than two frames, OSError.
    """
    if not has_log(folder):
        raise NoPersonError("Nobody was seen in the live capture", "Stand in the image with your whole body")
    data = (folder / _ROWS_NAME).read_bytes()
    rows = np.frombuffer(data[: len(data) - len(data) % ROW.itemsize], ROW)
    facts = SharedFacts(**json.loads((folder / _SHARED_NAME).read_text(encoding="utf-8")))
    rows = rows[np.concatenate([[True], np.diff(np.maximum.accumulate(rows["time_s"])) > 0])]
    clip = _clip(rows, facts, source or facts.source)
    write_clip(clip, output)
    return clip


def _clip(rows: Any, facts: SharedFacts, source: str) -> MotionClip:
    body = canonical_body()
    camera = np.array(facts.world_from_camera)
    frames, times_s = len(rows), rows["time_s"] - rows["time_s"][0]
    rotations = quaternion_continuous(rows["rotations"].astype(np.float64))
    rotations[:, 0] = quaternion_continuous(quaternion_multiply(matrix_to_quaternion(camera[:3, :3]), rotations[:, 0]))
    root = rows["root"] @ camera[:3, :3].T + camera[:3, 3]
    root[:, 2] += rows["figures"][:, 3]
    lifted = rows["figures"][:, 3:] * camera[None, 2, :3]
    step_s = float(np.median(np.diff(times_s))) if frames > 1 else 1.0 / 30.0
    text = "solved live, frame by frame; the full solve of the recording is more accurate"
    warnings = (
        ClipWarning(WarningCode.PREVIEW_ONLY, text),
        *(ClipWarning(WarningCode.OTHER, t) for t in facts.warnings),
    )
    header = ClipHeader(
        source=source,
        source_width=facts.width_px,
        source_height=facts.height_px,
        source_fps=round(1.0 / max(step_s, 1e-3), 3),
        body_height_m=facts.height_m,
        body_height_source="given" if facts.height_source == "given" else "assumed",
        intrinsics_source=facts.intrinsics_source,
        gravity_source="found",
        model=facts.model,
        quality=facts.quality,
        settings={"live": "yes"},
        warnings=warnings,
    )
    return MotionClip(
        times_s=times_s,
        rotations_wxyz=rotations.astype(np.float32),
        root_world_m=root.astype(np.float32),
        root_camera_m=(rows["root"] + lifted).astype(np.float32),
        joints_camera_m=(rows["joints"] + lifted[:, None]).astype(np.float32),
        keypoints_px=rows["keypoints"].copy(),
        keypoint_confidence=rows["seen"].copy(),
        confidence=rows["figures"][:, 0].copy(),
        score=rows["figures"][:, 1].copy(),
        margin=rows["figures"][:, 2].copy(),
        contacts=np.zeros((frames, 4), np.float32),
        intrinsics=np.array(facts.intrinsics, np.float64),
        world_from_camera=np.broadcast_to(camera, (frames, 4, 4)).astype(np.float64),
        bone_scales=np.array(facts.bone_scales, np.float64),
        body_joint_names=body.joint_names,
        joint_names=body.subsets["h36m17"],
        keypoint_names=body.subsets["blazepose33"],
        header=header,
        joint_confidence=_joints_seen(rows, times_s, facts),
    )


def _joints_seen(rows: Any, times_s: Array, facts: SharedFacts) -> Array:
    """How far each joint is seen (T, J)."""
    seen = seen_joints(times_s, rows["keypoints"], rows["seen"], (facts.width_px, facts.height_px))
    return np.asarray(seen * (rows["figures"][:, :1] > 0), np.float32)
