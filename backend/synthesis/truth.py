"""What is known about a rendered image, and the file that many of them share.

May import numpy and its own room. A shard is one npz: arrays with a row an image, and all JPEG files in one byte array.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInputError, OutputError
from backend.files import whole_file
from backend.types import Array
from blender_addon.motion.body import bare_name, canonical_body

SHARD_FORMAT = "marionet-renders-1"
# how deep below the surface a landmark lies (m): less of it in front of a landmark does not hide it
_DEPTH_OF = {"hip": 0.16, "shoulder": 0.10, "knee": 0.10, "elbow": 0.08, "ankle": 0.08, "wrist": 0.06}
_DEPTH_OF_OTHERS = 0.045


@dataclass(frozen=True, slots=True)
class ImageTruth:
    """One image's truth; J = 24 canonical joints, all positions measured on the posed mesh, metres.

    intrinsics (3, 3) px of the square image; world_from_camera (4, 4), world Z up, floor at z = 0;
    rotations_wxyz (J, 4) local, joint 0 the root in the WORLD; joints_camera_m (J, 3);
    h36m17_camera_m (17, 3) joint centres; blazepose33_camera_m (33, 3); visible33 (33,) whether a landmark is in the
    image and not hidden; offsets_m (J, 3) rest offsets of this body's joints in the T-pose; height_m stature;
    phenotype (11,); pose_source row of the pose collection or -1; person and companion flags;
    camera_draw (4,): field of view (rad) of the whole frame, distance (m), pitch (rad, positive looks down), crop roll.
    """

    intrinsics: Array
    world_from_camera: Array
    rotations_wxyz: Array
    joints_camera_m: Array
    h36m17_camera_m: Array
    blazepose33_camera_m: Array
    visible33: NDArray[np.bool_]
    offsets_m: Array
    height_m: float
    phenotype: Array
    pose_source: int
    has_companion: bool
    has_occluder: bool
    camera_draw: Array


TRUTH_FIELDS = tuple(field.name for field in fields(ImageTruth))


def subset_points_m(subset: str, joints_m: Array, sites_m: Array) -> Array:
    """Points (P, 3) of a named subset from the joints (J, 3) and sites (S, 3) of a posed body."""
    body = canonical_body()
    site_names = [site.name for site in body.sites]
    return np.stack(
        [
            sites_m[site_names.index(name)] if name in site_names else joints_m[body.joint_index(name)]
            for name in body.subset_points[subset]
        ]
    )


def visible_landmarks(landmarks_camera_m: Array, pixels: Array, size_px: int, depth_m: Array) -> NDArray[np.bool_]:
    """Which landmarks (33, 3) at pixels (33, 2) of an image `size_px` wide are seen, by the depth image (R, R)."""
    scale = depth_m.shape[0] / size_px
    inside = ((pixels >= 0) & (pixels < size_px)).all(axis=1) & (landmarks_camera_m[:, 2] > 0)
    cell = np.clip((pixels * scale).astype(int), 0, depth_m.shape[0] - 1)
    surface = depth_m[cell[:, 1], cell[:, 0]]
    below = np.array([_depth_of(name) for name in canonical_body().subset_points["blazepose33"]])
    seen: NDArray[np.bool_] = inside & (surface > landmarks_camera_m[:, 2] - below)
    return seen


def _depth_of(name: str) -> float:
    return _DEPTH_OF.get(bare_name(name), _DEPTH_OF_OTHERS)


def write_shard(path: Path, jpegs: list[bytes], truths: list[ImageTruth]) -> None:
    """Write a shard whole or not at all. Raises OutputError when the disk refuses."""
    arrays = {name: np.stack([np.asarray(getattr(truth, name)) for truth in truths]) for name in TRUTH_FIELDS}
    arrays = {name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in arrays.items()}
    ends = np.cumsum([len(jpeg) for jpeg in jpegs]).astype(np.int64)
    try:
        with whole_file(path, sync=False) as temporary, temporary.open("wb") as stream:
            np.savez(
                stream,
                format=np.array(SHARD_FORMAT),
                jpeg_ends=ends,
                jpeg_bytes=np.frombuffer(b"".join(jpegs), dtype=np.uint8),
                **arrays,
            )
    except OSError as fault:
        raise OutputError(
            f"{path} could not be written ({fault})", "Free some space or choose another folder"
        ) from fault


@dataclass(frozen=True, slots=True)
class Shard:
    """A read shard: `truth[name]` holds a row an image, `jpeg(row)` the file's bytes, `image(row)` RGB (S, S, 3)."""

    truth: dict[str, NDArray[np.generic]]
    ends: NDArray[np.int64]
    data: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.ends)

    def jpeg(self, row: int) -> NDArray[np.uint8]:
        """The bytes of one JPEG file."""
        start = 0 if row == 0 else int(self.ends[row - 1])
        return self.data[start : int(self.ends[row])]

    def image(self, row: int) -> NDArray[np.uint8]:
        """One decoded image, RGB (S, S, 3)."""
        decoded = cv2.imdecode(self.jpeg(row), cv2.IMREAD_COLOR)
        if decoded is None:
            raise ValueError(f"the image {row} of the set is damaged")
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_shard(path: Path) -> Shard:
    """Read a shard. Raises BadInputError for a foreign, truncated or incomplete file."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            if str(data["format"]) != SHARD_FORMAT:
                raise BadInputError(f"{path} is a shard of another format ({data['format']})", "Render it again")
            return Shard({name: data[name] for name in TRUTH_FIELDS}, data["jpeg_ends"], data["jpeg_bytes"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, EOFError) as fault:
        raise BadInputError(f"{path} is not a readable shard of renders ({fault})", "Render it again") from fault
