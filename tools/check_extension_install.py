"""Install the built zip into an empty Blender profile, use it, remove it: run by each Blender of the test matrix.

    .venv-bpy-4.5/bin/python tools/check_extension_install.py dist/marionet-0.1.0.zip

The environment must not hold pyzmq, or it would hide the wheel that the zip brings. Standard library and bpy only.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

REPOSITORY = "user_default"
PACKAGE = f"bl_ext.{REPOSITORY}.marionet"


class InstallError(RuntimeError):
    """The extension did not do what an installed extension must."""


def require(truth: object, complaint: str) -> None:
    """Raise InstallError with the complaint unless `truth` holds."""
    if not truth:
        raise InstallError(complaint)


def install(archive: Path, profile: Path) -> None:
    """Install and enable; the bundled pyzmq must be the one that is imported, and a socket must open."""
    import bpy

    done = bpy.ops.extensions.package_install_files(filepath=str(archive), repo=REPOSITORY, enable_on_install=True)
    require(done == {"FINISHED"}, f"installation returned {done}")
    require(PACKAGE in bpy.context.preferences.addons, f"{PACKAGE} is not enabled after installation")
    zmq = importlib.import_module("zmq")
    require(Path(zmq.__file__).is_relative_to(profile), f"pyzmq comes from {zmq.__file__}, not from the extension")
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.close(linger=0)
    registered = [name for name in dir(bpy.types) if name.startswith("MARIONET_")]
    operators = [name for name in dir(bpy.ops.marionet) if not name.startswith("_")]
    panels = [name for name in registered if "_PT_" in name]
    require(operators, "no operator is registered")
    require(panels, "no panel is registered")
    print(f"{len(operators)} operators, {len(panels)} panels, pyzmq {zmq.__version__} from the zip")


def remove() -> None:
    """Disable and uninstall; no class, property or folder of the extension may stay."""
    import addon_utils
    import bpy

    addon_utils.disable(PACKAGE, default_set=True)
    left = [name for name in dir(bpy.types) if name.startswith("MARIONET_")]
    require(not left, f"still registered after disabling: {left}")
    owners = (bpy.types.Scene, bpy.types.Object, bpy.types.WindowManager, bpy.types.Armature)
    left = [f"{owner.__name__}.{name}" for owner in owners for name in dir(owner) if "marionet" in name.lower()]
    require(not left, f"properties left after disabling: {left}")
    repositories = [one.module for one in bpy.context.preferences.extensions.repos]
    folder = Path(bpy.context.preferences.extensions.repos[repositories.index(REPOSITORY)].directory) / "marionet"
    bpy.ops.extensions.package_uninstall(repo_index=repositories.index(REPOSITORY), pkg_id="marionet")
    require(not folder.exists(), f"{folder} is left after uninstalling")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    archive = parser.parse_args().archive.resolve()
    require(archive.is_file(), f"{archive} does not exist; run make extension")
    require(importlib.util.find_spec("zmq") is None, "this environment has pyzmq, which would hide the bundled wheel")
    profile = Path(tempfile.mkdtemp(prefix="marionet-install-"))
    os.environ["BLENDER_USER_RESOURCES"] = str(profile)
    try:
        import bpy

        install(archive, profile)
        remove()
        print(f"Blender {bpy.app.version_string}: installed, enabled, disabled, removed")
    except InstallError as fault:
        print(f"FAILED: {fault}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(profile, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
