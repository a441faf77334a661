"""What a batch is asked to make of each clip, as frozen dataclasses that cross process borders.

stdlib and `blender_addon.motion` only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePosixPath

from blender_addon.motion.clip_warning import ClipWarning
from blender_addon.motion.export_formats import format_named
from blender_addon.motion.read_motion_file import MOTION_ENDINGS, SCENE_ENDINGS

_ENDINGS = {"clip": ".npz", "overlay": ".overlay.mp4", "sheet": ".sheet.png", "setup": ".setup.json"}


class OutputKind(Enum):
    """What can be made of a clip; the value is its name on the command line. A set-up is of a take alone."""

    CLIP = "clip"
    BVH = "bvh"
    FBX = "fbx"
    GLB = "glb"
    USD = "usd"
    BLEND = "blend"
    OVERLAY = "overlay"
    SHEET = "sheet"
    SETUP = "setup"

    @property
    def ending(self) -> str:
        """The ending of its files."""
        return _ENDINGS.get(self.value, f".{self.value}")

    @property
    def needs_blender(self) -> bool:
        """Whether Blender makes it; one file a person then, where others show everyone in one."""
        return self is OutputKind.BLEND or format_named(self.value) is not None

    @property
    def label(self) -> str:
        """Its name for people."""
        known = format_named(self.value)
        return known.label if known else self.value

    @property
    def for_each_person(self) -> bool:
        """Whether several people become several files."""
        return self.needs_blender or self is OutputKind.CLIP


class Step(Enum):
    """The steps of one clip. EXPORT and LOOK both follow SOLVE and may run side by side."""

    SOLVE = "solve"
    EXPORT = "export"
    PREVIEW = "look"


@dataclass(frozen=True, slots=True)
class SolveSettings:
    """How a clip is solved, as text and numbers: what `solve` takes, in the words of its options."""

    range: str = ""
    """Frames or seconds to solve, as `--range` takes them; empty for the whole video."""
    person: str = "largest"
    """Who is solved: `largest`, `longest`, `moving`, `all`, a number, or `X,Y@FRAME`."""
    max_people: int = 4
    """How many people are followed at once."""
    height_m: float | None = None
    """Body height in metres; None for the assumed height."""
    fov_deg: float | None = None
    """Field of view in degrees over the longer side of the image."""
    focal_px: float | None = None
    """Focal length in pixels of the upright frame. At most one of this, `fov_deg` and `calibration` is given."""
    calibration: str = ""
    """Path of a calibration file."""
    camera: str = ""
    """Which camera of the calibration file; empty for the one that is named like the video."""
    gravity: str = ""
    """Direction down in the camera as `x,y,z`; empty to estimate it."""
    quality: str = "best"
    """A value of `SolveQuality`."""
    slow_motion: float = 1.0
    """How many times slower than life the video plays."""
    fps: float | None = None
    """Frames per second of an image sequence."""
    towers: str = ""
    """Path of towers of your own; empty for the shipped ones."""
    bank: str = ""
    """Path of a bank of your own; empty for the shipped one."""
    hands: bool = False
    """Solve the fingers too."""
    face: bool = False
    """Solve the face too."""
    offset: str = ""
    """Of a take: by how many seconds each video but the first begins later, as `--offset` takes them."""
    setup: str = ""
    """Of a take: path of the set-up of an earlier one."""
    close_up_offset: str = ""
    """Of a take: by how many seconds each close-up begins later than the first video."""


@dataclass(frozen=True, slots=True)
class AnimateSettings:
    """How a solved clip goes onto a rig; `rig` is a file, empty for the clip's own body as a plain armature."""

    rig: str = ""
    armature: str = ""
    smooth: str = "light"
    ground: bool = False
    in_place: bool = False
    straighten_deg: float = 0.0
    loop: str = "off"
    mirror: bool = False
    rate: str = "source"


@dataclass(frozen=True, slots=True)
class ClipTask:
    """One clip to convert: its source (a video, images, a solved `.npz`, a motion file), where it lay below the input
    that named it, what to make of it. `trouble` says why it cannot even be tried. A take has `more_videos` or
    `close_ups`, and a `word` of its own for names: that of its folder.
    """

    source: str
    folder: str = ""
    solve: SolveSettings = SolveSettings()
    animate: AnimateSettings = AnimateSettings()
    kinds: tuple[OutputKind, ...] = ()
    name: str = ""
    trouble: Fault | None = None
    more_videos: tuple[str, ...] = ()
    word: str = ""
    close_ups: tuple[str, ...] = ()

    @property
    def videos(self) -> tuple[str, ...]:
        """All sources of the body: those of a take in order, else the one."""
        return (self.source, *self.more_videos)

    @property
    def files(self) -> tuple[str, ...]:
        """All sources, close-ups last."""
        return (*self.videos, *self.close_ups)

    @property
    def is_take(self) -> bool:
        """Whether several videos are solved together."""
        return bool(self.more_videos or self.close_ups)

    @property
    def is_solved(self) -> bool:
        """Whether the source is motion already: a clip, or a motion file of another tool."""
        return not self.is_take and self.source.lower().endswith((*MOTION_ENDINGS, *SCENE_ENDINGS))

    @property
    def needs_blender(self) -> bool:
        """Whether any of its outputs is made by Blender."""
        return any(kind.needs_blender for kind in self.kinds)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something failed: the error's stable code, what happened, what to do."""

    code: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """An order with the `base` of its outputs' names, the hash of what its solve depends on, and of everything."""

    order: ClipTask
    base: str
    solve_key: str = ""
    key: str = ""

    @property
    def label(self) -> str:
        """A short name for people."""
        return PurePosixPath(self.base).name

    def output_name(self, kind: OutputKind, person: int, people: int) -> str:
        """The output's name below the batch's folder; a person's number is added where there are several."""
        numbered = kind.for_each_person and people > 1
        return f"{self.base}.{person}{kind.ending}" if numbered else f"{self.base}{kind.ending}"

    def view_name(self, kind: OutputKind, place: int) -> str:
        """The name of what shows the video at a place of a take, where it is not the clip's own video."""
        return f"{self.base}.{place}{kind.ending}"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What holds for all clips of a run and every worker: where results go, with what they are made.

    `out` is a folder or an fsspec URL; `restart_after` clips a fresh Blender is started; a step that is silent for
    `stall_s` counts as hung; `memory_bytes` bounds one worker with its Blender (0: no bound).
    """

    out: str
    device: str = "auto"
    blender: str = ""
    restart_after: int = 20
    stall_s: float = 900.0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StepTask:
    """One step of one clip; `attempt` counts from 1."""

    step: Step
    clip: PlannedClip
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that was made: its name below the batch's folder, size, SHA-256. `kind` is empty for what came along."""

    kind: str
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CameraRow:
    """One camera of a take for the report; `reason` says why one that is not `used` was left out.

    `start_s` counts against the clip's video; focal length and `reprojection_px` in px of the upright frame.
    """

    video: str
    used: bool
    start_s: float = 0.0
    focal_px: float = 0.0
    focal_share: float = 0.0
    rotation_deg: float = 0.0
    reprojection_px: float = 0.0
    calibrated_from: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What a step leaves. `faults` are outputs that could not be made while others could; `cameras` are a take's."""

    outputs: tuple[OutputFile, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    warnings: tuple[ClipWarning, ...] = ()
    lines: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    cameras: tuple[CameraRow, ...] = ()


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step's end: `fault` where it failed as a whole, else its outcome; which worker, and the seconds it took."""

    order: StepTask
    worker: str
    seconds: float
    outcome: StepOutcome | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class StepProgress:
    """Where a worker stands."""

    worker: str
    step: Step
    base: str
    stage: str
    done: int
    total: int
