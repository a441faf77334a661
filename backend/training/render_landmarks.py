"""The shipped landmark networks' answers on a folder of renders, beside the truth; computed once, kept in the folder.

May import numpy, `backend.synthesis` and `backend.people`. Single images are looked at twice, the second time through
the region that the first look gives, as a tracker would; in videos each frame's region comes from the frame before.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import OutputError
from backend.files import whole_file
from backend.networks import Network
from backend.people import Quality, Roi, landmarks_on_crops, load_landmark_network
from backend.people.landmarks import LANDMARKS
from backend.synthesis.dataset import read_dataset, sequence_frames
from backend.synthesis.truth import Shard
from backend.types import Array

log = logging.getLogger(__name__)
FORMAT = "marionet-render-landmarks-1"
_TRUTH = ("blazepose33_camera_m", "h36m17_camera_m", "rotations_wxyz", "world_from_camera", "offsets_m", "visible33")
_LEAST_PRESENCE = 0.5
_ROI_SHARE = 1 / 1.12  # renders leave that much room around a tracker's crop


@dataclass(frozen=True, slots=True)
class RenderLandmarks:
    """N images. What a network reports: points (N, 33, 2) in normalised image coordinates (K^-1 applied), visibility
    (N, 33), guess (N, 33, 3) its own hip-centred 3D guess, found (N,) whether it sees a person. The truth, in m and in
    the camera: landmarks_m (N, 33, 3), joints_m (N, 17, 3) Human3.6M, rotations_wxyz (N, J, 4) local with the root in a
    Z-up world, camera_from_world (N, 3, 3), offsets_m (N, J, 3), visible (N, 33); video (N,) number of the video (or
    image) a row belongs to, its rows in order of time at 30/s.
    """

    points: Array
    visibility: Array
    guess: Array
    found: NDArray[np.bool_]
    landmarks_m: Array
    joints_m: Array
    rotations_wxyz: Array
    camera_from_world: Array
    offsets_m: Array
    visible: NDArray[np.bool_]
    video: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.points)

    def rows(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> RenderLandmarks:
        """Some of the rows."""
        return RenderLandmarks(*(getattr(self, field.name)[keep] for field in fields(self)))


def render_landmarks(
    folder: Path, quality: Quality = Quality.FULL, progress: Callable[[int], None] = lambda done: None
) -> RenderLandmarks:
    """Landmarks of every image of a folder of renders. Raises BadInputError for a folder without readable shards,
    OutputError when the answers cannot be kept.
    """
    cache = folder / f"landmarks_{quality.value}.npz"
    shards = sorted(folder.glob("shard_*.npz"))
    key = np.array([FORMAT, *(f"{path.name} {path.stat().st_size}" for path in shards)])
    known = _read(cache, key)
    if known is not None:
        return known
    made = _look(folder, load_landmark_network(quality), progress)
    try:
        with whole_file(cache) as partial, partial.open("wb") as stream:
            np.savez(stream, key=key, **{field.name: getattr(made, field.name) for field in fields(made)})
    except OSError as fault:
        raise OutputError(f"{cache} cannot be written ({fault})", "Make the folder of renders writable") from fault
    return made


def _read(cache: Path, key: NDArray[np.str_]) -> RenderLandmarks | None:
    """What was kept, or None when there is nothing, it is damaged, or the renders are others."""
    if not cache.exists():
        return None
    try:
        with cache.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            if not np.array_equal(data["key"], key):
                return None
            return RenderLandmarks(*(data[field.name] for field in fields(RenderLandmarks)))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as fault:
        log.warning("%s is not readable (%s); the landmarks are found again", cache, fault)
        return None


def _look(folder: Path, network: Network, progress: Callable[[int], None]) -> RenderLandmarks:
    frames = sequence_frames(folder)
    parts: list[RenderLandmarks] = []
    done = 0
    for shard in read_dataset(folder):
        part = _on_shard(shard, network, frames, done)
        parts.append(part)
        done += len(part)
        progress(done)
    names = [field.name for field in fields(RenderLandmarks)]
    return RenderLandmarks(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _on_shard(shard: Shard, network: Network, frames: int, first: int) -> RenderLandmarks:
    points, visibility, guess, found = [], [], [], []
    roi: Roi | None = None
    for row in range(len(shard)):
        image = shard.image(row)
        if row % frames == 0 or roi is None:
            roi = _first_roi(image, network)
        batch = landmarks_on_crops([image], [roi], network)
        seen = bool(batch.presence[0] >= _LEAST_PRESENCE) and batch.next_roi(0).is_finite
        roi = batch.next_roi(0) if seen else None
        points.append(batch.keypoints_px[0, :LANDMARKS])
        visibility.append(batch.visibility[0, :LANDMARKS])
        guess.append(batch.world_m[0, :LANDMARKS])
        found.append(seen)
    truth: dict[str, Any] = {name: shard.truth[name] for name in _TRUTH}
    pixels = np.concatenate([np.stack(points), np.ones((len(points), LANDMARKS, 1))], axis=-1)
    rays = pixels @ np.swapaxes(np.linalg.inv(np.asarray(shard.truth["intrinsics"], np.float64)), 1, 2)
    return RenderLandmarks(
        rays[..., :2].astype(np.float32),
        np.stack(visibility).astype(np.float32),
        np.stack(guess).astype(np.float32),
        np.array(found),
        truth["blazepose33_camera_m"],
        truth["h36m17_camera_m"],
        truth["rotations_wxyz"],
        np.swapaxes(truth["world_from_camera"][:, :3, :3], 1, 2),
        truth["offsets_m"],
        truth["visible33"],
        (first + np.arange(len(shard))) // frames,
    )


def _first_roi(image: NDArray[np.uint8], network: Network) -> Roi:
    side = image.shape[0]
    whole = Roi(side / 2, side / 2, side * _ROI_SHARE)
    first = landmarks_on_crops([image], [whole], network)
    again = first.next_roi(0)
    return again if first.presence[0] >= _LEAST_PRESENCE and again.is_finite else whole
