"""Faces as Live Link Face's CSV: out and in again, odd files, other rates."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon.motion.face import FACE_WEIGHT_NAMES, FaceMotion
from blender_addon.motion.live_link import LiveLinkError, face_at_times, read_live_link, write_live_link


def random_face(frames, seed=0):
    weights = np.random.default_rng(seed).uniform(size=(frames, len(FACE_WEIGHT_NAMES)))
    return FaceMotion(weights, np.ones(frames))


@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0, 60.0])
def test_a_face_comes_back(fps):
    times_s, face = np.arange(200) / fps, random_face(200)
    text = write_live_link(times_s, face, fps)
    assert text.splitlines()[0].startswith("Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft")
    assert len(text.splitlines()[1].split(",")) == 63
    back_s, back = read_live_link(text)
    np.testing.assert_allclose(back_s, times_s, atol=2e-3 / fps)
    np.testing.assert_allclose(back.weights, face.weights, atol=1e-7)


def test_frames_without_the_person_are_left_out():
    face = random_face(10)
    face.weights[3:5] = np.nan
    back_s, _ = read_live_link(write_live_link(np.arange(10) / 30, face, 30.0))
    assert len(back_s) == 8


def test_files_of_the_app_with_other_columns_and_midnight():
    rows = (
        "Timecode,BlendShapeCount,JawOpen,EyeBlinkLeft,Extra",
        "23:59:59:29.500,61,0.5,0.25,x",
        "00:00:00:00.500,61,1.5,,x",
    )
    text = "\ufeff" + "\n".join(rows) + "\n"
    times_s, face = read_live_link(text)
    np.testing.assert_allclose(times_s, [0.0, 1.0 / 30], atol=1e-6)
    assert face.weights[:, FACE_WEIGHT_NAMES.index("jawOpen")].tolist() == [0.5, 1.0]
    assert face.weights[:, FACE_WEIGHT_NAMES.index("tongueOut")].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no weight"),
        ("a,b\n1,2\n", "no weight"),
        ("Timecode,JawOpen\nsoon,0.5\n", "row 2 has no timecode"),
        ("Timecode,JawOpen\n00:00:01:02.0,wide\n", "JawOpen is 'wide'"),
    ],
)
def test_other_files_are_refused_in_words(text, words):
    with pytest.raises(LiveLinkError, match=words):
        read_live_link(text)


def test_a_face_is_laid_on_other_times():
    face = random_face(61)
    laid = face_at_times(1.0 + np.arange(61) / 60, face, np.arange(0, 90) / 30)
    assert (laid.confidence[:29] == 0).all()
    assert (laid.weights[:29] == 0).all()
    np.testing.assert_allclose(laid.weights[30:61], face.weights[::2], atol=1e-9)
    assert (laid.confidence[64:] == 0).all()
