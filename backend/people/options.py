"""What a caller may ask of the people stage. Stdlib and backend.errors only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from backend.errors import BadInputError


class Quality(Enum):
    """Which landmark network sees the crops; the value is the network's name."""

    LITE = "pose_lite"
    FULL = "pose_full"
    HEAVY = "pose_heavy"


class Choice(Enum):
    """Which of the people in a video is wanted; the largest one is the subject of the shot (`people.subject`)."""

    LARGEST = "largest"
    LONGEST = "longest"
    MOST_MOVING = "most_moving"
    CLICK = "click"
    INDEX = "index"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Selection:
    """A choice, with the point (x, y in px of the upright frame, source frame index) or track number it needs.

    `click_in_px` (width, height) is the upright image that a point is counted in where that is another than the
    video's frame of square pixels: a program that shows pixels as they are stored counts fewer or more of them.
    `frame_px` (width, height) of the video, where it is known: the largest person counts more in its middle.
    """

    choice: Choice = Choice.LARGEST
    click_px: tuple[float, float] | None = None
    click_frame: int = 0
    index: int | None = None
    click_in_px: tuple[int, int] | None = None
    frame_px: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.choice is Choice.CLICK and self.click_px is None:
            raise BadInputError("Choosing a person by click needs a point", "Give x,y and the frame")
        if self.choice is Choice.INDEX and self.index is None:
            raise BadInputError("Choosing a person by number needs the number", "The contact sheet shows the numbers")

    def in_frame(self, width: int, height: int) -> Selection:
        """The same choice for a video's upright frame of `width` x `height`, its point in px of that.

        Raises BadInputError where the image that the point was counted in lies on its side.
        """
        if self.click_px is None or self.click_in_px is None or self.click_in_px == (width, height):
            return replace(self, click_in_px=None, frame_px=(width, height))
        if self.click_in_px == (height, width):
            raise BadInputError(
                f"The point was picked in an image of {height} x {width} pixels, upright the video has {width} x "
                f"{height}",
                "The image lay on its side there: give the point in the upright image, or choose by number",
            )
        x, y = self.click_px
        point = x * width / self.click_in_px[0], y * height / self.click_in_px[1]
        return replace(self, click_px=point, click_in_px=None, frame_px=(width, height))


@dataclass(frozen=True, slots=True)
class PeopleOptions:
    """How people are found and followed.

    `max_people` followed at once (1 is fastest: nobody else is looked for while that person is in sight);
    `search_interval_s` between looks for new people; `remember_s` how long a person out of sight keeps the identity
    on place and inferences, `return_s` how long on looks alone (without end where nobody else was seen);
    `least_presence` of the landmark network 0..1; `mirror`: every other frame is seen in a mirror (`people.mirror`);
    `device` and `threads` for the networks (two frames are worked on at once when there are two threads).
    """

    quality: Quality = Quality.FULL
    max_people: int = 4
    selection: Selection = field(default_factory=Selection)
    search_interval_s: float = 0.5
    remember_s: float = 2.0
    return_s: float = 20.0
    least_presence: float = 0.5
    mirror: bool = True
    device: str = "cpu"
    threads: int = 2

    def __post_init__(self) -> None:
        if self.max_people < 1:
            raise BadInputError(f"At least one person must be followed, not {self.max_people}")
        if self.threads < 1:
            raise BadInputError(f"At least one thread is needed, not {self.threads}")
