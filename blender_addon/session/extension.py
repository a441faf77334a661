"""The extension's own id and folders inside Blender. May import bpy.

The id is the three-part top package (`bl_ext.<repository>.marionet`): add-on preferences and the user folder want it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bpy

# `blender_addon` when the package is imported on its own (tests, batch conversion in a headless Blender)
EXTENSION_ID = __package__.removesuffix(".session").rpartition(".")[0] or "blender_addon"
ROOT_DIR = Path(__file__).resolve().parents[2]


def is_extension() -> bool:
    """Whether this package runs as an installed Blender extension."""
    return EXTENSION_ID.startswith("bl_ext.")


def user_dir(name: str = "") -> Path:
    """The extension's own writable folder, made when missing. Raises OSError where the profile is read-only."""
    if is_extension():
        base = Path(bpy.utils.extension_path_user(EXTENSION_ID))
    else:
        base = Path(bpy.utils.user_resource("CONFIG")) / "marionet"
    folder = base / name if name else base
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written")
    return folder


def preferences() -> Any:
    """The add-on's preferences."""
    everything: Any = bpy.context.preferences
    return everything.addons[EXTENSION_ID].preferences


def extension_version() -> str:
    """The version that the manifest states."""
    for line in (ROOT_DIR / "blender_manifest.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("version"):
            return line.partition("=")[2].strip().strip('"')
    return "unknown"
