"""The table of true parts: its figures on a made person, and what it says of recordings that it cannot use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backend.errors import BadInputError
from backend.evaluation.landmark_track import landmark_track
from backend.evaluation.metrics import LIMB_JOINTS
from backend.evaluation.oracle import ANSWERS, TrueClip
from backend.evaluation.recording import Recording, RecordingCamera
from backend.types import Array, Intrinsics, PersonTrack
from tools.measure_oracle import answer_errors_mm, input_errors, recorded_clip, relative

_ROOT = Path(__file__).resolve().parents[2]
_FRAMES = 12
_MATRIX = np.array([[900.0, 0, 640], [0, 900, 360], [0, 0, 1]])


def _person() -> Array:
    """Limbs (T, 12, 3) m of somebody who stands upright, relative to the mid-hip."""
    heights = {"shoulder": -0.5, "elbow": -0.25, "wrist": 0.0, "hip": 0.0, "knee": 0.45, "ankle": 0.9}
    limbs = np.array([[0.15 if name[0] == "l" else -0.15, heights[name[1:]], 0.0] for name in LIMB_JOINTS])
    return np.asarray(limbs + 0.001 * np.random.default_rng(0).normal(size=(_FRAMES, 12, 3)))


def _track() -> PersonTrack:
    points = np.random.default_rng(1).uniform(300, 600, (_FRAMES, 33, 2))
    return landmark_track(points, np.ones((_FRAMES, 33)), np.zeros((_FRAMES, 33, 3)))


def _recording(origin_m: Array) -> tuple[Recording, RecordingCamera]:
    camera = RecordingCamera(Path("cam1.mp4"), _MATRIX, np.eye(3), origin_m, 1280, 720, True)
    return Recording("made", _person(), LIMB_JOINTS, 30.0, (camera,)), camera


def test_errors_are_those_that_were_made() -> None:
    truth = _person()
    clip = TrueClip(_track(), Intrinsics(_MATRIX, 1280, 720, "made"), np.zeros((_FRAMES, 33, 3)), truth)
    wrong = relative(truth)
    wrong[:, [LIMB_JOINTS.index("lankle"), LIMB_JOINTS.index("rankle")], 2] += 0.12
    errors = input_errors([wrong], [clip])
    assert errors.mpjpe_clip_mm == pytest.approx(20.0, abs=4.0), "0.12 m of two of 12 joints, and the scale"
    assert errors.trunk_deg == pytest.approx(0.0, abs=1e-4)
    assert errors.knees_deg == pytest.approx(np.degrees(np.arctan(0.12 / 0.45)), abs=2.5)
    as_it_is, *parts = answer_errors_mm([wrong], [clip])
    by_part = dict(zip(ANSWERS, parts, strict=True))
    assert as_it_is == pytest.approx(errors.mpjpe_clip_mm)
    assert by_part["legs"] < 4.0 < by_part["arms"]
    assert by_part["constant part of every joint's error"] < 1.0


def test_the_truth_lies_in_the_camera_and_on_the_frames_of_the_track() -> None:
    recording, camera = _recording(np.array([0.1, 0.2, 5.0]))
    clip = recorded_clip(recording, camera, _track())
    assert clip.limbs_m == pytest.approx(recording.joints_world_m + np.array([0.1, 0.2, 5.0]))
    assert clip.landmarks_m.shape == (_FRAMES, 33, 3)


def test_a_recording_that_does_not_say_where_cameras_stood_is_refused() -> None:
    with pytest.raises(BadInputError, match="does not say where"):
        recorded_clip(*_recording(np.full(3, np.nan)), _track())


def test_a_missing_recording_is_named_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.measure_oracle", "--recording", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT, timeout=120)
    assert done.returncode == 1
    assert "is not a recording with ground truth" in done.stderr
    assert "Traceback" not in done.stderr
