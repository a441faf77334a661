"""Operators for the backend: connect, stop, guided set-up, the report. May import bpy."""

from __future__ import annotations

import platform
from pathlib import Path

import bpy
from bpy.types import Context, Event

from ...client.backend_setup import SetupError, SetupPlan, SetupRun, plan_beside, plan_setup
from ...session import session_state
from ...session.backend import AccessError, close_link, ensure_link, environment_dir
from ...session.extension import EXTENSION_ID, extension_version, preferences
from ..panels.sidebar import wrapped
from .base import CancelsRunning, OperatorResult, redraw_sidebars, report_fault, start_timer, watch_link

_POLL_S = 0.2
_DIALOG_PX = 620


class MARIONET_OT_connect_backend(bpy.types.Operator):
    """Start the local backend or connect to the server, and check versions"""

    bl_idname = "marionet.connect_backend"
    bl_label = "Connect"

    @classmethod
    def poll(cls, context: Context) -> bool:
        if EXTENSION_ID not in context.preferences.addons:
            cls.poll_message_set("The extension is not enabled")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        del context
        try:
            ensure_link()
        except AccessError as fault:
            return report_fault(self, fault)
        watch_link()
        return {"FINISHED"}


class MARIONET_OT_stop_backend(bpy.types.Operator):
    """Disconnect from the backend; a local backend is stopped and its memory is freed"""

    bl_idname = "marionet.stop_backend"
    bl_label = "Stop"

    @classmethod
    def poll(cls, context: Context) -> bool:
        del context
        if session_state.STATE.link is None:
            cls.poll_message_set("No backend is running")
            return False
        if session_state.STATE.capture is not None:
            cls.poll_message_set("A capture is running: cancel it first")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        del context
        close_link()
        redraw_sidebars()
        return {"FINISHED"}


def setup_plan(beside: bool = False) -> SetupPlan:
    """The set-up as the preferences ask for it. Raises SetupError in words.

    `beside`: the environment is made beside the one in use and takes its place when everything worked.
    """
    chosen = preferences()
    python = Path(bpy.path.abspath(chosen.setup_python)) if chosen.setup_python else None
    package = bpy.path.abspath(chosen.setup_package) if chosen.setup_package else ""
    if beside:
        return plan_beside(environment_dir(), python, package)
    return plan_setup(python, environment_dir(), package)


class MARIONET_OT_setup_backend(bpy.types.Operator):
    """Create the backend's own Python environment; shows the commands and their log, and can be cancelled"""

    bl_idname = "marionet.setup_backend"
    bl_label = "Set Up Backend"

    @classmethod
    def poll(cls, context: Context) -> bool:
        del context
        if session_state.STATE.setup is not None and session_state.STATE.setup.state == "running":
            cls.poll_message_set("The set-up is running")
            return False
        if not bpy.app.online_access:
            cls.poll_message_set(
                "Blender is offline. Allow Online Access in Preferences > System, "
                "or copy the command and run it in a terminal"
            )
            return False
        return True

    def invoke(self, context: Context, event: Event) -> OperatorResult:
        del event
        return context.window_manager.invoke_props_dialog(self, width=_DIALOG_PX, confirm_text="Set Up")

    def draw(self, context: Context) -> None:
        try:
            steps = setup_plan().steps
        except SetupError as fault:
            wrapped(self.layout, context, str(fault), "ERROR", _DIALOG_PX)
            return
        self.layout.label(text="These commands run in a separate process:")
        for step in steps:
            self.layout.label(text=step.title, icon="DOT")
            wrapped(self.layout, context, " ".join(step.command), "BLANK1", _DIALOG_PX)

    def execute(self, context: Context) -> OperatorResult:
        del context
        try:
            plan = setup_plan(beside=True)
        except SetupError as fault:
            return report_fault(self, fault)
        close_link()
        session_state.STATE.last_error = ""
        run = SetupRun(plan, plan.environment.parent / "backend_setup.log")
        session_state.STATE.setup = run
        run.poll()
        if bpy.app.background:
            return self._wait(run)
        start_timer(poll_setup)
        return {"FINISHED"}

    def _wait(self, run: SetupRun) -> OperatorResult:
        import time

        while run.poll() == "running":
            time.sleep(_POLL_S)
        if run.state != "done":
            self.report({"ERROR"}, session_state.STATE.fail(run.message))
            return {"CANCELLED"}
        return {"FINISHED"}


def poll_setup() -> float | None:
    """One look at the running set-up, from a timer."""
    run = session_state.STATE.setup
    if run is None:
        return None
    running = run.poll() == "running"
    redraw_sidebars()
    if running:
        return _POLL_S
    if run.state == "failed":
        session_state.STATE.fail(run.message)
    return None


class MARIONET_OT_cancel_setup(CancelsRunning, bpy.types.Operator):
    """Stop the set-up and remove what it has created so far"""

    bl_idname = "marionet.cancel_setup"
    bl_label = "Cancel Set-up"
    idle_message = "No set-up is running"

    @classmethod
    def running(cls) -> SetupRun | None:
        run = session_state.STATE.setup
        return run if run is not None and run.state == "running" else None


class MARIONET_OT_copy_setup_command(bpy.types.Operator):
    """Copy the set-up's commands, to run them in a terminal"""

    bl_idname = "marionet.copy_setup_command"
    bl_label = "Copy Command"

    def execute(self, context: Context) -> OperatorResult:
        try:
            context.window_manager.clipboard = setup_plan().as_text()
        except SetupError as fault:
            self.report({"ERROR"}, str(fault))
            return {"CANCELLED"}
        self.report({"INFO"}, "The set-up's commands are on the clipboard")
        return {"FINISHED"}


class MARIONET_OT_open_setup_log(bpy.types.Operator):
    """Open the set-up's log as a text in Blender"""

    bl_idname = "marionet.open_setup_log"
    bl_label = "Open Log"

    @classmethod
    def poll(cls, context: Context) -> bool:
        del context
        if session_state.STATE.setup is None or not session_state.STATE.setup.log_path.is_file():
            cls.poll_message_set("There is no log: no set-up has run in this session of Blender")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        del context
        text = bpy.data.texts.load(str(session_state.STATE.setup.log_path), internal=True)
        self.report({"INFO"}, f"The log is the text {text.name} in the Text Editor")
        return {"FINISHED"}


class MARIONET_OT_copy_report(bpy.types.Operator):
    """Copy versions, settings, the last messages and the backend's log for a bug report"""

    bl_idname = "marionet.copy_report"
    bl_label = "Copy Report"

    def execute(self, context: Context) -> OperatorResult:
        context.window_manager.clipboard = report_text()
        self.report({"INFO"}, "The report is on the clipboard; it contains file paths, but no keys")
        return {"FINISHED"}


def report_text() -> str:
    """Everything a maintainer asks for first. Holds paths, never a key."""
    state = session_state.STATE
    version = extension_version()
    lines = [
        f"Marionet {version}, Blender {bpy.app.version_string}, {platform.platform()}",
        f"Backend: {state.backend_text(version)}",
        f"Last error: {state.last_error or 'none'}",
        "",
        *state.notes,
        "",
        *state.bake_lines,
    ]
    if state.link is not None and state.link.process is not None:
        lines += ["", "Backend log:", *state.link.process.last_log_lines(40)]
    if state.setup is not None:
        lines += ["", f"Set-up {state.setup.state}: {state.setup.message}", *state.setup.log_tail(20)]
    return "\n".join(lines)


CLASSES = (
    MARIONET_OT_connect_backend,
    MARIONET_OT_stop_backend,
    MARIONET_OT_setup_backend,
    MARIONET_OT_cancel_setup,
    MARIONET_OT_copy_setup_command,
    MARIONET_OT_open_setup_log,
    MARIONET_OT_copy_report,
)
