"""What went wrong, as sentences in the panel's words."""

from __future__ import annotations

from blender_addon.ui.panel_words import told


def test_words_and_remedy_are_two_sentences() -> None:
    assert told("the camera is in use", "Close the other program") == "The camera is in use. Close the other program."
    assert told("It ended.", "") == "It ended."
    assert told("no camera", "List the cameras: python -m backend live --list").endswith("(Find Cameras).")
