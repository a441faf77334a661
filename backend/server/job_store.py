"""Jobs on disk: one folder a job, so that nothing is lost with a process. stdlib and `blender_addon.wire`.

    <job id>/job.json     what was asked and how it stands, replaced whole
             upload.part  bytes received so far; renamed to `upload` + suffix when complete; the further videos of
                          a take are `upload.1` + suffix, `upload.2` + suffix
             chunks/      preview chunks of the current attempt, one file each
             work/        where the worker writes; renamed to result/ when the job ends
             result/      what a client fetches

Every file appears whole by a rename; what a dead process left half-made is swept when the store is opened. Records and
results are on the disk before they are renamed: after a power cut a name stands for a whole file or an older one. A
folder with a result or an upload whose record cannot be read is moved to `damaged/` beside this folder, not deleted.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

from backend.files import sync_folder, write_whole
from backend.server.logs import log_event
from backend.server.upload_cache import UploadCache
from backend.server.worker_protocol import pack_frames, unpack_frames
from blender_addon.wire.codec import Buffer
from blender_addon.wire.errors import WireError
from blender_addon.wire.messages import ResultFile, SolveOptions, Source, TakeOptions
from blender_addon.wire.schema import plan_of, record_of, value_from

JOB_ID = re.compile(r"[0-9a-f]{32}")
# How long a step on the disk is tried again while a flood of connections takes every descriptor.
_DESCRIPTOR_PATIENCE_S = 2.0
_DESCRIPTOR_PAUSE_S = 0.005

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is kept of a job: the request, its state, and its end. States as in `JobInfo`.

    `attempt` counts the runs, `deaths` those that ended with the server itself, `crashes` those that ended with their
    worker. `waited_s` is how long the result of an ended job had waited to be taken at `seen_unix_s`.
    """

    job_id: str
    owner: str
    state: str
    source: Source
    options: SolveOptions
    submitted_unix_s: float
    ended_unix_s: float = 0.0
    attempt: int = 0
    deaths: int = 0
    crashes: int = 0
    waited_s: float = 0.0
    seen_unix_s: float = 0.0
    frames_kept: int = 0
    code: str = ""
    message: str = ""
    remedy: str = ""
    files: tuple[ResultFile, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    task: str = "solve"
    more_sources: tuple[Source, ...] = ()
    take: TakeOptions = TakeOptions()

    @property
    def sources(self) -> tuple[Source, ...]:
        """All videos of the job; the place of a source is its place here."""
        return (self.source, *self.more_sources)

    @property
    def uploads(self) -> tuple[int, ...]:
        """Places of the sources that are uploaded."""
        return tuple(place for place, source in enumerate(self.sources) if source.kind == "upload")

    @property
    def upload_bytes(self) -> int:
        """Announced bytes of all uploads together."""
        return sum(self.sources[place].size_bytes for place in self.uploads)

    @property
    def is_live(self) -> bool:
        """Whether the job reads a camera or a stream."""
        return self.source.kind == "live"

    @property
    def over(self) -> bool:
        """Whether the job has ended, one way or another."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def label(self) -> str:
        """A name for people."""
        name = self.source.name or Path(self.source.path).name
        return f"{name} and {len(self.more_sources)} more" if self.more_sources else name


class JobStore:
    """The folder of all jobs. Every method may raise OSError when the disk refuses.

    Where the process has no descriptor left, `free_descriptors` is called and the step is tried again.
    """

    def __init__(self, folder: Path, kept: UploadCache) -> None:
        self.folder = folder
        self.kept = kept
        self.free_descriptors: Callable[[], None] = lambda: None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def load(self) -> list[JobRecord]:
        """All jobs, oldest first; sweeps what no job owns and what was half-made."""
        records = []
        for path in sorted(self.folder.iterdir()):
            record = self._read(path) if JOB_ID.fullmatch(path.name) and path.is_dir() else None
            if record is None:
                self._sweep(path)
                continue
            for temporary in path.glob(".*.new"):
                _remove(temporary)
            records.append(record)
        return sorted(records, key=lambda record: record.submitted_unix_s)

    def _sweep(self, path: Path) -> None:
        """Remove what no record stands for; what may be somebody's result or video is moved aside."""
        if JOB_ID.fullmatch(path.name) and path.is_dir() and any((*path.glob("result/*"), *path.glob("upload.*"))):
            aside = self.folder.with_name("damaged")
            aside.mkdir(exist_ok=True, mode=0o700)
            place = next(place for count in range(1000) if not (place := aside / f"{path.name}.{count}").exists())
            os.replace(path, place)
            log_event("job without a readable record moved aside", logging.ERROR, path=str(place))
            return
        log_event("swept", logging.WARNING, path=path.name)
        _remove(path)

    def save(self, record: JobRecord) -> None:
        """Write a job's record whole; when this returns it is on the disk."""
        folder = self.folder / record.job_id
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
            self.retry(sync_folder, self.folder)
        text = json.dumps(record_of(record, plan_of(JobRecord)))
        self.retry(write_whole, folder / "job.json", text.encode(), sync=True)

    def delete(self, job_id: str) -> None:
        """Remove a job; a crash half way leaves a folder that the next start sweeps."""
        doomed = self.folder / f".deleted-{job_id}"
        self.retry(_remove, doomed)
        os.replace(self.folder / job_id, doomed)
        self.retry(_remove, doomed)

    def begin_attempt(self, job_id: str) -> Path:
        """Clear the chunks of an earlier attempt; the folder to work in, which keeps what a resume can use."""
        folder = self.folder / job_id
        self.retry(_remove, folder / "chunks")
        (folder / "chunks").mkdir()
        work = folder / "work"
        work.mkdir(exist_ok=True)
        return work

    def work_folder(self, job_id: str) -> Path:
        """Where a job's worker writes."""
        return self.folder / job_id / "work"

    def publish(self, job_id: str, files: tuple[ResultFile, ...]) -> None:
        """Make the worker's finished files the result, and drop whatever else lies in its folder."""
        folder = self.folder / job_id
        fresh = folder / ".result.new"
        self.retry(_remove, fresh)
        fresh.mkdir()
        for file in files:
            os.replace(folder / "work" / file.name, fresh / file.name)
        self.retry(sync_folder, fresh)  # the worker has synced the files themselves
        self.retry(_remove, folder / "result")
        os.replace(fresh, folder / "result")
        self.retry(sync_folder, folder)
        self.retry(_remove, folder / "work")

    def drop_work(self, job_id: str) -> None:
        """Remove what an abandoned attempt wrote, if the job is still there."""
        self.retry(_remove, self.folder / job_id / "work")

    def drop_input(self, record: JobRecord) -> None:
        """Uploaded videos are not needed once their job is over; one that was only looked through may be soon again."""
        for place in record.uploads:
            self.part_path(record.job_id, place).unlink(missing_ok=True)
            path = self.upload_path(record, place)
            try:
                if record.task == "people" and record.state != "failed" and path.exists():
                    self.kept.put(record.owner, record.sources[place], path)
            finally:
                path.unlink(missing_ok=True)  # what cannot be kept is not left behind either

    def take_kept(self, record: JobRecord) -> int:
        """Make the uploads that a job asks for and that were kept the job's, whole; how many they are."""
        return sum(
            self.kept.take(record.owner, record.sources[place], self.upload_path(record, place))
            for place in record.uploads
        )

    def next_upload(self, record: JobRecord) -> int | None:
        """The place of the first upload that is not there whole; None when all are."""
        return next((place for place in record.uploads if not self._is_whole(record, place)), None)

    def write_chunk(self, job_id: str, index: int, frames: list[Buffer]) -> None:
        """Keep a chunk's encoded frames."""
        self.retry(write_whole, self.folder / job_id / "chunks" / f"{index:06d}", pack_frames(frames))

    def read_chunk(self, job_id: str, index: int) -> list[Buffer]:
        """A chunk's encoded frames."""
        return unpack_frames(self.retry((self.folder / job_id / "chunks" / f"{index:06d}").read_bytes))

    def part_path(self, job_id: str, place: int = 0) -> Path:
        """The upload at a place while it comes in."""
        return self.folder / job_id / f"{_upload_name(place)}.part"

    def upload_path(self, record: JobRecord, place: int = 0) -> Path:
        """The upload at a place once it is complete; the suffix tells the decoder what it is."""
        suffix = Path(record.sources[place].name).suffix.lower()
        # `x.part` and `x.1` would have the name of a part or of another upload
        name = f"upload.complete-{place}" if suffix == ".part" or suffix[1:].isdecimal() else _upload_name(place)
        return self.folder / record.job_id / f"{name}{suffix}"

    def input_path(self, record: JobRecord, place: int = 0) -> str:
        """What a worker opens for the source at a place."""
        source = record.sources[place]
        return str(self.upload_path(record, place)) if source.kind == "upload" else source.path

    def read_result(self, job_id: str, name: str, offset: int, size: int) -> bytes:
        """Bytes of a result file."""
        with self.retry((self.folder / job_id / "result" / name).open, "rb") as stream:
            stream.seek(offset)
            return stream.read(size)

    def received_bytes(self, job_id: str, place: int = 0) -> int:
        """Bytes of an unfinished upload that are there."""
        try:
            return self.part_path(job_id, place).stat().st_size
        except FileNotFoundError:
            return 0

    def has_input(self, record: JobRecord) -> bool:
        """Whether all uploads of a job that waits are there; a path is looked at when the job runs."""
        return self.next_upload(record) is None

    def _is_whole(self, record: JobRecord, place: int) -> bool:
        try:
            return self.upload_path(record, place).stat().st_size == record.sources[place].size_bytes
        except FileNotFoundError:
            return False

    def free_bytes(self) -> int:
        """Free space on the store's disk."""
        return shutil.disk_usage(self.folder).free

    def retry(self, step: Callable[_Arguments, _Result], *words: _Arguments.args, **more: _Arguments.kwargs) -> _Result:
        """Do one step on the disk; again, while there is no descriptor for it."""
        give_up_s = time.monotonic() + _DESCRIPTOR_PATIENCE_S
        while True:
            try:
                return step(*words, **more)
            except OSError as fault:
                if fault.errno not in (errno.EMFILE, errno.ENFILE) or time.monotonic() > give_up_s:
                    raise
            self.free_descriptors()
            time.sleep(_DESCRIPTOR_PAUSE_S)

    def _read(self, folder: Path) -> JobRecord | None:
        try:
            record = json.loads((folder / "job.json").read_text(encoding="utf-8"))
            job = JobRecord(**value_from(plan_of(JobRecord), record, "job"))
        except (OSError, ValueError, WireError):
            return None
        return job if job.job_id == folder.name else None


def _upload_name(place: int) -> str:
    return f"upload.{place}" if place else "upload"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
