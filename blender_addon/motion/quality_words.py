"""Quality figures in plain words, with bounds of good, fair and poor.

May import its own room only. The panel and the batch page show these lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Grade(Enum):
    """How good a figure is."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Up to `good` a figure is good, up to `fair` it is fair; where `good` is the larger one, higher is better.

    `words` is the sentence, with the value in its place, times `factor`; `before` names the same figure as it was
    before feet were planted.
    """

    words: str
    good: float
    fair: float
    factor: float = 1.0
    before: str = ""

    def grade(self, value: float) -> Grade:
        """The grade of a value."""
        sign = -1.0 if self.good > self.fair else 1.0
        if sign * value <= sign * self.good:
            return Grade.GOOD
        return Grade.FAIR if sign * value <= sign * self.fair else Grade.POOR


BOUNDS = {
    "solved_share": Bounds("{:.0f} % of the frames have a pose", 0.98, 0.9, 100.0),
    "mean_confidence": Bounds("The pose is {:.0f} % confident", 0.6, 0.45, 100.0),
    "foot_skate_m_s": Bounds("Standing feet slide {:.1f} cm/s", 0.03, 0.1, 100.0, "foot_skate_before_m_s"),
    "floating_m": Bounds("Standing feet float {:.1f} cm", 0.02, 0.05, 100.0, "floating_before_m"),
    "penetration_m": Bounds("Feet sink {:.1f} cm into the floor", 0.01, 0.03, 100.0, "penetration_before_m"),
    "step_motion_kept": Bounds("{:.0f} % of the motion of stepping feet is left", 0.85, 0.6, 100.0),
    "acceleration_m_s2": Bounds("Joints accelerate by {:.1f} m/s²", 15.0, 30.0),
}
"""Figures by their name in a clip's header, in the order in which they are shown."""

# before planting, feet may slide and float this much more
_BEFORE_FACTOR = 3.0


def grade(name: str, value: float) -> Grade | None:
    """The grade of a figure, None of one without bounds; those `before` planting have bounds three times as wide."""
    for own, bounds in BOUNDS.items():
        if own == name:
            return bounds.grade(value)
        if bounds.before == name:
            return bounds.grade(value / _BEFORE_FACTOR)
    return None


def quality_lines(figures: Mapping[str, float]) -> list[tuple[str, Grade]]:
    """Sentences with their grades for the figures of a clip; figures that are not known are left out."""
    lines = []
    for name, bounds in BOUNDS.items():
        if name in figures:
            found = bounds.grade(figures[name])
            text = f"{bounds.words.format(figures[name] * bounds.factor)}: {found.value}"
            if bounds.before in figures:
                was = figures[bounds.before]
                was_grade = grade(bounds.before, was)
                text += f" ({was * bounds.factor:.1f} before planting: {was_grade.value if was_grade else ''})"
            lines.append((text, found))
    return lines
