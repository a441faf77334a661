"""Operators for the backend: connect, stop, guided set-up, the report. May import bpy."""

from __future__ import annotations

import logging
import platform
from pathlib import Path
from typing import Any

import bpy

from ...client.backend_setup import SetupError, SetupPlan, SetupRun, blender_python, plan_setup
from ...extension import EXTENSION_ID, extension_version, preferences
from ...session import session_state
from ...session.backend import AccessError, close_link, ensure_link, environment_dir

logger = logging.getLogger(__name__)

_LINK_BUDGET_S = 0.005
_POLL_S = 0.2
_CALM_S = 1.0
_CONNECT_POLLS = 150  # 30 s: the first start of a backend reads its weights from a cold disk


class MARIONET_OT_connect_backend(bpy.types.Operator):
    """Start the local backend or reach the server, and check versions"""

    bl_idname = "marionet.connect_backend"
    bl_label = "Connect"

    @classmethod
    def poll(cls, context: Any) -> bool:
        if EXTENSION_ID not in context.preferences.addons:
            cls.poll_message_set("The extension is not enabled")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        del context
        try:
            ensure_link()
        except AccessError as fault:
            self.report({"ERROR"}, session_state.STATE.fail(str(fault)))
            return {"CANCELLED"}
        watch_link()
        return {"FINISHED"}


class _LinkPolls:
    """How often the link was polled since it was last asked for; a dead backend is not polled for ever."""

    polls = 0


def watch_link() -> None:
    """Tick the link from a timer until it is open or given up; in the background there are no timers."""
    _LinkPolls.polls = 0
    if not bpy.app.timers.is_registered(watch_timer):
        bpy.app.timers.register(watch_timer, persistent=True)


def watch_timer() -> float | None:
    """One tick of the link between captures; a running capture ticks the link itself."""
    link = session_state.STATE.link
    _LinkPolls.polls += 1
    if link is None or session_state.STATE.capture is not None:
        return None
    status = link.tick(_LINK_BUDGET_S)
    redraw_everything()
    if status.state in ("dead", "refused"):
        session_state.STATE.link_error = session_state.STATE.fail(
            " ".join(part for part in (status.words, status.remedy) if part)
        )
        return None
    if status.state == "open":
        if session_state.STATE.last_error == session_state.STATE.link_error:
            session_state.STATE.last_error = ""  # that one is over
        return _CALM_S  # kept alive, so that the light tells the truth
    return _POLL_S if _LinkPolls.polls < _CONNECT_POLLS else None


class MARIONET_OT_stop_backend(bpy.types.Operator):
    """Leave the backend; the local one is stopped and gives its memory back"""

    bl_idname = "marionet.stop_backend"
    bl_label = "Stop"

    @classmethod
    def poll(cls, context: Any) -> bool:
        del context
        if session_state.STATE.link is None:
            cls.poll_message_set("No backend is running")
            return False
        if session_state.STATE.capture is not None:
            cls.poll_message_set("A capture is running: cancel it first")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        del context
        close_link()
        redraw_everything()
        return {"FINISHED"}


def setup_plan() -> SetupPlan:
    """The set-up as the preferences ask for it. Raises SetupError in words."""
    chosen = preferences()
    python = Path(bpy.path.abspath(chosen.setup_python)) if chosen.setup_python else blender_python()
    return plan_setup(python, environment_dir(), chosen.setup_package or "marionet")


class MARIONET_OT_setup_backend(bpy.types.Operator):
    """Make the backend's own Python environment; the commands and their log are shown, and it can be cancelled"""

    bl_idname = "marionet.setup_backend"
    bl_label = "Set Up Backend"

    @classmethod
    def poll(cls, context: Any) -> bool:
        del context
        if session_state.STATE.setup is not None and session_state.STATE.setup.state == "running":
            cls.poll_message_set("The set-up is running")
            return False
        if not bpy.app.online_access:
            cls.poll_message_set(
                "Blender is kept offline. Allow Online Access in Preferences > System, "
                "or copy the command and run it in a terminal"
            )
            return False
        return True

    def invoke(self, context: Any, event: Any) -> set[str]:
        del event
        return context.window_manager.invoke_props_dialog(self, width=620, confirm_text="Set Up")

    def draw(self, context: Any) -> None:
        del context
        self.layout.label(text="These commands will run, in a process of their own:")
        try:
            for step in setup_plan().steps:
                self.layout.label(text=step.title, icon="DOT")
                self.layout.label(text="    " + " ".join(step.command))
        except SetupError as fault:
            self.layout.label(text=str(fault), icon="ERROR")

    def execute(self, context: Any) -> set[str]:
        del context
        try:
            plan = setup_plan()
        except SetupError as fault:
            self.report({"ERROR"}, session_state.STATE.fail(str(fault)))
            return {"CANCELLED"}
        close_link()
        run = SetupRun(plan, plan.environment.parent / "backend_setup.log")
        session_state.STATE.setup = run
        run.poll()
        if bpy.app.background:
            return self._wait(run)
        bpy.app.timers.register(poll_setup, persistent=True)
        return {"FINISHED"}

    def _wait(self, run: SetupRun) -> set[str]:
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
    redraw_everything()
    if running:
        return _POLL_S
    if run.state == "failed":
        session_state.STATE.fail(run.message)
    return None


class MARIONET_OT_cancel_setup(bpy.types.Operator):
    """Stop the set-up and remove what it made so far"""

    bl_idname = "marionet.cancel_setup"
    bl_label = "Cancel Set-up"

    @classmethod
    def poll(cls, context: Any) -> bool:
        del context
        if session_state.STATE.setup is None or session_state.STATE.setup.state != "running":
            cls.poll_message_set("No set-up is running")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        del context
        session_state.STATE.setup.cancel()
        return {"FINISHED"}


class MARIONET_OT_copy_setup_command(bpy.types.Operator):
    """Copy the set-up's commands, to run them in a terminal"""

    bl_idname = "marionet.copy_setup_command"
    bl_label = "Copy Command"

    def execute(self, context: Any) -> set[str]:
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
    def poll(cls, context: Any) -> bool:
        del context
        if session_state.STATE.setup is None or not session_state.STATE.setup.log_path.is_file():
            cls.poll_message_set("There is no log: no set-up was started since Blender was")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        del context
        text = bpy.data.texts.load(str(session_state.STATE.setup.log_path), internal=True)
        self.report({"INFO"}, f"The log is the text {text.name} in the Text Editor")
        return {"FINISHED"}


class MARIONET_OT_copy_report(bpy.types.Operator):
    """Copy versions, settings, the last messages and the backend's log, to put into a problem report"""

    bl_idname = "marionet.copy_report"
    bl_label = "Copy Report"

    def execute(self, context: Any) -> set[str]:
        context.window_manager.clipboard = report_text()
        self.report({"INFO"}, "The report is on the clipboard; it holds file paths, no keys")
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


def redraw_everything() -> None:
    """Redraw the sidebars and the preferences, not the viewports beside them: those cost most and show no status."""
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()
            elif area.type in {"VIEW_3D", "CLIP_EDITOR"}:
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()


CLASSES = (
    MARIONET_OT_connect_backend,
    MARIONET_OT_stop_backend,
    MARIONET_OT_setup_backend,
    MARIONET_OT_cancel_setup,
    MARIONET_OT_copy_setup_command,
    MARIONET_OT_open_setup_log,
    MARIONET_OT_copy_report,
)
