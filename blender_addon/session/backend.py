"""From the preferences to a running backend: its Python, its folders, the link. May import bpy.

Everything that can be wrong with the preferences is raised as `AccessError` in words, with the remedy.
"""

from __future__ import annotations

import ipaddress
import os
import shlex
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bpy

from ..client.backend_process import BackendProcess, LaunchPlan
from ..client.backend_setup import ROOT, find_backend_python, is_checkout, path_is_too_long, source_folder_of
from ..client.link import BackendLink
from ..wire.connection_file import ConnectionFileError, read_connection_file
from . import session_state
from .extension import extension_version, preferences, user_dir

PYTHON_VARIABLE = "MARIONET_BACKEND_PYTHON"
FOLDER_VARIABLE = "MARIONET_BACKEND_FOLDER"


class AccessError(RuntimeError):
    """The backend cannot be reached as the preferences stand; the message says what to change."""


def backend_python(chosen: Any) -> Path | None:
    """The Python of the local backend: the preference, the environment variable, or the environment made here."""
    named = [chosen.backend_python, os.environ.get(PYTHON_VARIABLE, "")]
    candidates = [Path(bpy.path.abspath(path)) for path in named if path]
    return find_backend_python([*candidates, environment_dir()])


def backend_folder(chosen: Any) -> Path:
    """The folder that the backend runs in: its source, or the profile when it is installed as a package.

    The source is the folder that is named, else the checkout that the backend's Python lies in, else the one that this
    extension runs from. Raises AccessError when a named folder does not exist.
    """
    named = chosen.backend_folder or os.environ.get(FOLDER_VARIABLE, "")
    if named:
        folder = Path(bpy.path.abspath(named))
        if not folder.is_dir():
            raise AccessError(f"The backend's source folder {folder} does not exist. Correct it in the preferences")
        return folder
    python = backend_python(chosen)
    if python is not None and not python.is_relative_to(environment_dir()):
        source = source_folder_of(python) or (ROOT if is_checkout(ROOT) else None)
        if source is not None:
            return source
    folder = _profile_dir()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def environment_dir() -> Path:
    """Where the guided set-up makes the backend's environment. Not created here.

    In the profile; where Windows would not take the length of the paths in it, in the user's local folder.
    """
    usual = _profile_dir() / "backend"
    if path_is_too_long(usual) and os.environ.get("LOCALAPPDATA"):
        major, minor, _ = bpy.app.version
        return Path(os.environ["LOCALAPPDATA"]) / "Marionet" / f"backend-{major}.{minor}"
    return usual


def clip_dir(chosen: Any) -> Path:
    """The folder that solved clips go to, made when missing. Raises AccessError where it cannot be written."""
    folder = Path(bpy.path.abspath(chosen.clip_dir)) if chosen.clip_dir else _profile_dir() / "clips"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as fault:
        raise AccessError(f"Clips cannot be written to {folder} ({fault}). Choose another folder there") from fault


def _profile_dir() -> Path:
    try:
        return user_dir()
    except OSError:
        # a read-only profile: this run still works, its files go with the computer's temporary ones
        return Path(tempfile.gettempdir()) / f"marionet-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def ensure_link() -> BackendLink:
    """The link to the backend that the preferences name, made or renewed when they changed; does not wait for it.

    Raises AccessError when no backend is set up, the connection file is unusable or Blender is kept offline.
    """
    state = session_state.STATE
    key = _link_key(preferences())
    if state.link is not None and state.link_key == key and state.link.status.state != "closed":
        if state.link.status.state == "dead":
            state.link.restart()
        return state.link
    close_link()
    state.link = _make_link(preferences())
    state.link_key = key
    return state.link


def close_link(stop_backend: bool = True) -> None:
    """Leave the backend; a local one is stopped."""
    if session_state.STATE.link is not None:
        session_state.STATE.link.close(stop_backend)
        session_state.STATE.link = None


def _link_key(chosen: Any) -> tuple[str, ...]:
    if chosen.backend == "REMOTE":
        return ("REMOTE", chosen.connection_file)
    return ("LOCAL", str(backend_python(chosen)), chosen.backend_folder, chosen.backend_options)


def _make_link(chosen: Any) -> BackendLink:
    client = f"Blender {bpy.app.version_string}, Marionet {extension_version()}"
    if chosen.backend == "REMOTE":
        return BackendLink(None, _checked_connection_file(chosen), client)
    python = backend_python(chosen)
    if python is None:
        raise AccessError("No backend is set up yet. Open the preferences and press Set Up Backend")
    folder = backend_folder(chosen)
    # only the source that was asked for, never what happens to lie in the current folder
    environment = {"PYTHONSAFEPATH": "1", **({"PYTHONPATH": str(folder)} if is_checkout(folder) else {})}
    words = shlex.split(chosen.backend_options, posix=os.name != "nt")  # a backslash is part of a Windows path
    options = tuple(word.strip('"') for word in words)
    plan = LaunchPlan(python, folder, _profile_dir() / "state", options, environment=environment)
    return BackendLink(BackendProcess(plan), None, client)


def _checked_connection_file(chosen: Any) -> Path:
    if not chosen.connection_file:
        raise AccessError("No server is named yet. Choose its connection file in the preferences")
    path = Path(bpy.path.abspath(chosen.connection_file))
    try:
        info = read_connection_file(path)
    except ConnectionFileError as fault:
        raise AccessError(str(fault)) from fault
    if not bpy.app.online_access and not is_loopback(info.endpoint):
        raise AccessError(
            f"{info.endpoint} is another computer and Blender is kept offline. "
            "Allow Online Access in Preferences > System, or use the backend on this computer"
        )
    return path


def is_loopback(endpoint: str) -> bool:
    """Whether an endpoint (tcp://host:port, ipc://path) is on this computer."""
    parts = urlsplit(endpoint)
    if parts.scheme in ("ipc", "inproc"):
        return True
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
