"""Two Blenders share a profile: each has a backend of its own, and a restarted one keeps its folder."""

from __future__ import annotations

from pathlib import Path

from backend.files import FolderLock
from blender_addon.client.backend_process import BackendProcess, free_state_dir
from tests.client.test_capture_job import launch_plan
from tests.server.harness import kill_hard, wait_for


def _listening(process: BackendProcess) -> bool:
    return process.poll() is not None


def test_a_second_blender_has_a_backend_of_its_own(tmp_path: Path) -> None:
    first, second = (BackendProcess(launch_plan(tmp_path / "state")) for _ in range(2))
    try:
        first.start()
        wait_for(lambda: _listening(first), "the first listens")
        second.start()
        wait_for(lambda: _listening(second), "the second listens")
        assert first.plan.state_dir == tmp_path / "state"
        assert second.plan.state_dir == tmp_path / "state-2"
        assert first.poll() != second.poll()
        assert first.state == "listening", "the second left the first alone"
        kill_hard(second.pid)
        wait_for(lambda: second.poll() is None and second.state == "dead", "its death is seen")
        first.stop()
        second.start()
        wait_for(lambda: _listening(second), "the second listens")
        assert second.plan.state_dir == tmp_path / "state-2", "its unfinished work lies there"
    finally:
        first.stop()
        second.stop()


def test_two_that_start_in_the_same_moment_both_listen(tmp_path: Path) -> None:
    both = [BackendProcess(launch_plan(tmp_path / "state")) for _ in range(2)]
    try:
        for process in both:
            process.start()
        wait_for(lambda: [_listening(process) for process in both] == [True, True], "both listen")
        assert {process.plan.state_dir.name for process in both} == {"state", "state-2"}
    finally:
        for process in both:
            process.stop()


def test_a_folder_is_taken_while_its_lock_is_held(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    assert free_state_dir(folder) == folder, "nothing there yet"
    lock, other = FolderLock(folder / "service"), FolderLock(tmp_path / "state-2" / "service")
    assert free_state_dir(folder) == tmp_path / "state-3"
    other.release()
    assert free_state_dir(folder) == tmp_path / "state-2"
    lock.release()
    assert free_state_dir(folder) == folder, "a file that nobody holds is free"
