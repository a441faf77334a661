"""Warnings of the command line in the words of the panel. Free of bpy."""

from __future__ import annotations

import math
import re

from ..motion.camera_tilt import tilt_from_down
from ..retarget.joint_words import sentences

_FLAGS = {
    "give --close-up-offset, the": "turn on Known Offset in its row and enter the",
    "solve one person with --person": "choose one person under Capture",
    "give --fov": "set Field of View under Capture",
    "give --height": "set Body Height under Capture",
    "use --gravity X,Y,Z (0,1,0: a level camera)": "set Camera Tilt under Capture",
    "give --gravity X,Y,Z (0,1,0: a level camera)": "set Camera Tilt under Capture",
    "use --gravity": "set Camera Tilt under Capture",
    "give --gravity": "set Camera Tilt under Capture",
    "use --person": "choose the person under Capture",
    "give --person": "choose the person under Capture",
    "List the cameras: python -m backend live --list": "Click the lens icon under Live (Find Cameras)",
}
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_DIRECTION = rf"{_NUMBER},{_NUMBER},{_NUMBER}"
_GIVE_DIRECTION = re.compile(rf"(?:give|use) --gravity {_DIRECTION}")
# what was found, as it stands in the sentences about gravity
_FOUND_DIRECTION = re.compile(rf"{_DIRECTION}(?: is down|(?= was taken))")


def in_panel_words(text: str) -> str:
    """A warning of the command line with the panel's settings in place of its flags."""
    text = _GIVE_DIRECTION.sub(lambda found: f"set Camera Tilt under Capture to {_tilt(found)}", text)
    text = _FOUND_DIRECTION.sub(_tilt, text)
    for flag, words in _FLAGS.items():
        text = text.replace(flag, words)
    return text[:1].upper() + text[1:]


def _tilt(found: re.Match[str]) -> str:
    """A direction down as the panel's angles; as it stands where it is none."""
    try:
        pitch, roll = tilt_from_down((float(found[1]), float(found[2]), float(found[3])))
    except ValueError:
        return found[0]
    return f"Pitch {math.degrees(pitch):.0f}°, Roll {math.degrees(roll):.0f}°"


def told(words: str, remedy: str) -> str:
    """What went wrong and what to do, as sentences in the panel's words."""
    return sentences(tuple(in_panel_words(part) for part in (words, remedy) if part))
