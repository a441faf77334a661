"""Real mouse clicks for `gui_scenario.py`: a button is looked for under the mouse, not at a place that is known before.

Blender tells no script where its buttons are. But over a button, `ui.copy_python_command_button` gives the operator
that it calls, and `ui.copy_data_path_button` the property that it holds. Runs inside a real, windowed Blender.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import bpy
from gui_hands import require

_STEP_PX = 10
_LOOK_S = 0.02
_MOST_PAGES = 9
_INSET_PX = (110,)  # from the sidebar's left edge; small icons stand at its right one


Found = Generator[float | None, None, tuple[Any, int, int]]


@dataclass(slots=True)
class Clicks:
    """What has been clicked, in order."""

    names: list[str] = field(default_factory=list)


clicks = Clicks()


def area_of(kind: str = "VIEW_3D", window: Any = None) -> tuple[Any, Any]:
    """The first area of a kind with its window."""
    windows = [window] if window is not None else list(bpy.context.window_manager.windows)
    for one in windows:
        for area in one.screen.areas:
            if area.type == kind:
                return one, area
    raise AssertionError(f"no area of the kind {kind}")  # not a StopIteration, which would end a step silently


def region_of(kind: str, area_kind: str = "VIEW_3D") -> tuple[Any, Any, Any]:
    """Window, area and region."""
    window, area = area_of(area_kind)
    return window, area, next(region for region in area.regions if region.type == kind)


def move(window: Any, x: int, y: int) -> None:
    """Put the mouse somewhere in a window."""
    window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)


def press_at(window: Any, x: int, y: int, what: str) -> Iterator[float | None]:
    """Click, and count it."""
    move(window, x, y)
    yield None
    for value in ("PRESS", "RELEASE"):
        window.event_simulate(type="LEFTMOUSE", value=value, x=x, y=y)
    clicks.names.append(what)
    yield None


def under_mouse(window: Any, area: Any, region: Any) -> str:
    """The operator or the property of the button under the mouse, "" where there is none."""
    found = ""
    manager = bpy.context.window_manager
    with bpy.context.temp_override(window=window, area=area, region=region):
        for operator in (bpy.ops.ui.copy_python_command_button, bpy.ops.ui.copy_data_path_button):
            if operator.poll():  # type: ignore[call-arg]  # the stub takes it for an unbound function
                manager.clipboard = ""
                operator()
                found += " " + manager.clipboard
    return found


def find_button(name: str, kind: str = "UI", area_kind: str = "VIEW_3D") -> Found:
    """Where in a region the button is whose operator or property contains `name`; scrolled to if out of sight."""
    window, area, region = region_of(kind, area_kind)
    for page in range(_MOST_PAGES):
        if page:  # not in sight: from the top on, page by page
            yield from scroll(
                window, region, "WHEELUPMOUSE" if page == 1 else "WHEELDOWNMOUSE", 60 if page == 1 else 10
            )
        for inset in (*_INSET_PX, *(region.width - far for far in (40, 60))):
            for y in range(region.height - 12, 6, -_STEP_PX):
                x_px, y_px = region.x + inset, region.y + y
                move(window, x_px, y_px)
                yield _LOOK_S
                if name in under_mouse(window, area, region):
                    return window, x_px, y_px
    raise AssertionError(f"no button for {name} in {area_kind} {kind}")


def scroll(window: Any, region: Any, wheel: str, steps: int) -> Iterator[float | None]:
    """Turn the wheel over a region."""
    x_px, y_px = region.x + _INSET_PX[0], region.y + region.height // 2
    move(window, x_px, y_px)
    yield _LOOK_S
    for _ in range(steps):
        window.event_simulate(type=wheel, value="PRESS", x=x_px, y=y_px)
        yield _LOOK_S


def click_button(name: str, kind: str = "UI", area_kind: str = "VIEW_3D") -> Iterator[float | None]:
    """Find a button and click it."""
    window, x_px, y_px = yield from find_button(name, kind, area_kind)
    yield from press_at(window, x_px, y_px, name)


def open_panel_below(name: str, drawn: Callable[[], bool]) -> Iterator[float | None]:
    """Click the first panel header below a button; `drawn` tells whether its panel draws itself then."""
    window, x_px, y_px = yield from find_button(name)
    for below in range(18, 60, 6):
        yield from press_at(window, x_px, y_px - below, "panel header")
        yield None
        if drawn():
            return
        clicks.names.pop()
    require(False, f"no panel opened below {name}")
