"""Warnings of the command line in the words of the panel. Free of bpy."""

from __future__ import annotations

from ..retarget.joint_words import sentences

_FLAGS = {
    "give --close-up-offset, the": "turn on Known Offset in its row and enter the",
    "solve one person with --person": "choose one person under Capture",
    "give --fov": "set Field of View under Capture",
    "give --height": "set Body Height under Capture",
    "use --gravity": "use the direction down on the command line, --gravity",
    "give --gravity": "give the direction down on the command line, --gravity",
    "use --person": "choose the person under Capture",
    "give --person": "choose the person under Capture",
    "List the cameras: python -m backend live --list": "Click the lens icon under Live (Find Cameras)",
}


def in_panel_words(text: str) -> str:
    """A warning of the command line with the panel's settings in place of its flags."""
    for flag, words in _FLAGS.items():
        text = text.replace(flag, words)
    return text[:1].upper() + text[1:]


def told(words: str, remedy: str) -> str:
    """What went wrong and what to do, as sentences in the panel's words."""
    return sentences(tuple(in_panel_words(part) for part in (words, remedy) if part))
