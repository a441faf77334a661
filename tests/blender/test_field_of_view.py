"""One meaning of the field of view: the panel's clip of a portrait video is the command line's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
BACKEND_PYTHON = Path(os.environ.get("MARIONET_TEST_PYTHON", REPOSITORY_ROOT / ".venv" / "bin" / "python"))
CLIP = REPOSITORY_ROOT / "assets" / "demo_clip.mp4"
FOV_DEG = 48.5
PORTRAIT = """
import sys
from fractions import Fraction
import av

with av.open(sys.argv[1]) as source, av.open(sys.argv[2], "w") as target:
    stream = target.add_stream("libx264", rate=Fraction(24000, 1001), options={"crf": "10"})
    stream.width, stream.height, stream.pix_fmt = 270, 480, "yuv420p"
    for frame in source.decode(video=0):
        image = frame.to_ndarray(format="rgb24")[:, 185:455]
        target.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
    target.mux(stream.encode(None))
"""


@pytest.fixture
def capture(extension: str, addon: Any, tmp_path: Path) -> Iterator[Any]:
    """The panel's settings, with a backend's Python in the preferences."""
    preferences = bpy.context.preferences.addons[extension].preferences
    preferences.backend_python, preferences.backend_folder = str(BACKEND_PYTHON), str(REPOSITORY_ROOT)
    preferences.clip_dir = str(tmp_path / "clips")
    runtime = addon("session.session_state").STATE
    yield bpy.context.scene.marionet.capture
    addon("session.backend").close_link()
    preferences.backend_python = preferences.backend_folder = preferences.clip_dir = ""
    runtime.clips.clear()
    runtime.last_error = ""


def backend(*words: str) -> None:
    command = [str(BACKEND_PYTHON), *words]
    done = subprocess.run(command, cwd=REPOSITORY_ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not BACKEND_PYTHON.is_file(), reason="no backend environment: make dev-venv")
def test_a_portrait_video_is_solved_from_the_panel_as_from_the_command_line(capture: Any, tmp_path: Path) -> None:
    video, output = tmp_path / "portrait.mp4", tmp_path / "cli.npz"
    backend("-c", PORTRAIT, str(CLIP), str(video))
    words = ("solve", str(video), "-o", str(output), "--quiet", "--quality", "fast", "--range", "0s:1s")
    backend("-m", "backend", *words, "--fov", str(FOV_DEG))
    capture.video, capture.quality = str(video), "fast"
    capture.use_range, capture.start_s, capture.end_s = True, 0.0, 1.0
    capture.know_fov, capture.fov_deg = True, FOV_DEG
    assert bpy.ops.marionet.capture() == {"FINISHED"}
    entry = bpy.context.scene.marionet.clips[0]
    with np.load(output) as cli, np.load(entry.filepath) as panel:
        focal_px = 0.5 * 480 / np.tan(np.radians(FOV_DEG) / 2)
        np.testing.assert_allclose(np.diag(panel["intrinsics"]), [focal_px, focal_px, 1.0], rtol=1e-6)
        assert (cli["confidence"] > 0).mean() > 0.9
        for name in ("intrinsics", "rotations_wxyz", "root_camera_m", "root_world_m", "joints_camera_m"):
            np.testing.assert_allclose(panel[name], cli[name], atol=1e-4, err_msg=name)


def test_the_panel_offers_the_range_that_the_backend_takes(capture: Any) -> None:
    shown = capture.bl_rna.properties["fov_deg"]
    assert (shown.hard_min, shown.hard_max) == (5.0, 150.0)
    assert "longer side" in shown.description
    capture.fov_deg = 170.0
    assert capture.fov_deg == 150.0
