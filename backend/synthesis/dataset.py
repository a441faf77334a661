"""A folder of shards: made by worker processes, resumable, deterministic; read by training.

May import numpy and its own room. `dataset.json` records the settings; a folder never mixes two of them.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from backend.errors import BadInputError, DeviceError, MarionetError, OutputError
from backend.files import whole_file
from backend.synthesis.generate import RenderSettings, ShardRenderer
from backend.synthesis.poses import collect_poses, empty_collection, write_collection
from backend.synthesis.truth import Shard, read_shard, write_shard
from backend.types import CancelToken, Progress, ProgressCallback

log = logging.getLogger(__name__)

SETTINGS_FILE = "dataset.json"
POSES_FILE = "poses.npz"
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class DatasetRequest:
    """What to make: `count` images in shards of `shard_size`, from `mocap` (None: random poses only)."""

    output: Path
    count: int
    settings: RenderSettings
    mocap: Path | None = None
    held_out: bool = False
    shard_size: int = 250
    workers: int = 2


def make_dataset(request: DatasetRequest, progress: ProgressCallback, cancel: CancelToken) -> int:
    """Render all shards that are missing; returns the number of images made now.

    Raises BadInputError when the folder holds another dataset, OutputError when it cannot be written, Cancelled.
    """
    if request.count < 1 or request.shard_size < 1 or request.workers < 1:
        raise BadInputError("count, shard size and workers must be at least 1")
    frames = request.settings.sequence_frames
    if frames < 1 or request.shard_size % frames or request.count % frames:
        raise BadInputError(
            f"{frames} frames a video do not divide {request.count} images in shards of {request.shard_size}",
            "Choose multiples of the frames a video",
        )
    _prepare(request)
    missing = [number for number in range(shard_count(request)) if not _is_complete(request, number)]
    to_make = sum(shard_images(request, number) for number in missing)
    log.info("%d of %d images to render in %s", to_make, request.count, request.output)
    if missing:
        _render_all(request, missing, to_make, progress, cancel)
    return to_make


def read_dataset(folder: Path) -> Iterator[Shard]:
    """The shards of a folder in order. Raises BadInputError for a damaged or missing one."""
    paths = sorted(folder.glob("shard_*.npz"))
    if not paths:
        raise BadInputError(f"{folder} holds no shards of renders", "Make some with: python -m backend synthesize")
    for path in paths:
        yield read_shard(path)


def sequence_frames(folder: Path) -> int:
    """How many consecutive rows of a shard are one video; 1 for single images.

    Raises BadInputError for a folder without renders.
    """
    try:
        record = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        return int(record["settings"].get("sequence_frames", 1))
    except (OSError, ValueError, KeyError, AttributeError) as fault:
        raise BadInputError(
            f"{folder} is not a folder of renders ({fault})", "Make some with: python -m backend synthesize"
        ) from fault


def shard_path(folder: Path, number: int) -> Path:
    """The file of a shard."""
    return folder / f"shard_{number:05d}.npz"


def shard_count(request: DatasetRequest) -> int:
    """How many shards a request has."""
    return -(-request.count // request.shard_size)


def shard_images(request: DatasetRequest, number: int) -> int:
    """How many images a shard has; the last one may be smaller."""
    return min(request.shard_size, request.count - number * request.shard_size)


def _prepare(request: DatasetRequest) -> None:
    """Write the settings and the poses once; refuse a folder that was made with others."""
    record = {
        "format": 1,
        "settings": asdict(request.settings),
        "mocap": str(request.mocap or ""),
        "held_out": request.held_out,
        "shard_size": request.shard_size,
    }
    try:
        request.output.mkdir(parents=True, exist_ok=True)
        path = request.output / SETTINGS_FILE
        if path.exists():
            known = json.loads(path.read_text(encoding="utf-8"))
            # a folder made before a setting existed was made with its default
            known["settings"] = {**asdict(RenderSettings(request.settings.seed)), **known.get("settings", {})}
            differing = sorted(key for key in record if known.get(key) != record[key])
            if differing:
                raise BadInputError(
                    f"{request.output} holds renders made with other {', '.join(differing)}",
                    "Use the same options to go on, or another --output",
                )
        poses = request.output / POSES_FILE
        if not poses.exists():
            collection = collect_poses(request.mocap, request.held_out) if request.mocap else empty_collection()
            log.info("%d poses from mocap", len(collection))
            with whole_file(poses) as partial:
                write_collection(collection, partial)
        path.write_text(json.dumps(record, indent=1), encoding="utf-8")
    except OSError as fault:
        raise OutputError(f"{request.output} cannot be written ({fault})", "Choose another --output") from fault


def _is_complete(request: DatasetRequest, number: int) -> bool:
    path = shard_path(request.output, number)
    if not path.exists():
        return False
    try:
        return len(read_shard(path)) == shard_images(request, number)
    except BadInputError as fault:
        log.warning("%s; it is rendered again", fault)
        return False


def _render_all(
    request: DatasetRequest, missing: list[int], to_make: int, progress: ProgressCallback, cancel: CancelToken
) -> None:
    context = multiprocessing.get_context("spawn")
    shards = _ShardQueue(context.Value("q", 0), context.Value("q", 0), tuple(missing))
    processes: list[tuple[BaseProcess, Connection]] = []
    started = time.monotonic()
    try:
        for _ in range(min(request.workers, len(missing))):
            ours, theirs = context.Pipe(duplex=False)
            process: BaseProcess = context.Process(target=_work, args=(request, shards, theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append((process, ours))
        while processes:
            for member, _ in processes:
                member.join(_POLL_S / len(processes))
            processes = [pair for pair in processes if not _has_finished(*pair)]
            done = shards.made.get_obj().value  # without its lock, which a killed worker may hold
            elapsed = time.monotonic() - started
            progress(Progress("render", done, to_make, (to_make - done) * elapsed / done if done else None))
            cancel.raise_if_cancelled()
    finally:
        for member, pipe in processes:  # empty unless something went wrong: unfinished shards leave no file
            member.kill()
            member.join()
            pipe.close()


@dataclass(frozen=True, slots=True)
class _ShardQueue:
    """What the workers share: how many shards were taken from `missing`, how many images are made."""

    taken: Synchronized[int]
    made: Synchronized[int]
    missing: tuple[int, ...]


def _has_finished(process: BaseProcess, pipe: Connection) -> bool:
    """Whether a worker is done; its error is raised here. Raises DeviceError for one that died without a word."""
    if process.is_alive():
        return False
    if process.exitcode == 0:
        pipe.close()
        return True
    try:
        raise pipe.recv()
    except EOFError:
        raise DeviceError(
            f"A render process ended with code {process.exitcode}",
            "Was memory short? Start again with fewer --workers: finished shards are kept",
        ) from None


def _work(request: DatasetRequest, shards: _ShardQueue, pipe: Connection) -> None:
    """A worker process: take one missing shard after the other until none is left."""
    try:
        renderer = ShardRenderer.from_files(request.settings, request.output / POSES_FILE)

        def count_image() -> None:
            with shards.made.get_lock():
                shards.made.get_obj().value += 1

        while (number := _next_shard(shards)) is not None:
            jpegs, truths = renderer.render(number, shard_images(request, number), count_image)
            write_shard(shard_path(request.output, number), jpegs, truths)
    except MarionetError as fault:
        pipe.send(fault)
        raise SystemExit(fault.exit_code) from fault


def _next_shard(shards: _ShardQueue) -> int | None:
    with shards.taken.get_lock():
        place = shards.taken.get_obj().value
        shards.taken.get_obj().value = place + 1
    return shards.missing[place] if place < len(shards.missing) else None
