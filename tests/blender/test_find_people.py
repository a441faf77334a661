"""Find People against the real service, local and remote, on the clip that ships; a click on the image."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from clips import anamorphic_copy, turned_copy

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
BACKEND_PYTHON = Path(os.environ.get("MARIONET_TEST_PYTHON", REPOSITORY_ROOT / ".venv" / "bin" / "python"))
CLIP = REPOSITORY_ROOT / "assets" / "demo_clip.mp4"

pytestmark = pytest.mark.skipif(not BACKEND_PYTHON.is_file(), reason="no backend environment: make dev-venv")


@pytest.fixture
def state(extension: str, addon: Any) -> Iterator[Any]:
    """The runtime state with a backend's Python in the preferences."""
    preferences = bpy.context.preferences.addons[extension].preferences
    preferences.backend_python, preferences.backend_folder = str(BACKEND_PYTHON), str(REPOSITORY_ROOT)
    runtime = addon("session.session_state").STATE
    yield runtime
    addon("session.backend").close_link()
    preferences.backend, preferences.connection_file = "LOCAL", ""
    preferences.backend_python = preferences.backend_folder = preferences.clip_dir = ""
    runtime.people, runtime.last_error = None, ""
    runtime.clips.clear()
    addon("ui.operators.people").forget_thumbnails()


def look_at(video: Path) -> Any:
    capture = bpy.context.scene.marionet.capture
    capture.video = str(video)
    capture.use_range, capture.start_s, capture.end_s = True, 0.0, 1.0
    return capture


def test_people_are_found_shown_and_picked(state: Any, addon: Any) -> None:
    capture = look_at(CLIP)
    assert bpy.ops.marionet.find_people() == {"FINISHED"}
    search = state.people
    assert search.state == "done", search.message
    assert len(search.people) >= 1
    assert search.sheet.is_file()
    people = addon("ui.operators.people")
    people.show_sheet(search)
    for person in search.people:  # without a window there are images, but no icons of them
        image = addon("session.session_state").STATE.thumbnails[f"{search.sheet}:{person.number}"]
        assert tuple(image.image_size) == (200, 200)
        pixels = np.array(image.image_pixels_float[:]).reshape(200, 200, 4)
        assert pixels[..., :3].std() > 0.05
        assert np.abs(pixels[0] - pixels[-1]).mean() > 0.01
    assert "people" not in bpy.data.images
    assert " s, " in search.people[0].label
    assert bpy.ops.marionet.pick_person(number=search.people[0].number) == {"FINISHED"}
    assert (capture.person, capture.person_number) == ("index", search.people[0].number)


def test_a_video_that_cannot_be_read_is_said_with_the_remedy(state: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all" * 100)
    look_at(broken)
    with pytest.raises(RuntimeError, match="broken"):
        bpy.ops.marionet.find_people()
    assert state.people.state == "failed"
    assert "Traceback" not in state.last_error


def test_a_running_search_can_be_cancelled(state: Any, addon: Any) -> None:
    capture = look_at(CLIP)
    capture.use_range = False
    search = addon("session.capture_request").make_search(bpy.context, addon("session.backend").ensure_link())
    state.people = search
    until(lambda: search.poll() != "running" or search.fraction > 0, "progress")
    assert search.state == "running", search.message
    assert bpy.ops.marionet.cancel_people() == {"FINISHED"}
    assert search.state == "cancelled"
    link = addon("session.backend").ensure_link()
    jobs = link.process.plan.state_dir / "service" / "jobs"
    until(lambda: link.tick(0.01) and job_state(jobs / search._job.job_id) in ("cancelled", ""), "the stop")


def test_a_backend_of_before_is_told_from_a_new_one(state: Any, addon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    look_at(CLIP)
    monkeypatch.setattr(addon("client.people_search"), "CAPABILITY", "mind reading")
    with pytest.raises(RuntimeError, match="Update it"):
        bpy.ops.marionet.find_people()
    assert state.people.state == "failed"


def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 120.0
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.02)


def job_state(folder: Path) -> str:
    """The state of a job in a local backend's folder, "" when it was released."""
    record = folder / "job.json"
    return str(json.loads(record.read_text())["state"]) if record.exists() else ""


def own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            pytest.skip("this machine has no network address")


@contextmanager
def studio_server(folder: Path) -> Iterator[Path]:
    """A backend on a network address with keys, which reads no file of its clients; their connection file."""
    (folder / "plates").mkdir()
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    command = [str(BACKEND_PYTHON), "-m", "backend"]
    client = folder / "anna.json"
    address = f"tcp://{own_address()}:{port}"
    for words in (("create",), ("add-client", "anna", "--endpoint", address, "--output", str(client))):
        subprocess.run(
            [*command, "keys", "--dir", str(folder / "keys"), *words],
            check=True,
            cwd=REPOSITORY_ROOT,
            capture_output=True,
        )
    options = ["--bind", f"tcp://0.0.0.0:{port}", "--keys", str(folder / "keys"), "--root", str(folder / "plates")]
    options += ["--data-dir", str(folder / "data"), "--connection-file", str(folder / "server.json")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*command, "serve", *options], cwd=REPOSITORY_ROOT, stdout=log, stderr=log)
    try:
        yield client
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


def test_a_server_elsewhere_tells_who_is_in_a_video_and_solves_whom_was_picked(
    state: Any, addon: Any, extension: str, tmp_path: Path
) -> None:
    capture = look_at(CLIP)
    capture.quality = "fast"
    preferences = bpy.context.preferences.addons[extension].preferences
    online = bpy.context.preferences.system.use_online_access
    with studio_server(tmp_path) as client:
        preferences.backend, preferences.connection_file = "REMOTE", str(client)
        preferences.clip_dir = str(tmp_path / "clips")
        bpy.context.preferences.system.use_online_access = False
        with pytest.raises(RuntimeError, match="Allow Online Access"):
            bpy.ops.marionet.find_people()
        bpy.context.preferences.system.use_online_access = True
        try:
            assert bpy.ops.marionet.find_people() == {"FINISHED"}
            search = state.people
            assert search.state == "done", search.message
            addon("ui.operators.people").show_sheet(search)
            image = addon("session.session_state").STATE.thumbnails[f"{search.sheet}:{search.people[0].number}"]
            assert np.std(image.image_pixels_float[:]) > 0.05
            assert bpy.ops.marionet.pick_person(number=search.people[0].number) == {"FINISHED"}
            assert bpy.ops.marionet.capture() == {"FINISHED"}
        finally:
            bpy.context.preferences.system.use_online_access = online
            addon("session.backend").close_link()
    assert capture.person == "index"
    assert len(bpy.context.scene.marionet.clips) == 1
    assert not list((tmp_path / "data" / "jobs").rglob("upload*"))  # the video's bytes were there for the jobs only
    assert not list((tmp_path / "data" / "uploads").iterdir())
    log = (tmp_path / "log").read_text()
    assert log.count('"upload used again"') == 1  # sent for the search, and not again for the capture


def clip_editor(clip: Any, frame: int) -> Any:
    """A Movie Clip Editor as an operator sees it, over 400 x 300 pixels of a window from (100, 50), zoomed to fit."""
    view = SimpleNamespace(region_to_view=lambda x, y: (x / 400.0, y / 300.0))
    region = SimpleNamespace(type="WINDOW", x=100, y=50, view2d=view)
    calls: list[str] = []
    window = SimpleNamespace(cursor_modal_set=calls.append, cursor_modal_restore=lambda: calls.append("restored"))
    bpy.context.scene.frame_set(frame)
    return SimpleNamespace(
        space_data=SimpleNamespace(clip=clip),
        area=SimpleNamespace(regions=[SimpleNamespace(type="UI"), region]),
        scene=bpy.context.scene,
        window=window,
        workspace=SimpleNamespace(status_text_set=lambda text: None),
        window_manager=SimpleNamespace(modal_handler_add=lambda operator: True),
        calls=calls,
    )


class Clicker:
    """Drives the real operator class without a window."""

    def __init__(self, addon: Any, context: Any) -> None:
        self.kind, self.context = addon("ui.operators.pick_point").MARIONET_OT_pick_point, context
        self.reports: list[tuple[str, str]] = []
        self.operator = SimpleNamespace(report=lambda kind, text: self.reports.append((next(iter(kind)), text)))
        for name in ("execute", "_leave"):
            setattr(self.operator, name, MethodType(getattr(self.kind, name), self.operator))

    def invoke(self) -> set[str]:
        return MethodType(self.kind.invoke, self.operator)(self.context, None)

    def send(self, kind: str, x: int = 0, y: int = 0) -> set[str]:
        event = SimpleNamespace(type=kind, value="PRESS", mouse_x=x, mouse_y=y)
        return MethodType(self.kind.modal, self.operator)(self.context, event)


def test_a_click_on_the_image_chooses_whom_to_capture(state: Any, addon: Any) -> None:
    clip = bpy.data.movieclips.load(str(CLIP))
    width, height = clip.size
    clip.frame_start = 101
    hand = Clicker(addon, clip_editor(clip, 106))
    assert hand.invoke() == {"RUNNING_MODAL"}
    assert hand.send("MOUSEMOVE", 300, 200) == {"PASS_THROUGH"}
    assert hand.send("LEFTMOUSE", 90, 200) == {"RUNNING_MODAL"}
    assert "inside the image" in hand.reports[-1][1]
    assert hand.send("LEFTMOUSE", 200, 275) == {"FINISHED"}
    capture = bpy.context.scene.marionet.capture
    assert (capture.source, capture.movie_clip, capture.person) == ("MOVIE_CLIP", clip, "point")
    assert np.allclose(capture.point_px, (0.25 * width, 0.25 * height))  # 100 of 400 across, 225 of 300 up
    assert capture.point_frame == 5
    assert hand.context.calls == ["CROSSHAIR", "restored"]
    word = addon("session.capture_request").solve_options(capture).person
    assert word == f"{0.25 * width:.1f},{0.25 * height:.1f}@5"


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_click_on_a_turned_video_is_a_point_of_the_upright_image(
    state: Any, addon: Any, tmp_path: Path, turns: int
) -> None:
    stored = images(CLIP)
    height, width = stored.shape
    video = turned_copy(CLIP, tmp_path / "phone.mp4", turns)
    shown = images(video)  # lying in Blender 4.2 and 4.3, upright in later ones
    by_blender = [k for k in range(4) if np.array_equal(np.rot90(stored, -k), shown)]
    assert by_blender in ([0], [turns])
    x, y = 0.2 * width, 0.1 * height  # of the stored image
    upright = {0: (x, y), 1: (height - y, x), 2: (width - x, height - y), 3: (y, width - x)}
    at_x, at_y = upright[by_blender[0]]
    clip = bpy.data.movieclips.load(str(video))
    hand = Clicker(addon, clip_editor(clip, 1))
    hand.invoke()
    click = round(100 + 400 * at_x / shown.shape[1]), round(50 + 300 * (1 - at_y / shown.shape[0]))
    assert hand.send("LEFTMOUSE", *click) == {"FINISHED"}, hand.reports
    capture = bpy.context.scene.marionet.capture
    assert np.allclose(capture.point_px, upright[turns], atol=max(width, height) / 300)
    options = addon("session.capture_request").solve_options(capture)
    assert (options.picture_width_px, options.picture_height_px) == ((height, width) if turns % 2 else (width, height))
    edge = {0: (width, height), 1: (height, width), 2: (width, height), 3: (height, width)}[turns]
    for beside in ((edge[0] + 1, 0.0), (0.0, edge[1] + 1)):
        hand.operator.x_px, hand.operator.y_px = beside
        assert hand.operator.execute(hand.context) == {"CANCELLED"}
        assert f"{edge[0]} x {edge[1]} pixels" in hand.reports[-1][1]


def test_the_backend_is_told_in_which_image_a_point_was_counted(state: Any, addon: Any, tmp_path: Path) -> None:
    stored = tuple(bpy.data.movieclips.load(str(CLIP)).size)
    clip = bpy.data.movieclips.load(str(anamorphic_copy(CLIP, tmp_path / "wide.mp4", 2)))
    assert tuple(clip.size) == stored, "Blender shows pixels as they are stored"
    hand = Clicker(addon, clip_editor(clip, 5))
    hand.invoke()
    assert hand.send("LEFTMOUSE", 200, 275) == {"FINISHED"}
    capture = bpy.context.scene.marionet.capture
    options = addon("session.capture_request").solve_options(capture)
    assert options.person == f"{0.25 * stored[0]:.1f},{0.25 * stored[1]:.1f}@4"
    assert (options.picture_width_px, options.picture_height_px) == stored
    for setting, value in (("person", "largest"), ("source", "FILE")):
        before = getattr(capture, setting)
        setattr(capture, setting, value)
        options = addon("session.capture_request").solve_options(capture)
        assert (options.picture_width_px, options.picture_height_px) == (0, 0)
        setattr(capture, setting, before)


def images(video: Path) -> np.ndarray:
    """The red of a video's first image (H, W) as Blender shows it, from the top."""
    image = bpy.data.images.load(str(video))
    image.source = "MOVIE"
    width, height = image.size
    return np.array(image.pixels[:], np.float32).reshape(height, width, 4)[::-1, :, 0]


def test_a_click_can_be_given_up_and_a_frame_without_a_image_is_said(state: Any, addon: Any) -> None:
    clip = bpy.data.movieclips.load(str(CLIP))
    capture = bpy.context.scene.marionet.capture
    hand = Clicker(addon, clip_editor(clip, 5))
    hand.invoke()
    assert hand.send("ESC") == {"CANCELLED"}
    assert capture.person == "largest"
    late = Clicker(addon, clip_editor(clip, 5000))
    late.invoke()
    assert late.send("LEFTMOUSE", 300, 200) == {"CANCELLED"}
    assert "has no image in frame 5000" in late.reports[-1][1]
    assert capture.person == "largest"
    assert not bpy.ops.marionet.pick_point.poll()
