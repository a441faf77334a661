"""A profile that cannot be written, as in schools and render farms: everything works, and what cannot be kept is said.

Blender runs in a child whose profile is mounted read-only, because the superuser may write anywhere else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
BACKEND_PYTHON = Path(os.environ.get("MARIONET_TEST_PYTHON", REPOSITORY_ROOT / ".venv" / "bin" / "python"))
CHILD = """
import os, sys
from pathlib import Path
import bpy
root, video, python = sys.argv[1:]
sys.path[:0] = [root, f"{root}/tests/blender"]
name = "bl_ext.user_default.marionet"
assert bpy.ops.preferences.addon_enable(module=name) == {"FINISHED"}
from rigs import canonical_armature
import importlib
addon = lambda part: importlib.import_module(f"{name}.blender_addon.{part}")
state, access = addon("session.session_state").STATE, addon("session.backend")
try:
    Path(os.environ["BLENDER_USER_RESOURCES"], "probe").touch()
    sys.exit("the profile can be written: nothing is tested")
except OSError:
    pass
preferences = bpy.context.preferences.addons[name].preferences
process = addon("client.backend_process")
script = f"{root}/tests/blender/paced_clip_backend.py"
plan = process.LaunchPlan(Path(python), Path(root), access._profile_dir() / "state", module=(script,))
state.link = addon("client.link").BackendLink(process.BackendProcess(plan), None, "test")
state.link_key = access._link_key(preferences)
kept = bpy.context.scene.marionet
kept.capture.video = video
assert bpy.ops.marionet.capture() == {"FINISHED"}, state.last_error
kept.retarget.armature = canonical_armature()
assert state.last_error == "", state.last_error
kept.retarget.rows[5].bone = ""
print("CORRECTION", state.last_error)
assert bpy.ops.marionet.bake() == {"FINISHED"}, state.last_error
print("CLIP", kept.clips[0].filepath)
access.close_link()
"""


@pytest.mark.skipif(not BACKEND_PYTHON.is_file(), reason="no backend environment: make dev-venv")
@pytest.mark.parametrize("used_before", [False, True])
def test_everything_works_and_what_cannot_be_kept_is_said(extension: str, tmp_path: Path, used_before: bool) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a read-only mount needs root and unshare: THE READ-ONLY PROFILE WAS NOT TESTED")
    profile = tmp_path / "profile"
    shutil.copytree(os.environ["BLENDER_USER_RESOURCES"], profile, symlinks=True)
    own = profile / "extensions" / ".user" / "user_default" / "marionet"
    shutil.rmtree(own, ignore_errors=True)
    if used_before:
        own.mkdir(parents=True)
    video = tmp_path / "dance.json"
    video.write_text('{"frames": 20}')
    mount = f"mount --bind {profile} {profile} && mount -o remount,bind,ro {profile}"
    command = ["unshare", "--mount", "bash", "-c", f'{mount} && exec "$@"', "bash"]
    command += [sys.executable, "-c", CHILD, str(REPOSITORY_ROOT), str(video), str(BACKEND_PYTHON)]
    # what cannot be in the profile is in the temporary folder, which another Blender's suite would share
    aside = tmp_path / "temporary"
    aside.mkdir()
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(profile), "TMPDIR": str(aside)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if "mount:" in ran.stderr and ran.returncode == 32:
        pytest.skip(f"no mounts here, THE READ-ONLY PROFILE WAS NOT TESTED: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    said = dict(line.split(" ", 1) for line in ran.stdout.splitlines() if line.startswith(("CORRECTION", "CLIP")))
    assert "could not be kept for later" in said["CORRECTION"]
    clip = Path(said["CLIP"])
    assert clip.is_file()
    assert not clip.is_relative_to(profile)
    shutil.rmtree(clip.parent)
