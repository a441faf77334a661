"""Options that are text on the command line, in a batch manifest and on the wire, and the request they make.

May import `backend.solving.request` and what it is made of.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backend.camera import CameraOptions
from backend.embedding.model_files import SHIPPED, ModelFiles
from backend.errors import BadInputError
from backend.people.options import Choice, Selection
from backend.solving.request import SolveQuality, SolveRequest
from backend.video import FrameRange, parse_range

_CLICK = re.compile(r"^(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?)(?:@(\d+))?$")
_WORDS = {
    "largest": Choice.LARGEST,
    "longest": Choice.LONGEST,
    "moving": Choice.MOST_MOVING,
    "most_moving": Choice.MOST_MOVING,
    "all": Choice.ALL,
}


def parse_person(text: str) -> Selection:
    """Read `largest`, `longest`, `moving`, `all`, a track's number, or `X,Y@FRAME` in pixels.

    Raises BadInputError for anything else.
    """
    word = text.strip().lower()
    if word in _WORDS:
        return Selection(_WORDS[word])
    if word.isdigit():
        return Selection(Choice.INDEX, index=int(word))
    click = _CLICK.match(word)
    if click:
        return Selection(Choice.CLICK, click_px=(float(click[1]), float(click[2])), click_frame=int(click[3] or 0))
    raise BadInputError(
        f"--person {text!r}: unknown person", "Use largest, longest, moving, all, a number from `tracks`, or X,Y@FRAME"
    )


def parse_quality(text: str) -> SolveQuality:
    """Read `fast`, `balanced` or `best`. Raises BadInputError for anything else."""
    names = [quality.value for quality in SolveQuality]
    if text not in names:
        raise BadInputError(f"Unknown quality {text!r}", f"Choose from {', '.join(names)}")
    return SolveQuality(text)


def parse_direction(text: str) -> tuple[float, float, float]:
    """Read `x,y,z` in camera axes. Raises BadInputError for anything else."""
    return _direction(text.split(","), text)


def direction_of(given: str | Sequence[float] | None) -> tuple[float, float, float] | None:
    """A direction as text or as three numbers; None where there is none. Raises BadInputError for anything else."""
    if not given:
        return None
    return _direction(given.split(",") if isinstance(given, str) else given, given)


def _direction(parts: Sequence[str] | Sequence[float], given: object) -> tuple[float, float, float]:
    try:
        x, y, z = (float(part) for part in parts)
    except ValueError:
        raise BadInputError(f"--gravity {given!r} is not a direction", "Give x,y,z, for example 0,1,0") from None
    return (x, y, z)


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What a command, a batch or a client asks of a solve: text where a user writes text."""

    range: str | FrameRange | None = None
    """Frames or seconds to solve, as `--range` takes them; empty or None for the whole video."""
    person: str = "largest"
    """`largest`, `longest`, `moving`, `all`, a number, or `X,Y@FRAME`."""
    point_image_px: tuple[int, int] = (0, 0)
    """Width and height of the upright image in which the point of `person` is counted; 0: the video's own."""
    max_people: int = 4
    """How many people are followed at once."""
    height_m: float | None = None
    """Body height in metres; None for the assumed height."""
    camera: CameraOptions = CameraOptions()
    """What is known of the camera."""
    gravity: str | tuple[float, ...] | None = None
    """Direction down in the camera, as `x,y,z` or three numbers; empty or None to estimate it."""
    quality: str = SolveQuality.BEST.value
    """A value of `SolveQuality`."""
    model: ModelFiles = SHIPPED
    """The towers and the bank."""
    smoothing: str = "off"
    """Name of a smoothing preset."""
    hands: bool = False
    """Solve the fingers too."""
    face: bool = False
    """Solve the face too."""
    slow_motion: float = 1.0
    """How many times slower than life the video plays."""
    sequence_fps: float | None = None
    """Frames per second of an image sequence."""


def request_from_options(
    video: Path,
    output: Path,
    options: RequestOptions,
    device: str = "auto",
    resume: bool = False,
    max_frames: int = 0,
) -> SolveRequest:
    """The request for one video: the only place that reads these options. Raises BadInputError for unusable ones."""
    span = options.range or FrameRange()
    person = parse_person(options.person)
    if min(options.point_image_px) > 0:
        person = replace(person, click_in_px=options.point_image_px)
    return SolveRequest(
        video=video,
        output=output,
        range=parse_range(span) if isinstance(span, str) else span,
        person=person,
        max_people=options.max_people,
        height_m=options.height_m,
        camera=options.camera,
        gravity_camera=direction_of(options.gravity),
        quality=parse_quality(options.quality),
        model=options.model,
        device=device,
        smoothing=options.smoothing,
        hands=options.hands,
        face=options.face,
        slow_motion=options.slow_motion,
        sequence_fps=options.sequence_fps,
        resume=resume,
        max_frames=max_frames,
    )
