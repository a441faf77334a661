"""What went wrong, as sentences in the panel's words."""

from __future__ import annotations

import numpy as np
import pytest

from backend.world.world_track import Gravity
from backend.world.world_warnings import gravity_warning
from blender_addon.motion.camera_tilt import LEVEL, down_from_tilt, tilt_from_down
from blender_addon.ui.panel_words import in_panel_words, told


def test_words_and_remedy_are_two_sentences() -> None:
    assert told("the camera is in use", "Close the other program") == "The camera is in use. Close the other program."
    assert told("It ended.", "") == "It ended."
    assert told("no camera", "List the cameras: python -m backend live --list").endswith("(Find Cameras).")


@pytest.mark.parametrize(
    ("down", "uncertainty_deg", "turned", "found"),
    [
        ((0.0, 0.98, 0.17), 20.0, "", "Pitch 10°, Roll 0° was taken"),
        ((0.0, 1.0, 0.0), 20.0, "-1,0,0", "Pitch 0°, Roll -90°"),
        ((0.8, 0.6, 0.0), 1.0, "", "(Pitch 0°, Roll 53°). If it was not, set Camera Tilt under Capture; "),
        ((0.0, 1.0, 0.0), 1.0, "1,0,0", "rotate it or set Camera Tilt under Capture to Pitch 0°, Roll 90°"),
    ],
)
def test_warnings_about_gravity_name_the_panel_s_setting(
    down: tuple[float, float, float], uncertainty_deg: float, turned: str, found: str
) -> None:
    warning = gravity_warning(Gravity(np.array(down), uncertainty_deg), turned)
    assert warning is not None
    words = in_panel_words(warning.text)
    assert found in words
    assert "Camera Tilt under Capture" in words
    assert "--" not in words.replace("+-", "")
    assert "X,Y,Z" not in words


def test_pitch_and_roll_say_which_way_is_down() -> None:
    assert down_from_tilt(0.0, 0.0) == LEVEL
    assert np.allclose(down_from_tilt(np.pi / 6, 0.0), (0.0, 0.75**0.5, 0.5))  # looking down: down is also ahead
    assert np.allclose(down_from_tilt(0.0, np.pi / 2), (1.0, 0.0, 0.0))  # clockwise: down is to the right
    for pitch, roll in ((0.3, -2.9), (-1.2, 0.4), (0.0, np.pi)):
        x, y, z = down_from_tilt(pitch, roll)
        assert np.allclose(tilt_from_down((3.0 * x, 3.0 * y, 3.0 * z)), (pitch, roll))
    assert tilt_from_down((0.0, 0.0, 2.0)) == (np.pi / 2, 0.0)
    with pytest.raises(ValueError, match="length"):
        tilt_from_down((0.0, 0.0, 0.0))
