"""The extension's build: what goes into the zip, and what must stop it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.build_extension import (
    BACKEND_FOLDER,
    REPOSITORY_ROOT,
    BuildError,
    build,
    build_backend_wheel,
    check_zip,
    expected_files,
    fetch_wheels,
    find_blender_cli,
)


@pytest.fixture(scope="module")
def backend_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The backend's wheel with its locks, made once."""
    return build_backend_wheel(tmp_path_factory.mktemp("wheel")).parent


@pytest.fixture
def source(tmp_path: Path, backend_wheel: Path) -> Path:
    """The repository's parts that matter, as a copy that a test may damage; a fresh clone has no wheels yet."""
    fetch_wheels(REPOSITORY_ROOT)
    root = tmp_path / "source"
    root.mkdir()
    for name in ("blender_addon", "skeleton_maps", "assets", "wheels"):
        if (REPOSITORY_ROOT / name).is_dir():
            shutil.copytree(REPOSITORY_ROOT / name, root / name)
    shutil.copytree(backend_wheel, root / BACKEND_FOLDER)
    for name in ("__init__.py", "LICENSE", "blender_manifest.toml"):
        shutil.copy(REPOSITORY_ROOT / name, root / name)
    return root


def test_the_zip_holds_the_allowlist_and_the_folder_is_a_repository(source: Path, tmp_path: Path) -> None:
    (source / "backend").mkdir(exist_ok=True)
    (source / "backend" / "secret.py").write_text("")
    (source / ".venv").mkdir()
    (source / "assets" / "large_video.mp4").parent.mkdir(exist_ok=True)
    (source / "assets" / "large_video.mp4").write_bytes(b"0" * 1000)
    archive = build(source, tmp_path / "dist", find_blender_cli(), fresh_backend=False)[0]
    with zipfile.ZipFile(archive) as opened:
        names = {name for name in opened.namelist() if not name.endswith("/")}
    assert names == expected_files(source, fetch_wheels(source))
    assert not [name for name in names if name.startswith("backend/") or "large_video" in name or "__pycache__" in name]
    carried = {name for name in names if name.startswith("backend_wheel/")}
    assert {"backend_wheel/core.txt", "backend_wheel/core-py313.txt"} < carried
    assert [name for name in carried if name.endswith("-py3-none-any.whl")]
    listed = json.loads((tmp_path / "dist" / "index.json").read_text())["data"]
    assert [(item["id"], item["archive_url"]) for item in listed] == [("marionet", f"./{archive.name}")]
    assert set(listed[0]["python_versions"]) == {"3.11", "3.13"}


def test_a_wheel_of_another_hash_stops_the_build(source: Path, tmp_path: Path) -> None:
    wheel = next((source / "wheels").glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(BuildError, match="has a hash that"):
        build(source, tmp_path / "dist", find_blender_cli(), fresh_backend=False)


def test_a_wrong_tag_and_a_long_tagline_stop_the_build(source: Path, tmp_path: Path) -> None:
    manifest = source / "blender_manifest.toml"
    good = manifest.read_text()
    for old, new in (('"Animation"', '"Animashun"'), ('tagline = "', 'tagline = "' + "very " * 20)):
        manifest.write_text(good.replace(old, new))
        with pytest.raises(BuildError, match=r"blender_ext\.py"):
            build(source, tmp_path / "dist", find_blender_cli(), fresh_backend=False)


def test_a_zip_with_more_or_less_than_wanted_is_refused(source: Path, tmp_path: Path) -> None:
    wheels = fetch_wheels(source)
    names = expected_files(source, wheels)
    for change in ({"backend/x.py"}, set()):
        path = tmp_path / "marionet-x.zip"
        with zipfile.ZipFile(path, "w") as opened:
            for name in (names | change) - (set() if change else {"LICENSE"}):
                opened.writestr(name, "")
        with pytest.raises(BuildError, match="not wanted" if change else "missing"):
            check_zip(path, source, wheels)


def test_the_built_zip_installs_works_and_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    archive = build(source, tmp_path / "dist", find_blender_cli(), fresh_backend=False)[0]
    check = [sys.executable, str(REPOSITORY_ROOT / "tools" / "check_extension_install.py"), str(archive)]
    done = subprocess.run(check, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "installed, enabled, disabled, removed" in done.stdout
