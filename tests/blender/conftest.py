"""Tests inside Blender as a library: `.venv-bpy-4.2/bin/python -m pytest tests/blender` (one environment a version).

Blender's profile is a throwaway folder, set before bpy is imported, and the extension is enabled from the source tree
the way a developer would: a link in the extensions folder, from where Blender unpacks the bundled wheels itself.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
EXTENSION_ID = "bl_ext.user_default.marionet"

sys.path.insert(0, str(Path(__file__).parent))  # rigs.py and its neighbours, shared by the tests of this folder

HAS_BPY = importlib.util.find_spec("bpy") is not None
if not HAS_BPY:
    collect_ignore_glob = ["test_*.py"]  # the main environment has no Blender; CI runs this folder in those that do
else:
    PROFILE = Path(tempfile.mkdtemp(prefix="marionet-profile-"))
    os.environ["BLENDER_USER_RESOURCES"] = str(PROFILE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.bpy)


def link_folder(link: Path, target: Path) -> None:
    """A link to a folder; on Windows, where links are for developers, a junction, and without either a copy."""
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError:
        if sys.platform == "win32":
            subprocess.run(("cmd", "/c", "mklink", "/J", str(link), str(target)), capture_output=True, check=False)
        if not link.exists():
            kept = ("__init__.py", "blender_manifest.toml", "blender_addon", "skeleton_maps", "assets", "wheels")
            link.mkdir()
            for path in (target / name for name in kept if (target / name).exists()):
                if path.is_dir():
                    shutil.copytree(path, link / path.name, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy2(path, link / path.name)


@pytest.fixture(scope="session")
def extension() -> Iterator[str]:
    """The extension, enabled from the source tree; the value is its package name."""
    import bpy

    subprocess.run(
        [sys.executable, str(REPOSITORY_ROOT / "tools" / "build_extension.py"), "--wheels-only", "--output-dir", "."],
        check=True,
        capture_output=True,
    )
    folder = PROFILE / "extensions" / "user_default"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "marionet"
    if not link.exists():
        link_folder(link, REPOSITORY_ROOT)
    assert bpy.ops.preferences.addon_enable(module=EXTENSION_ID) == {"FINISHED"}
    assert EXTENSION_ID in bpy.context.preferences.addons
    yield EXTENSION_ID
    bpy.ops.preferences.addon_disable(module=EXTENSION_ID)


@pytest.fixture
def addon(extension: str) -> Any:
    """Import one module of the enabled extension: `addon("rig.actions")`."""

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"{extension}.blender_addon.{name}")

    return load


@pytest.fixture
def state(extension: str, addon: Any) -> Iterator[Any]:
    """The runtime state, clean after the test."""
    runtime = addon("session.session_state").STATE
    yield runtime
    addon("session.previews").stop_overlay()
    addon("session.previews").stop_live()
    runtime.clips.clear()
    runtime.last_error, runtime.bake_lines = "", []
    addon("session.map_rows").corrections_path().unlink(missing_ok=True)


@pytest.fixture
def clip_file(tmp_path: Path) -> Path:
    from clips import smooth_clip

    from blender_addon.motion.clip import write_clip

    path = tmp_path / "sway.npz"
    write_clip(smooth_clip(49, fps=24.0), path)
    return path


@pytest.fixture
def ready(state: Any, clip_file: Path) -> Any:
    """A scene with a clip and a rig; the value is the scene's settings."""
    import bpy
    from rigs import canonical_armature

    bpy.ops.marionet.import_clip(filepath=str(clip_file))
    kept = bpy.context.scene.marionet
    kept.retarget.armature = canonical_armature()
    return kept


@pytest.fixture(autouse=True)
def _empty_file() -> None:
    """An empty file before every test. `read_homefile` keeps the extension, `read_factory_settings` does not."""
    import bpy

    bpy.ops.wm.read_homefile(use_empty=True, app_template="")
