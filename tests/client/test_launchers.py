"""A backend whose started process is not the one that serves: Windows launchers, aliases, scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from blender_addon.client.backend_process import BackendProcess, LaunchPlan
from blender_addon.client.link import BackendLink
from blender_addon.wire.connection_file import read_connection_file, write_connection_file
from blender_addon.wire.interpreter import LAUNCHER_VARIABLE, Interpreter, direct_interpreter
from tests.client.test_capture_job import launch_plan
from tests.server.harness import wait_for


def windows_environment(folder: Path, config: str) -> Path:
    """The files of a Windows environment that count here; its python.exe."""
    python = folder / "environment" / "Scripts" / "python.exe"
    base = folder / "Python 3.11" / "python.exe"
    for path in (python, base):
        path.parent.mkdir(parents=True)
        path.touch()
    text = config.format(home=base.parent, base=base)
    (folder / "environment" / "pyvenv.cfg").write_text(text, encoding="utf-8")
    return python


@pytest.mark.parametrize(
    "config",
    [
        "home = {home}\ninclude-system-site-packages = false\nversion = 3.11.9\nexecutable = {base}\n",  # venv
        "home = {home}\nimplementation = CPython\nuv = 0.5.1\nversion_info = 3.11.9\n",  # uv
        "home = {home}\nbase-prefix = {home}\nbase-executable = {base}\n",  # virtualenv
        "\ufeffHOME={home}\n",  # edited by hand
        "executable = {base}\n",
    ],
)
def test_the_launcher_of_a_windows_environment_is_passed_by(tmp_path: Path, config: str) -> None:
    folder = tmp_path / "Renée Øst 日本"
    python = windows_environment(folder, config)
    found = direct_interpreter(python, "win32")
    assert found == Interpreter(folder / "Python 3.11" / "python.exe", {LAUNCHER_VARIABLE: str(python)})
    assert found.started_with({"PATH": "x"}) == {"PATH": "x", LAUNCHER_VARIABLE: str(python)}


def test_a_python_without_a_launcher_is_started_itself(tmp_path: Path) -> None:
    plain = tmp_path / "python.exe"
    assert direct_interpreter(plain, "win32") == Interpreter(plain)
    python = windows_environment(tmp_path, "home = C:\\gone\n")
    assert direct_interpreter(python, "win32") == Interpreter(python), "its base is not there"
    assert direct_interpreter(python, "linux") == Interpreter(python)
    assert Interpreter(plain).started_with({LAUNCHER_VARIABLE: "of another"}) == {}


def test_the_process_started_for_this_python_is_the_interpreter() -> None:
    found = direct_interpreter(Path(sys.executable))
    program = "import os, sys; print(os.getpid(), ascii(sys.prefix))"
    child = subprocess.Popen(
        (str(found.program), "-c", program),
        env=found.started_with(dict(os.environ)),
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    pid, prefix = child.communicate()[0].split(" ", 1)
    assert (int(pid), prefix.strip()) == (child.pid, ascii(sys.prefix))


def plan_through_a_launcher(folder: Path) -> LaunchPlan:
    """A program that starts the backend as its child, as every launcher does."""
    launcher = folder / "launcher.py"
    launcher.write_text("import subprocess, sys\nsys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))\n")
    plan = launch_plan(folder / "state")
    return replace(plan, module=(str(launcher), *plan.module))


def test_a_backend_behind_a_launcher_is_known_and_stopped(tmp_path: Path) -> None:
    process = BackendProcess(plan_through_a_launcher(tmp_path))
    link = BackendLink(process, None, "test")
    try:
        wait_for(lambda: link.tick(0.01).state == "open", "the connection")
        server = psutil.Process(process.pid)
        assert server.pid == read_connection_file(process.plan.connection_file).pid
        assert server.cmdline()[-2] == "--owner-pid"
    finally:
        link.close()
    assert process.state == "stopped"
    psutil.wait_procs([server], timeout=10)
    assert not server.is_running()


def test_a_backend_behind_a_launcher_is_stopped_without_a_connection(tmp_path: Path) -> None:
    process = BackendProcess(plan_through_a_launcher(tmp_path))
    process.start()
    try:
        wait_for(lambda: process.poll(), "the connection file")
        server = psutil.Process(process.pid)
    finally:
        process.stop()
    psutil.wait_procs([server], timeout=10)
    assert not server.is_running()


def test_the_connection_file_of_another_backend_is_not_taken(tmp_path: Path) -> None:
    process = BackendProcess(launch_plan(tmp_path / "state"))
    process.start()
    try:
        info = wait_for(process.poll, "the connection file")
        assert info.launch_id
        for changes in ({"launch_id": "of another"}, {"launch_id": "", "pid": 1}):
            write_connection_file(replace(info, **changes), process.plan.connection_file)
            assert process.poll() is None
        # a backend of an earlier version: its process id says that it is ours
        write_connection_file(replace(info, launch_id=""), process.plan.connection_file)
        assert process.poll() is not None
    finally:
        process.stop()


def test_a_stopped_backend_was_told_and_kept_its_work(tmp_path: Path) -> None:
    process = BackendProcess(launch_plan(tmp_path / "state"))
    link = BackendLink(process, None, "test")
    wait_for(lambda: link.tick(0.01).state == "open", "the connection")
    link.close()
    assert process.exit_code == 0
    assert '"event": "stopped"' in process.plan.log_file.read_text(encoding="utf-8")
    assert not process.plan.connection_file.exists()
