"""Quality figures read the same in the panel, the bake report and the batch page, and every one has a label."""

from __future__ import annotations

from blender_addon.motion.quality import measure_clip
from blender_addon.motion.quality_labels import clip_lines, figure_line
from tests.motion.motions import make_clip, walking


def test_every_figure_of_a_clip_has_a_label() -> None:
    times, rotations, root, _ = walking(1.0, 30.0)
    figures = measure_clip(make_clip(times, rotations, root)).as_figures()
    assert figures
    for name, value in figures.items():
        for line in (figure_line(name, value), figure_line(f"clip {name}", value)):
            assert "_" not in line, line
            assert ": " not in line.removeprefix("Clip: "), line


def test_a_figure_is_shown_in_its_unit() -> None:
    assert figure_line("acceleration_m_s2", 3.14) == "Acceleration 3.1 m/s²"
    assert figure_line("clip foot_skate_m_s", 0.021) == "Clip: standing feet slide 2.1 cm/s"
    assert figure_line("frames", 48.0) == "Frames with a pose 48"
    assert clip_lines({"jerk_m_s3": 60.0, "solved_share": 0.5}) == ["Frames with a pose 50 %"]


def test_a_figure_without_a_label_is_shown_by_its_name() -> None:
    assert figure_line("something new", 0.12345) == "something new: 0.1235"
