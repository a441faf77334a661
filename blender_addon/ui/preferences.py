"""The add-on's preferences: which backend, its environment, where clips go. May import bpy; decides nothing."""

from __future__ import annotations

import textwrap
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty
from bpy.types import Context, UILayout

from ..session import session_state
from ..session.backend import backend_python, environment_dir
from ..session.extension import EXTENSION_ID, extension_version

_LOG_LINES = 8
_MESSAGE_CHARACTERS = 110
_SETUP_ICONS: dict[str, Any] = {"running": "SORTTIME", "done": "CHECKMARK", "failed": "ERROR", "cancelled": "CANCEL"}


class MARIONET_preferences(bpy.types.AddonPreferences):
    """Preferences of Marionet."""

    bl_idname = EXTENSION_ID

    backend: EnumProperty(
        name="Backend",
        description="Where videos are solved",
        items=[
            ("LOCAL", "This Computer", "A separate process on this computer; nothing leaves it"),
            ("REMOTE", "A Server", "A Marionet server; its connection file contains the address and the key"),
        ],
        default="LOCAL",
    )
    backend_python: StringProperty(
        name="Backend Python",
        description="Python of the environment that the backend is installed in, or that lies in a checkout; "
        "empty: the one that was set up here",
        subtype="FILE_PATH",
    )
    backend_folder: StringProperty(
        name="Source Folder",
        description="Folder of Marionet's source, where the backend runs from a checkout; empty: the checkout that "
        "Backend Python lies in",
        subtype="DIR_PATH",
    )
    backend_options: StringProperty(
        name="Options", description="Further arguments of the backend's `serve` command, such as --device cpu"
    )
    connection_file: StringProperty(
        name="Connection File",
        description="The file that the server's `keys` command made for you: address and key, readable by you alone",
        subtype="FILE_PATH",
    )
    setup_python: StringProperty(
        name="Python for Set-up",
        description="Python 3.11, 3.12 or 3.13 that makes the environment; empty: the one that Blender brings along, "
        "or one that is installed",
        subtype="FILE_PATH",
    )
    setup_package: StringProperty(
        name="Backend Package",
        description="Another backend to install: a wheel file or a folder with Marionet's source; "
        "empty: the one that came with the extension",
        subtype="FILE_PATH",
    )
    clip_dir: StringProperty(
        name="Clips",
        description="Folder for solved clips; leave empty for the folder of the extension",
        subtype="DIR_PATH",
    )
    show_guide: BoolProperty(
        name="Show the First Steps", description="Show the first steps at the top of the sidebar", default=True
    )

    def draw(self, context: Context) -> None:
        """Draw the preferences."""
        draw_preferences(self, self.layout, context)


def draw_preferences(chosen: Any, layout: UILayout, context: Context) -> None:
    """Draw all preferences into a layout."""
    del context
    layout.use_property_split = True
    layout.prop(chosen, "backend", expand=True)
    if chosen.backend == "LOCAL":
        _draw_local(chosen, layout)
    else:
        layout.prop(chosen, "connection_file")
        if not bpy.app.online_access:
            text = "Online access is off in Blender's preferences: only servers on this computer"
            layout.label(text=text, icon="INTERNET_OFFLINE")
    version = extension_version()
    layout.label(text=session_state.STATE.backend_text(version), icon=session_state.STATE.backend_icon(version))
    for line in session_state.STATE.backend_log(_LOG_LINES):
        layout.label(text=line[-140:], icon="BLANK1")
    row = layout.row(align=True)
    row.operator("marionet.connect_backend", icon="LINKED")
    row.operator("marionet.stop_backend", icon="UNLINKED")
    row.operator("marionet.copy_report", icon="COPYDOWN")
    layout.separator()
    layout.prop(chosen, "clip_dir")
    layout.prop(chosen, "show_guide")


def _draw_local(chosen: Any, layout: UILayout) -> None:
    python = backend_python(chosen)
    layout.prop(chosen, "backend_python")
    layout.prop(chosen, "backend_folder")
    layout.prop(chosen, "backend_options")
    text = f"Backend: {python}" if python else "No backend yet: set it up below, or name its Python above"
    layout.label(text=text, icon="CHECKMARK" if python else "INFO")
    box = layout.box()
    box.label(text="Set-up", icon="TOOL_SETTINGS")
    box.prop(chosen, "setup_package")
    box.prop(chosen, "setup_python")
    box.label(text=f"Goes to {environment_dir()}")
    row = box.row(align=True)
    row.operator("marionet.setup_backend", icon="IMPORT")
    row.operator("marionet.copy_setup_command", icon="COPYDOWN")
    _draw_setup(box)


def _draw_setup(box: UILayout) -> None:
    run = session_state.STATE.setup
    if run is None:
        return
    if run.state == "running":
        box.progress(factor=run.progress(), text=run.title())
    else:
        for line in textwrap.wrap(run.message, _MESSAGE_CHARACTERS):
            box.label(text=line, icon=_SETUP_ICONS[run.state] if run.message.startswith(line) else "BLANK1")
    if run.state != "done":  # Connect is the next step, and stays in sight
        for line in run.log_tail(_LOG_LINES):
            box.label(text=line[-140:])
    row = box.row(align=True)
    if run.state == "running":
        row.operator("marionet.cancel_setup", icon="CANCEL")
    elif run.state in ("failed", "cancelled"):
        row.operator("marionet.setup_backend", text="Try Again", icon="FILE_REFRESH")
    row.operator("marionet.open_setup_log", icon="TEXT")


CLASSES = (MARIONET_preferences,)
