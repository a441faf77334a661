"""How the camera of a capture was tilted: the panel's settings, and a camera of the scene as their source."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Euler, Matrix, Vector
from stand_in_layout import draw, texts


@pytest.fixture
def capture(extension: str) -> Any:
    return bpy.context.scene.marionet.capture


@pytest.fixture
def camera(extension: str) -> Any:
    """The scene's camera."""
    thing = bpy.data.objects.new("Shot", bpy.data.cameras.new("Shot"))
    bpy.context.collection.objects.link(thing)
    bpy.context.scene.camera = thing
    return thing


def test_by_default_the_backend_finds_out(capture: Any, addon: Any) -> None:
    requests = addon("session.capture_request")
    assert requests.solve_options(capture).gravity_camera == ()
    capture.camera_tilt = "LEVEL"
    assert requests.solve_options(capture).gravity_camera == (0.0, 1.0, 0.0)
    capture.camera_tilt, capture.pitch_rad = "SET", math.radians(30.0)
    np.testing.assert_allclose(requests.solve_options(capture).gravity_camera, (0.0, 0.75**0.5, 0.5), atol=1e-6)


@pytest.mark.parametrize("angles", [(90, 0, 40), (60, 0, -120), (110, 25, 10), (75, -80, 0), (90, 170, 0)])
def test_a_camera_of_the_scene_gives_its_tilt(
    capture: Any, camera: Any, addon: Any, angles: tuple[float, float, float]
) -> None:
    pitch, roll, yaw = map(math.radians, angles)
    turn = (
        Euler((0.0, 0.0, yaw)).to_matrix() @ Euler((pitch, 0.0, 0.0)).to_matrix() @ Euler((0.0, 0.0, -roll)).to_matrix()
    )
    camera.matrix_world = Matrix.Translation((3.0, -2.0, 1.6)) @ turn.to_4x4() @ Matrix.Scale(2.0, 4)
    assert bpy.ops.marionet.tilt_from_camera() == {"FINISHED"}
    assert capture.camera_tilt == "SET"
    assert capture.pitch_rad == pytest.approx(math.radians(90.0 - angles[0]), abs=1e-4)
    assert capture.roll_rad == pytest.approx(math.radians(angles[1]), abs=1e-4)
    # a stone that falls in front of the camera moves so in its axes: x right, y down, z forward
    x, y, z = (turn.inverted() @ Vector((0.0, 0.0, -1.0)))[:]
    down = addon("session.capture_request").given_gravity(capture)
    np.testing.assert_allclose(down, (x, -y, -z), atol=1e-4)


def test_a_camera_that_turns_gives_the_tilt_of_the_current_frame(capture: Any, camera: Any) -> None:
    for frame, angle in ((1, 90.0), (11, 60.0)):
        camera.rotation_euler = (math.radians(angle), 0.0, 0.0)
        camera.keyframe_insert("rotation_euler", frame=frame)
    bpy.context.scene.frame_set(11)
    bpy.ops.marionet.tilt_from_camera()
    assert capture.pitch_rad == pytest.approx(math.radians(30.0), abs=1e-4)


def test_without_a_camera_the_button_says_so(extension: str) -> None:
    bpy.context.scene.camera = None
    with pytest.raises(RuntimeError, match="The scene has no active camera"):
        bpy.ops.marionet.tilt_from_camera()


def test_the_panel_shows_angles_where_they_count_and_says_if_the_backend_takes_none(
    capture: Any, camera: Any, addon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> list[str]:
        return [str(arguments) for name, arguments, _ in draw(bpy.types.MARIONET_PT_capture) if name == "prop"]

    assert not any("pitch_rad" in one for one in shown())
    capture.camera_tilt = "SET"
    assert any("pitch_rad" in one for one in shown())
    words = "The set-up says which way is down"
    capture.use_setup = True
    assert words not in texts(draw(bpy.types.MARIONET_PT_capture)), "one video has no set-up"
    capture.more_videos.add()
    assert words in texts(draw(bpy.types.MARIONET_PT_capture))
    assert not any("pitch_rad" in one for one in shown())
    capture.use_setup = False
    runtime = addon("session.session_state").STATE
    status = addon("client.link").LinkStatus("open", "Connected")
    for capabilities, told in (((), True), (("gravity",), False)):
        monkeypatch.setattr(runtime, "link", SimpleNamespace(status=replace(status, capabilities=capabilities)))
        assert ("cannot use Camera Tilt. Update it" in texts(draw(bpy.types.MARIONET_PT_capture))) == told
