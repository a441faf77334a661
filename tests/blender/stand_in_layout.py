"""Draw a panel without a window: a stand-in layout that is checked against Blender's own description of UILayout.

Unknown functions, arguments, enum values (icons!), properties and operators raise, as they would in the interface.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import bpy


class StandInLayout:
    """Takes every call that UILayout takes, and notes it."""

    def __init__(self, log: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> None:
        object.__setattr__(self, "log", log)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in bpy.types.UILayout.bl_rna.properties:
            raise AttributeError(f"UILayout has no property {name!r}")

    def __getattr__(self, name: str) -> Any:
        rna = bpy.types.UILayout.bl_rna
        if name in rna.properties:
            return None
        if name not in rna.functions:
            raise AttributeError(f"UILayout has no {name!r} in {bpy.app.version_string}")
        return lambda *args, **kwargs: self._call(rna.functions[name], args, kwargs)

    def _call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = function.identifier
        parameters = {parameter.identifier: parameter for parameter in function.parameters}
        for key, value in kwargs.items():
            if key not in parameters:
                raise TypeError(f"UILayout.{name}() has no argument {key!r}")
            parameter = parameters[key]
            if parameter.type == "ENUM" and not parameter.is_enum_flag and value not in parameter.enum_items:
                raise TypeError(f"UILayout.{name}({key}={value!r}): not in the enum")
            if key == "text" and not isinstance(value, str):
                raise TypeError(f"UILayout.{name}(text={value!r}) is no string")
        if name in ("prop", "prop_search") and not hasattr(args[0], args[1]):
            raise AttributeError(f"{args[0]!r} has no property {args[1]!r}")
        if name == "prop_search" and not hasattr(args[2], args[3]):
            raise AttributeError(f"{args[2]!r} has no collection {args[3]!r}")
        if name == "template_list" and not (hasattr(bpy.types, args[0]) and hasattr(args[2], args[3])):
            raise AttributeError(f"template_list{args[:4]}")
        if name == "menu" and not hasattr(bpy.types, args[0]):
            raise AttributeError(f"menu {args[0]!r}")
        self.log.append((name, args, kwargs))
        if name == "operator":
            module, _, operator = args[0].partition(".")
            known = getattr(getattr(bpy.ops, module), operator).get_rna_type().properties
            return _Properties(known)
        outputs = [parameter for parameter in function.parameters if parameter.is_output]
        is_layout = any(getattr(p.fixed_type, "identifier", "") == "UILayout" for p in outputs if p.type == "POINTER")
        return StandInLayout(self.log) if is_layout else None


class _Properties:
    """An operator button's properties: only those that the operator has can be set."""

    def __init__(self, known: Any) -> None:
        object.__setattr__(self, "known", known)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.known:
            raise AttributeError(f"the operator has no property {name!r}")


def draw(kind: Any, method: str = "draw", **attributes: Any) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Everything that a panel's `draw` asks the layout for."""
    log: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    getattr(kind, method)(SimpleNamespace(layout=StandInLayout(log), **attributes), bpy.context)
    return log


def texts(log: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> str:
    """All labels and bar texts that were drawn, one a line."""
    return "\n".join(str(kwargs["text"]) for _, _, kwargs in log if "text" in kwargs)
