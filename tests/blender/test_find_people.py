"""Find People against the real backend command, on the clip that ships; and what it says when it cannot look."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
BACKEND_PYTHON = Path(os.environ.get("MARIONET_TEST_PYTHON", REPOSITORY_ROOT / ".venv" / "bin" / "python"))
CLIP = REPOSITORY_ROOT / "assets" / "demo_clip.mp4"

pytestmark = pytest.mark.skipif(not BACKEND_PYTHON.is_file(), reason="no backend environment: make dev-venv")


@pytest.fixture
def state(extension: str, addon: Any) -> Iterator[Any]:
    """The runtime state with a backend's Python in the preferences."""
    preferences = bpy.context.preferences.addons[extension].preferences
    preferences.backend_python, preferences.backend_folder = str(BACKEND_PYTHON), str(REPOSITORY_ROOT)
    runtime = addon("runtime").STATE
    yield runtime
    preferences.backend_python = preferences.backend_folder = ""
    runtime.people, runtime.last_error = None, ""
    addon("operators.people").forget_thumbnails()


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
    people = addon("operators.people")
    people.show_sheet(search)
    for person in search.people:  # without a window there are pictures, but no icons of them
        picture = people._Thumbnails.collection[f"{search.sheet}:{person.number}"]
        assert tuple(picture.image_size) == (200, 200)
        pixels = np.array(picture.image_pixels_float[:]).reshape(200, 200, 4)
        assert pixels[..., :3].std() > 0.05
        assert np.abs(pixels[0] - pixels[-1]).mean() > 0.01
    assert "people" not in bpy.data.images
    assert " s, " in search.people[0].label
    assert bpy.ops.marionet.pick_person(number=search.people[0].number) == {"FINISHED"}
    assert (capture.person, capture.person_number) == ("index", search.people[0].number)


def test_a_video_that_cannot_be_read_is_said_with_the_remedy(state: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film at all" * 100)
    look_at(broken)
    with pytest.raises(RuntimeError, match="broken"):
        bpy.ops.marionet.find_people()
    assert state.people.state == "failed"
    assert "Traceback" not in state.last_error


def test_a_running_search_can_be_cancelled(state: Any, addon: Any, tmp_path: Path) -> None:
    search = addon("people_search").search_people(BACKEND_PYTHON, REPOSITORY_ROOT, CLIP, None)
    state.people = search
    child = search._child
    assert bpy.ops.marionet.cancel_people() == {"FINISHED"}
    assert search.state == "cancelled"
    assert child.wait(10) is not None
