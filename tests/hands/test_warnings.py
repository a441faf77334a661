"""Hands and faces that are small or never found are told, with what to do."""

import numpy as np
import pytest

from backend.solving.details import SolvedDetails, detail_warnings
from backend.types import PoseTrack
from blender_addon.motion.clip_warning import WarningCode
from blender_addon.motion.face import FaceMotion
from blender_addon.motion.hands import HandMotion


def details(hand_px: float, face_px: float, confidence: float) -> SolvedDetails:
    frames, blank = 10, np.zeros(10)
    turns = np.tile([1.0, 0.0, 0.0, 0.0], (frames, 24, 1))
    poses = PoseTrack(turns, np.zeros((10, 3)), np.zeros((10, 17, 3)), blank, blank, blank, blank[:3], 1.7, np.ones(24))
    return SolvedDetails(
        poses,
        HandMotion(np.tile([1.0, 0.0, 0.0, 0.0], (frames, 2, 15, 1)), np.full((frames, 2), confidence)),
        FaceMotion(np.zeros((frames, 52)), np.full(frames, confidence)),
        {"hand_size_px": hand_px, "face_size_px": face_px},
    )


@pytest.mark.parametrize(
    ("hand_px", "face_px", "confidence", "words"),
    [
        (90.0, 120.0, 0.9, ()),
        (30.0, 120.0, 0.9, ("30 px",)),
        (90.0, 40.0, 0.9, ("40 px",)),
        (90.0, 120.0, 0.1, ("0% of the frames", "0% of the frames")),
        (0.0, 0.0, 0.0, ("no hand was found", "no face was found")),
    ],
)
def test_what_is_small_or_unseen_is_told(
    hand_px: float, face_px: float, confidence: float, words: tuple[str, ...]
) -> None:
    warnings = detail_warnings(details(hand_px, face_px, confidence))
    assert len(warnings) == len(words)
    for warning, part in zip(warnings, words, strict=True):
        assert part in warning.text
        assert "closer" in warning.text
        assert warning.code in (WarningCode.HANDS_SMALL, WarningCode.FACE_SMALL)
