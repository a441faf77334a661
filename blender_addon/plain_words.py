"""What the backend and the clip report in figures and flags, in the panel's words. Free of bpy.

The bounds of good, fair and poor are those that `motion/quality.py` names for calm walking, with room for fast motion.
"""

from __future__ import annotations

from dataclasses import dataclass

_FLAGS = {
    "give --fov": "set Field of View under Capture",
    "give --height": "set Body Height under Capture",
    "use --gravity": "video level, or give the gravity on the command line (--gravity)",
    "give --gravity": "video level, or give the gravity on the command line (--gravity)",
    "use --person": "choose the person under Capture",
    "give --person": "choose the person under Capture",
}


@dataclass(frozen=True, slots=True)
class _Figure:
    """A figure's words, its unit's factor and name, and up to where it is good and fair; rising ones from there on."""

    words: str
    factor: float
    unit: str
    good: float
    fair: float
    rising: bool = False

    def line(self, value: float) -> str:
        """The figure in words, with its verdict."""
        better = value >= self.good if self.rising else value <= self.good
        passable = value >= self.fair if self.rising else value <= self.fair
        verdict = "good" if better else "fair" if passable else "poor"
        return f"{self.words}: {verdict} ({self.factor * value:.3g}{self.unit})"


_FIGURES = {
    "solved_share": _Figure("Frames with a pose", 100.0, " %", 0.98, 0.8, rising=True),
    "mean_confidence": _Figure("Confidence", 100.0, " %", 0.7, 0.45, rising=True),
    "acceleration_m_s2": _Figure("Calmness", 1.0, " m/s²", 6.0, 20.0),
    "jerk_m_s3": _Figure("Smoothness", 1.0, " m/s³", 200.0, 800.0),
    "foot_skate_m_s": _Figure("Feet slide", 100.0, " cm/s", 0.01, 0.05),
    "below_floor_m": _Figure("Feet below the floor", 1000.0, " mm", 0.005, 0.03),
    "below_floor_share": _Figure("Frames below the floor", 100.0, " %", 0.02, 0.1),
}


def figure_lines(figures: dict[str, float], prefix: str = "") -> list[str]:
    """The figures that have a verdict, one a line, in the order above; `prefix` stands before their names."""
    return [row.line(figures[prefix + name]) for name, row in _FIGURES.items() if prefix + name in figures]


def in_panel_words(text: str) -> str:
    """A warning of the command line with the panel's settings in place of its flags."""
    for flag, words in _FLAGS.items():
        text = text.replace(flag, words)
    return text[:1].upper() + text[1:]
