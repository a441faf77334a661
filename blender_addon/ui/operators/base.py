"""What the operators share: reasons for a greyed button, reports of a failure, redraws, the link's timer, cancelling.

May import bpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import bpy
from bpy.types import Context, Operator

from ...properties import active_clip, settings
from ...session import session_state
from ..panel_words import told

if TYPE_CHECKING:
    from bpy.stub_internal.rna_enums import OperatorReturnItems

    OperatorResult = set[OperatorReturnItems]
else:
    OperatorResult = set  # Blender has no name for what `execute` returns

FAULTS = (ValueError, RuntimeError, OSError, KeyError)  # ClipError, BakeError, RetargetError and their like

_LINK_BUDGET_S = 0.005
_POLL_S = 0.2
_CALM_S = 1.0
_CONNECT_POLLS = 150  # 30 s: the first start of a backend reads its weights from a cold disk


def report_fault(operator: Operator, fault: Exception) -> OperatorResult:
    """Report a failure in words and keep it for the panel."""
    operator.report({"ERROR"}, session_state.STATE.fail(str(fault)))
    return {"CANCELLED"}


def require_clip(operator: type[Operator], context: Context) -> bool:
    """Whether a clip is in use; where not, the greyed button says so."""
    if active_clip(context) is None:
        operator.poll_message_set("There is no clip yet: capture a video, import a clip or load the sample")
        return False
    return True


def require_armature(operator: type[Operator], context: Context) -> bool:
    """Whether an armature is chosen; where not, the greyed button says so."""
    if settings(context).retarget.armature is None:
        operator.poll_message_set("Choose the armature to animate")
        return False
    return True


def require_movie_clip(operator: type[Operator], context: Context) -> bool:
    """Whether the editor under the pointer shows a movie clip; where not, the greyed button says what to do."""
    if shown_movie_clip(context) is None:
        operator.poll_message_set("Open a clip in the Movie Clip Editor first")
        return False
    return True


def shown_movie_clip(context: Context) -> Any:
    """The movie clip that the editor under the pointer shows, or None."""
    return getattr(context.space_data, "clip", None)


class Cancellable(Protocol):
    """Work that can be asked to stop."""

    def cancel(self) -> None:
        """Ask for a stop; does not wait for it."""


class CancelsRunning:
    """The operator's half of a cancel button: greyed with `idle_message` while nothing runs."""

    idle_message: ClassVar[str]

    @classmethod
    def running(cls) -> Cancellable | None:
        """What runs now, or None."""
        raise NotImplementedError

    @classmethod
    def poll(cls, context: Context) -> bool:
        del context
        if cls.running() is None:
            cls.poll_message_set(cls.idle_message)  # type: ignore[attr-defined]
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        del context
        work = self.running()
        if work is not None:
            work.cancel()
        redraw_sidebars()
        return {"FINISHED"}


def redraw_sidebars() -> None:
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


def push_undo(message: str) -> None:
    """Make what happened outside an operator an undo step, so that the next undo does not take it along."""
    windows = bpy.context.window_manager.windows if bpy.context.window_manager else ()
    if bpy.app.background or not windows:
        return
    with bpy.context.temp_override(window=windows[0]):
        bpy.ops.ed.undo_push(message=message)


def start_timer(function: Any) -> None:
    """Have Blender call `function` until it returns None, in other files too; not twice at a time."""
    if not bpy.app.timers.is_registered(function):
        bpy.app.timers.register(function, persistent=True)


def watch_link() -> None:
    """Tick the link from a timer until it is open or given up; in the background there are no timers."""
    session_state.STATE.link_polls = 0
    start_timer(poll_link)


def poll_link() -> float | None:
    """One tick of the link between captures; a running capture ticks the link itself.

    A dead backend is not polled for ever.
    """
    state = session_state.STATE
    state.link_polls += 1
    if state.link is None or state.capture is not None:
        return None
    status = state.link.tick(_LINK_BUDGET_S)
    redraw_sidebars()
    if status.state in ("dead", "refused"):
        state.link_error = state.fail(told(status.words, status.remedy))
        return None
    if status.state == "open":
        if state.last_error == state.link_error:
            state.last_error = ""  # that one is over
        return _CALM_S  # kept alive, so that the light tells the truth
    return _POLL_S if state.link_polls < _CONNECT_POLLS else None
