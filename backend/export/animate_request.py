"""What Blender is asked for and what it answers: one JSON object a line. stdlib; both sides of the pipe read it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

LEAST_BLENDER: Final = (4, 2, 0)
RIG_ENDINGS: Final = (".blend", ".fbx", ".glb", ".gltf")


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """One person's clip onto one rig, into files.

    `rig` is a file of `RIG_ENDINGS` (empty: the clip's own body as a plain armature), `armature` the object's name in
    it (empty: the one with the most bones). `outputs` are paths whose endings choose the format. `rate` is "source",
    "rig" or frames a second as text; `smooth` a preset's name; `ground` puts standing feet on the floor;
    `straighten_deg` bends knees by up to so much less; `loop` is a value of `Loop`, `mirror` exchanges left and right.
    """

    clip: str
    outputs: tuple[str, ...]
    action: str
    rig: str = ""
    armature: str = ""
    rate: str = "source"
    smooth: str = "light"
    ground: bool = False
    in_place: bool = False
    straighten_deg: float = 0.0
    loop: str = "off"
    mirror: bool = False


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """A scene file (FBX, glTF) whose motions are to be written as clips into a folder."""

    motion: str
    folder: str


@dataclass(frozen=True, slots=True)
class ExportFault:
    """One output that could not be made, and why."""

    output: str
    message: str


@dataclass(frozen=True, slots=True)
class ExportReply:
    """What came of an order: the add-on's account of the bake in sentences, warnings, figures, faults of outputs."""

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    figures: dict[str, float] | None = None
    faults: tuple[ExportFault, ...] = ()
    seconds: dict[str, float] | None = None


def order_to_line(order: ExportOrder | ReadOrder) -> str:
    """One line for Blender's standard input."""
    return json.dumps(asdict(order)) + "\n"


def order_from_line(line: str) -> ExportOrder | ReadOrder:
    """The order in a line. Raises ValueError for a line that holds none."""
    record = json.loads(line)
    if "motion" in record:
        return ReadOrder(**_known(ReadOrder, record))
    return ExportOrder(**_known(ExportOrder, {**record, "outputs": tuple(record["outputs"])}))


def reply_from_record(record: dict[str, Any]) -> ExportReply:
    """The reply in a decoded line."""
    faults = tuple(ExportFault(**fault) for fault in record.get("faults", ()))
    plain = {**record, "faults": faults, "lines": tuple(record["lines"]), "warnings": tuple(record["warnings"])}
    return ExportReply(**_known(ExportReply, plain))


def _known(kind: type, record: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in record.items() if name in names}
