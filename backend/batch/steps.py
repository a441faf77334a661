"""The steps of one clip, the same wherever they run: solve, export through Blender, look. One bench a process.

May import `backend.batch`, `backend.export`, `backend.visualization`, `backend.pipeline` and what they rest on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backend.batch import solve_cache
from backend.batch.clip_views import clip_views
from backend.batch.solve_order import clip_facts, is_from_elsewhere, open_source
from backend.batch.solve_videos import solve_videos
from backend.batch.storage import Storage, named_full_disk, open_storage, output_error
from backend.batch.take_order import camera_rows
from backend.batch.tasks import (
    ClipTask,
    Fault,
    OutputFile,
    OutputKind,
    PlannedClip,
    RunSettings,
    Step,
    StepOutcome,
    StepTask,
)
from backend.datasets.import_motion import import_motion
from backend.embedding.model_files import ModelFiles
from backend.errors import BadInputError, MarionetError
from backend.export.animate_request import ExportOrder, ReadOrder
from backend.export.blender_process import BlenderProcess, BlenderSettings
from backend.export.find_blender import find_blender
from backend.files import sha256_of
from backend.solving.models import SolveModels, load_models
from backend.solving.request import SolveQuality
from backend.types import Progress, ProgressCallback
from backend.visualization import make_thumbnail
from blender_addon.motion.clip import ClipError, MotionClip, read_clip, write_clip
from blender_addon.motion.clip_warning import ClipWarning, WarningCode
from blender_addon.motion.quality import clip_figures
from blender_addon.motion.read_motion_file import SCENE_ENDINGS, is_clip_file

_SIDE_FILES: Final = "textures"


class Bench:
    """What one process keeps between clips: the models of the last quality, a running Blender, the storage."""

    def __init__(self, settings: RunSettings, worker: str) -> None:
        self.settings = settings
        self.worker = worker
        self.storage: Storage = open_storage(settings.out)
        self._models: SolveModels | None = None
        self._blender: BlenderProcess | None = None

    def models(self, quality: SolveQuality, files: ModelFiles) -> SolveModels:
        """The networks, loaded on first use; those of the last clip are kept."""
        if self._models is None or (self._models.quality, self._models.files) != (quality, files):
            self._models = load_models(quality, self.settings.device, files)
        return self._models

    def blender(self) -> BlenderProcess:
        """Blender, started on first use. Raises BlenderError where there is none."""
        if self._blender is None:
            log = self.storage.scratch() / "logs" / f"blender-{self.worker}-{os.getpid()}.log"
            blender = find_blender(self.settings.blender)
            options = BlenderSettings(blender, log, self.settings.restart_after, self.settings.stall_s)
            self._blender = BlenderProcess(options)
        return self._blender

    def close(self) -> None:
        """End Blender."""
        if self._blender is not None:
            self._blender.close()
            self._blender = None


def carry_out(order: StepTask, bench: Bench, progress: ProgressCallback) -> StepOutcome:
    """Do one step of one clip. Raises MarionetError; what was put in place by then is whole."""
    try:
        return _STEPS[order.step](order.clip, bench, progress)
    except MarionetError as fault:
        raise named_full_disk(fault, order.clip.base) from fault
    except ClipError as fault:
        raise _clip_fault(fault, str(order.clip.order.source)) from fault
    except OSError as fault:
        raise output_error(fault.filename or bench.settings.out, fault) from fault


def solve_clip(clip: PlannedClip, bench: Bench, progress: ProgressCallback) -> StepOutcome:
    """From the source to solved clips that the batch keeps; a killed solve goes on from its checkpoint."""
    order = clip.order
    if order.is_solved:
        with _work_folder(bench, clip) as work:
            files = _solved_files(order, work, bench)
            solve_cache.keep_solved(bench.storage, clip.solve_key, files)
        return StepOutcome(facts={"people": str(len(files))})
    # a folder of its own name, not of this attempt: the checkpoint in it outlives a killed worker
    folder = bench.storage.scratch() / f"solve-{clip.solve_key[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    made, facts = solve_videos(order, folder / "clip.npz", bench, progress)
    solve_cache.keep_solved(bench.storage, clip.solve_key, made)
    shutil.rmtree(folder, ignore_errors=True)
    return StepOutcome(facts=facts)


def _solved_files(order: ClipTask, work: Path, bench: Bench) -> list[Path]:
    """A clip's copy, or the clips that are made of a motion file: one a person, or one an action."""
    source = Path(order.source)
    if source.suffix.lower() in SCENE_ENDINGS:
        return bench.blender().read_motion(ReadOrder(str(source.absolute()), str(work.absolute())))
    if source.suffix.lower() != ".npz" or not is_clip_file(source):
        files = []
        for person, clip in enumerate(import_motion(source, order.solve.fps)):
            files.append(work / f"solved.{person}.npz")
            write_clip(clip, files[-1])
        return files
    shutil.copyfile(source, work / "solved.npz")
    try:
        read_clip(work / "solved.npz")
    except ClipError as fault:
        # the user knows the clip by its own name, not by that of the copy
        told = fault.message.replace(str(work / "solved.npz"), order.source)
        raise _clip_fault(ClipError(told, fault.remedy), order.source) from fault
    return [work / "solved.npz"]


def _clip_fault(fault: ClipError, source: str) -> BadInputError:
    """The error for a clip that cannot be used, with its name and one remedy."""
    named = fault.message if source in fault.message else f"{source}: {fault.message}"
    remedy = fault.remedy or "Solve the video again"
    return BadInputError(named, remedy[:1].upper() + remedy[1:])


def export_clip(clip: PlannedClip, bench: Bench, progress: ProgressCallback) -> StepOutcome:
    """Every person's solved clip onto the rig and into the files that Blender writes."""
    kinds = [kind for kind in clip.order.kinds if kind.needs_blender]
    outcome = StepOutcome()
    with _work_folder(bench, clip) as work:
        solved = solve_cache.fetch_solved(bench.storage, clip.solve_key, work)
        for person, path in enumerate(solved):
            made = _Made(clip, bench.storage, person, len(solved))
            outcome = _joined(outcome, _export_person(made, kinds, path, bench, progress))
    return outcome


def look_clip(clip: PlannedClip, bench: Bench, progress: ProgressCallback) -> StepOutcome:
    """The clip's own file, overlay and sheet, its figures and warnings, and a thumbnail for the index page."""
    kinds, storage = clip.order.kinds, bench.storage
    outputs: list[OutputFile] = []
    with _work_folder(bench, clip) as work:
        solved = solve_cache.fetch_solved(storage, clip.solve_key, work)
        clips = [read_clip(path) for path in solved]
        faults: list[Fault] = []
        warnings = [warning for one in clips for warning in one.header.warnings]
        for kind, name, write in clip_views(clip, clips, progress):
            path = work / f"view{kind.ending}"
            try:
                write(path)
                outputs.append(_Made(clip, storage, 0, len(clips)).publish_as(path, kind, name))
            except MarionetError as fault:
                error = named_full_disk(fault, name)
                faults.append(Fault(error.code, error.message, error.remedy))
        try:
            _cache_thumbnail(clip, storage, clips)
        except (MarionetError, OSError) as fault:
            warnings.append(ClipWarning(WarningCode.NO_THUMBNAIL, f"no image for the index page: {fault}"))
        if OutputKind.CLIP in kinds:
            made = [_Made(clip, storage, person, len(clips)) for person in range(len(clips))]
            outputs += [one.publish(path, OutputKind.CLIP) for one, path in zip(made, solved, strict=True)]
    return StepOutcome(
        outputs=tuple(outputs),
        figures=clip_figures(clips[0]),
        warnings=tuple(dict.fromkeys(warnings)),
        facts=clip_facts(clips),
        faults=tuple(faults),
        cameras=camera_rows(clips[0]),
    )


_STEPS: Final = {Step.SOLVE: solve_clip, Step.EXPORT: export_clip, Step.PREVIEW: look_clip}


@dataclass(frozen=True, slots=True)
class _Made:
    """Whose files are put in place."""

    clip: PlannedClip
    storage: Storage
    person: int
    people: int

    def publish(self, path: Path, kind: OutputKind) -> OutputFile:
        return self._put(path, self.clip.output_name(kind, self.person, self.people), kind.value)

    def publish_as(self, path: Path, kind: OutputKind, name: str) -> OutputFile:
        """A file under a name of its own."""
        return self._put(path, name, kind.value)

    def publish_beside(self, path: Path, below: str) -> OutputFile:
        """A file that an exporter left beside its own, such as textures."""
        folder = self.clip.base.rpartition("/")[0]
        return self._put(path, f"{folder}/{below}" if folder else below, "")

    def _put(self, path: Path, name: str, kind: str) -> OutputFile:
        size, digest = path.stat().st_size, sha256_of(path)
        self.storage.put(path, name)
        return OutputFile(kind, name, size, digest)


def _export_person(
    made: _Made, kinds: list[OutputKind], solved: Path, bench: Bench, progress: ProgressCallback
) -> StepOutcome:
    animate, clip = made.clip.order.animate, made.clip
    folder = solved.parent / f"out.{made.person}"
    folder.mkdir()
    name = clip.label if made.people == 1 else f"{clip.label}.{made.person}"
    paths = {kind: folder / f"{name}{kind.ending}" for kind in kinds}
    order = ExportOrder(
        clip=str(solved.absolute()),
        outputs=tuple(str(path.absolute()) for path in paths.values()),
        action=clip.label,
        rig=animate.rig,
        armature=animate.armature,
        rate=animate.rate,
        smooth=animate.smooth,
        ground=animate.ground,
        in_place=animate.in_place,
        straighten_deg=animate.straighten_deg,
        loop=animate.loop,
        mirror=animate.mirror,
    )
    reply = bench.blender().export(order, lambda what, done, total: progress(Progress(what, done, total)))
    outputs = [made.publish(path, kind) for kind, path in paths.items() if path.is_file()]
    beside = sorted(path for path in folder.glob(f"{_SIDE_FILES}/**/*") if path.is_file())
    outputs += [made.publish_beside(path, path.relative_to(folder).as_posix()) for path in beside]
    return StepOutcome(
        outputs=tuple(outputs),
        warnings=tuple(ClipWarning(WarningCode.RETARGET, text) for text in reply.warnings),
        lines=reply.lines,
        facts={"blender": bench.blender().version},
        faults=tuple(Fault("blender", fault.message.replace(str(folder), "").strip()) for fault in reply.faults),
    )


def _cache_thumbnail(clip: PlannedClip, storage: Storage, clips: list[MotionClip]) -> None:
    name = solve_cache.thumbnail_name(clip.solve_key)
    if is_from_elsewhere(clips[0]) or solve_cache.read_thumbnail(storage, clip.solve_key) is not None:
        return
    thumbnail = make_thumbnail(open_source(clip.order, clips), clips)
    record = {
        "film": base64.b64encode(thumbnail.video).decode(),
        "pictures": [base64.b64encode(image).decode() for image in thumbnail.images],
    }
    storage.write(name, json.dumps(record).encode())


def _joined(first: StepOutcome, second: StepOutcome) -> StepOutcome:
    return StepOutcome(
        outputs=tuple({one.name: one for one in (*first.outputs, *second.outputs)}.values()),
        warnings=tuple(dict.fromkeys((*first.warnings, *second.warnings))),
        lines=(*first.lines, *second.lines),
        facts={**first.facts, **second.facts},
        faults=(*first.faults, *second.faults),
    )


@contextmanager
def _work_folder(bench: Bench, clip: PlannedClip) -> Iterator[Path]:
    """A folder for this attempt alone: what a killed one left behind is never picked up."""
    mark = hashlib.sha256(clip.base.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    folder = bench.storage.scratch() / f"task-{mark}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
    except OSError as fault:
        raise output_error(folder, fault) from fault
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
