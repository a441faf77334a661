"""How quality figures read for people: label, unit and digits of each, and from where on one needs review. stdlib only.

The panel, the bake report and the batch page show the same labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CLIP_PREFIX = "clip "
"""Before the names of a bake's figures that are of the clip, not of the rig."""


@dataclass(frozen=True, slots=True)
class FigureLabel:
    """How one figure reads: its value times `factor`, with `digits` after the point, in `unit`."""

    name: str
    label: str
    unit: str
    worse_above: float | None = None
    worse_below: float | None = None
    factor: float = 1.0
    digits: int = 0

    def is_bad(self, value: float) -> bool:
        """Whether a clip with this value needs review."""
        return (self.worse_above is not None and value > self.worse_above) or (
            self.worse_below is not None and value < self.worse_below
        )

    def number(self, value: float) -> str:
        """The value as it is shown, without its unit."""
        return f"{value * self.factor:.{self.digits}f}"


FIGURES = (
    FigureLabel("solved_share", "frames with a pose", "%", worse_below=0.9, factor=100.0),
    FigureLabel("mean_confidence", "confidence", "%", worse_below=0.5, factor=100.0),
    FigureLabel("foot_skate_m_s", "standing feet slide", "cm/s", worse_above=0.1, factor=100.0, digits=1),
    FigureLabel("foot_skate_before_m_s", "before planting", "cm/s", worse_above=0.3, factor=100.0, digits=1),
    FigureLabel("floating_m", "standing feet float", "cm", worse_above=0.05, factor=100.0, digits=1),
    FigureLabel("floating_before_m", "before planting", "cm", worse_above=0.15, factor=100.0, digits=1),
    FigureLabel("penetration_m", "feet in the floor", "cm", worse_above=0.03, factor=100.0, digits=1),
    FigureLabel("penetration_before_m", "before planting", "cm", worse_above=0.09, factor=100.0, digits=1),
    FigureLabel("step_motion_kept", "motion of steps kept", "%", worse_below=0.6, factor=100.0),
    FigureLabel("contact_share", "feet on the ground", "%", factor=100.0),
    FigureLabel("acceleration_m_s2", "acceleration", "m/s²", worse_above=30.0, digits=1),
)
"""The figures that tell one clip from another, in the order in which they are shown."""

_OTHERS = (
    FigureLabel("below_floor_m", "deepest foot", "cm", factor=100.0, digits=1),
    FigureLabel("jerk_m_s3", "jerk", "m/s³", digits=1),
    FigureLabel("below_floor_share", "frames with a foot below the floor", "%", factor=100.0),
    FigureLabel("scale", "scale", "", digits=3),
    FigureLabel("frames", "frames with a pose", ""),
    FigureLabel("planted foot frames", "planted feet, in frames", ""),
    FigureLabel("planted foot frames out of reach", "planted feet out of reach, in frames", ""),
)
_LABELS = {label.name: label for label in (*FIGURES, *_OTHERS)}


def figure_line(name: str, value: float) -> str:
    """A figure in words, as "Foot skate 2.1 cm/s"; one without a label by its name."""
    label = _LABELS.get(name.removeprefix(CLIP_PREFIX))
    if label is None:
        return f"{name}: {value:.4g}"
    words = f"{label.label} {label.number(value)} {label.unit}".rstrip()
    return f"Clip: {words}" if name.startswith(CLIP_PREFIX) else words[0].upper() + words[1:]


def clip_lines(figures: Mapping[str, float]) -> list[str]:
    """The figures of a clip that tell it from another, in words."""
    return [figure_line(label.name, figures[label.name]) for label in FIGURES if label.name in figures]
