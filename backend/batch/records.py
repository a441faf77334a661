"""What the batch remembers of each clip between runs: one small JSON file a clip, written whole.

May import stdlib, `backend.batch` and `backend.errors`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from backend.batch.solve_cache import record_name
from backend.batch.storage import Storage
from backend.batch.tasks import CameraRow, Fault, OutputFile, OutputKind, PlannedClip, StepOutcome
from backend.errors import MarionetError, OutputError
from blender_addon.motion.clip_warning import ClipWarning, warnings_from_record

ClipStatus = Literal["waiting", "running", "done", "failed", "stopped"]
WAITING: Final = "waiting"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
STOPPED: Final = "stopped"
RECORD_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """One clip as it stands in the output folder. A take has its `videos` and, once solved, their `cameras`.

    `status` in a file is never `waiting`; `claims` are the names that a run under way may write, so that
    the next run knows its own half work; `seconds` by step; `attempts` the most that a step took; `reused` that this
    run had nothing to do.
    """

    source: str
    base: str
    key: str
    status: ClipStatus
    rig: str = ""
    range: str = ""
    person: str = ""
    outputs: tuple[OutputFile, ...] = ()
    claims: tuple[str, ...] = ()
    fault: Fault | None = None
    faults: tuple[Fault, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    warnings: tuple[ClipWarning, ...] = ()
    lines: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    attempts: int = 0
    reused: bool = False
    solve_key: str = ""
    videos: tuple[str, ...] = ()
    cameras: tuple[CameraRow, ...] = ()

    def with_outcome(self, outcome: StepOutcome) -> ClipRecord:
        """The record with what a step left added."""
        return replace(
            self,
            outputs=tuple({one.name: one for one in (*self.outputs, *outcome.outputs)}.values()),
            figures={**self.figures, **outcome.figures},
            warnings=tuple(dict.fromkeys((*self.warnings, *outcome.warnings))),
            lines=(*self.lines, *outcome.lines),
            facts={**self.facts, **outcome.facts},
            cameras=outcome.cameras or self.cameras,
        )


def new_record(clip: PlannedClip, status: ClipStatus, fault: Fault | None = None) -> ClipRecord:
    """A record without results."""
    order = clip.order
    return ClipRecord(
        source=order.source,
        base=clip.base,
        key=clip.key,
        status=status,
        rig=order.animate.rig,
        range=order.solve.range,
        person=order.solve.person,
        claims=claims_of(clip),
        fault=fault,
        solve_key=clip.solve_key,
        videos=order.files if order.is_take else (),
    )


def claims_of(clip: PlannedClip) -> tuple[str, ...]:
    """Every name that the clip's steps may write."""
    order = clip.order
    names = [clip.output_name(kind, 0, 1) for kind in order.kinds]
    if order.solve.person == "all":
        each = [kind for kind in order.kinds if kind.for_each_person]
        names += [clip.output_name(kind, person, 2) for kind in each for person in range(order.solve.max_people)]
    if order.is_take and OutputKind.OVERLAY in order.kinds:
        names += [clip.view_name(OutputKind.OVERLAY, place) for place in range(len(order.videos))]
    return tuple(dict.fromkeys(names))


class RecordStore:
    """The records in a batch's storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def read(self, base: str) -> ClipRecord | None:
        """A clip's record; None where there is none or it is damaged (the clip is then done anew)."""
        try:
            raw = self._storage.read(record_name(base))
            record = json.loads(raw) if raw else None
            return _from_json(record) if record and record.pop("version") == RECORD_VERSION else None
        except (MarionetError, ValueError, KeyError, TypeError):
            return None

    def write(self, record: ClipRecord) -> None:
        """Replace a clip's record. Raises OutputError."""
        text = json.dumps({"version": RECORD_VERSION, **asdict(record), **warning_words(record)}, indent=1)
        self._storage.write(record_name(record.base), text.encode())

    def is_finished(self, record: ClipRecord | None, clip: PlannedClip) -> bool:
        """Whether the record says that exactly this was done, and every file is still there."""
        if record is None or record.status != DONE or record.key != clip.key:
            return False
        return all(self._storage.size(output.name) is not None for output in record.outputs)

    def check_room(self, record: ClipRecord | None, clip: PlannedClip) -> None:
        """Raise OutputError where a file lies that no run of this batch has put there, or that was made of
        another video: it is not overwritten.
        """
        ours: set[str] = set()
        maker = "was not made by this batch"
        if record is not None and is_of_another_video(record, clip):
            maker = f"was made of {record.source}"
        elif record is not None:
            ours = {*record.claims, *(output.name for output in record.outputs)}
        for name in claims_of(clip):
            if name not in ours and self._storage.size(name) is not None:
                remedy = "Move it, choose another --name or -o, or --overwrite"
                raise OutputError(f"{self._storage.address(name)} is there already and {maker}", remedy)


def is_of_another_video(record: ClipRecord, clip: PlannedClip) -> bool:
    """Whether the record under a clip's name is of another video: cameras number theirs alike.

    A video that was moved, or edited where it lies, is the same one; so is a take with a video more or less.
    """
    shared = set(clip.order.videos) & set(record.videos or (record.source,))
    return not shared and clip.solve_key != record.solve_key


def warning_words(record: ClipRecord) -> dict[str, list[str]]:
    """A record's warnings as files hold them: the sentences, and their codes in the same order."""
    return {
        "warnings": [warning.text for warning in record.warnings],
        "warning_codes": [warning.code.value for warning in record.warnings],
    }


def _from_json(record: dict[str, Any]) -> ClipRecord:
    def fault(value: dict[str, str] | None) -> Fault | None:
        return Fault(**value) if value else None

    lists: dict[str, Any] = {name: tuple(record.get(name, ())) for name in ("claims", "lines", "videos")}
    lists["cameras"] = tuple(CameraRow(**row) for row in record.get("cameras", ()))
    lists["warnings"] = warnings_from_record(record["warnings"], record.pop("warning_codes", None))
    outputs = tuple(OutputFile(**output) for output in record["outputs"])
    faults = tuple(Fault(**one) for one in record["faults"])
    return ClipRecord(**{**record, **lists, "outputs": outputs, "faults": faults, "fault": fault(record["fault"])})
