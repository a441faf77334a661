"""Headless Blender as a process: found, started, restarted, too old, silent, dead; clips onto rigs by the add-on."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import numpy as np
import pytest

from backend.errors import BlenderError
from backend.export.animate_request import ExportOrder, order_from_line, order_to_line
from backend.export.blender_process import BlenderProcess, BlenderSettings, blender_environment
from backend.export.find_blender import VARIABLE, Blender, find_blender
from tests.batch.batch_runs import BLENDER, RIG, ROOT, needs_blender

pytestmark = pytest.mark.timeout(200)
CLIP = str(ROOT / "assets" / "sample_clip.npz")


def stand_in(folder: Path, script: str) -> Blender:
    """A program that behaves as the script says."""
    if os.name == "nt":
        pytest.skip("the stand-in is a shell script")
    path = folder / "blender"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Blender(path, is_python=False)


def process(blender: Blender, folder: Path, **changes: object) -> BlenderProcess:
    return BlenderProcess(BlenderSettings(blender, folder / "blender.log", **changes))


def test_orders_survive_the_pipe() -> None:
    order = ExportOrder("c lip.npz", ("a.fbx", 'b"ü.blend'), "dance\n", "r.blend", in_place=True)
    line = order_to_line(order)
    assert line.count("\n") == 1
    assert order_from_line(line) == order


def test_blender_writes_every_name_and_sees_nothing_of_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONIOENCODING", "PYTHONSAFEPATH"):
        monkeypatch.setenv(name, "of this Python")
    environment = blender_environment("profile")
    kept = {name: value for name, value in environment.items() if name.startswith("PYTHON")}
    assert kept == {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:backslashreplace"}
    assert environment["BLENDER_USER_RESOURCES"] == "profile"


def test_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, "exit 0")
    assert find_blender(str(tmp_path)).program == tmp_path / "blender"
    assert not find_blender(str(tmp_path / "blender")).is_python
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert find_blender().program == tmp_path / "blender"
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_blender("blender").program == tmp_path / "blender"
    (tmp_path / "text").write_text("no program")
    for wrong in ("/nowhere/blender", str(tmp_path / "text")):
        with pytest.raises(BlenderError) as caught:
            find_blender(wrong)
        assert "--blender" in caught.value.remedy


@needs_blender
def test_an_environment_is_a_python_with_bpy() -> None:
    found = find_blender(str(BLENDER.parents[1]))
    assert found.is_python
    assert found.command()[:2] == [str(BLENDER), "-P"]


def test_the_command_of_a_blender_program_ignores_the_users_own_set_up(tmp_path: Path) -> None:
    command = stand_in(tmp_path, "exit 0").command()
    assert {"--background", "--factory-startup", "--disable-autoexec"} < set(command)
    assert command[-2] == "--"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "exit code 3"),
        ("kill -9 $$", "signal 9"),
        ('echo \'{"event": "old", "message": "Blender 3.6", "remedy": "4.2"}\'', "Blender 3.6"),
    ],
)
def test_a_blender_that_does_not_come_up_is_named(tmp_path: Path, script: str, words: str) -> None:
    with pytest.raises(BlenderError, match=words):
        process(stand_in(tmp_path, f"echo a library is missing >&2; {script}"), tmp_path).export(
            ExportOrder(CLIP, (), "a")
        )
    assert "a library is missing" in (tmp_path / "blender.log").read_text()


def test_a_silent_blender_is_ended(tmp_path: Path) -> None:
    silent = stand_in(tmp_path, 'echo \'{"event": "ready", "blender": "9"}\'; echo noise; exec sleep 600')
    blender = process(silent, tmp_path, silence_s=1.0)
    with pytest.raises(BlenderError, match="no sign of life"):
        blender.export(ExportOrder(CLIP, (), "a"))
    assert blender.pid == 0


@needs_blender
def test_one_blender_serves_many_orders_and_is_replaced(tmp_path: Path) -> None:
    """On the shipped character and on the clip's own body; faults leave it usable; a killed one has a successor."""
    blender = process(find_blender(str(BLENDER)), tmp_path, restart_after=4)
    heard: list[str] = []
    reply = blender.export(
        ExportOrder(CLIP, (str(tmp_path / "hero.bvh"), str(tmp_path / "hero.xyz")), "walk", str(RIG)),
        lambda what, done, total: heard.append(what),
    )
    first = blender.pid
    assert heard == ["bake", "bvh", "xyz"]
    assert [Path(fault.output).name for fault in reply.faults] == ["hero.xyz"]
    assert (tmp_path / "hero.bvh").read_text().startswith("HIERARCHY")
    for rig, words in (
        ("/nowhere.blend", "no rig"),
        (str(ROOT / "README.md"), "is not a rig file"),
        (CLIP, "is not a rig file"),
    ):
        with pytest.raises(BlenderError, match=words):
            blender.export(ExportOrder(CLIP, (), "walk", rig))
    assert blender.pid == first

    own = blender.export(ExportOrder(CLIP, (str(tmp_path / "own.bvh"),), "walk"))
    assert blender.pid != first  # the fifth order after four
    assert own.figures is not None
    assert own.figures["scale"] == 1.0
    assert (tmp_path / "own.bvh").read_text().count("JOINT") == 23
    blender.export(ExportOrder(CLIP, (str(tmp_path / "straight.bvh"),), "walk", straighten_deg=10.0))
    assert (tmp_path / "straight.bvh").read_bytes() != (tmp_path / "own.bvh").read_bytes()

    blender.export(ExportOrder(CLIP, (str(tmp_path / "cycle.bvh"),), "walk", loop="range", mirror=True))
    motion = [line.split() for line in (tmp_path / "cycle.bvh").read_text().partition("MOTION")[2].splitlines()[3:]]
    first, last = (np.array(motion[row][3:], dtype=float) for row in (0, -1))  # without the travel
    assert np.abs((first - last + 180.0) % 360.0 - 180.0).max() < 0.1

    os.kill(blender.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert blender._process is not None
    blender._process.wait()
    blender.export(ExportOrder(CLIP, (str(tmp_path / "again.bvh"),), "walk"))
    assert (tmp_path / "again.bvh").read_bytes() == (tmp_path / "own.bvh").read_bytes()
    blender.close()
    blender.close()
    assert blender.pid == 0
