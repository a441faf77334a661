"""From a message's type hints to checked values: the part of the codec that reads JSON. stdlib only.

Supported field types: str, int, float, bool, `X | None`, `tuple[X, ...]`, `dict[str, X]`, and frozen dataclasses of
these. Anything else in a declaration is a programming error; anything else in a header is a WireError.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from .errors import OversizeError, WireError
from .fields import ArraySpec

MAX_TEXT_CHARS = 4096
MAX_ITEMS = 1024
MAX_INT = 1 << 53
MAX_FLOAT = 1e300

Reader = Callable[[Any, str], Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to read and write one dataclass: its header fields with readers, which are required, and its arrays."""

    readers: tuple[tuple[str, Reader], ...]
    required: frozenset[str]
    arrays: tuple[tuple[str, ArraySpec], ...]


_PLANS: dict[type[Any], Plan] = {}


def plan_of(message_class: type[Any]) -> Plan:
    """The plan of a message class, made once."""
    plan = _PLANS.get(message_class)
    if plan is None:
        plan = _PLANS[message_class] = _make_plan(message_class)
    return plan


def _make_plan(message_class: type[Any]) -> Plan:
    hints = get_type_hints(message_class)
    arrays = tuple((item.name, item.metadata["array"]) for item in fields(message_class) if "array" in item.metadata)
    plain = [item for item in fields(message_class) if "array" not in item.metadata]
    readers = tuple((item.name, _reader(hints[item.name])) for item in plain)
    required = frozenset(item.name for item in plain if item.default is MISSING and item.default_factory is MISSING)
    return Plan(readers, required, arrays)


def record_of(message: Any, plan: Plan) -> dict[str, Any]:
    """The JSON object of a message's header fields."""
    return {name: _plain(getattr(message, name)) for name, _ in plan.readers}


def value_from(plan: Plan, record: Any, where: str) -> dict[str, Any]:
    """Keyword arguments from a JSON object. Raises WireError naming the field that does not fit."""
    if not isinstance(record, dict):
        raise WireError(f"The fields of {where} are not a JSON object")
    values = {}
    for name, read in plan.readers:
        if name in record:
            values[name] = read(record[name], f"{where}.{name}")
        elif name in plan.required:
            raise WireError(f"The field {where}.{name} is missing")
    return values


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return record_of(value, plan_of(type(value)))
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _reader(hint: Any) -> Reader:
    simple = _SIMPLE.get(hint)
    if simple is not None:
        return simple
    if is_dataclass(hint) and isinstance(hint, type):
        return _record_reader(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union) and type(None) in arguments:
        return _optional_reader(_reader(next(item for item in arguments if item is not type(None))))
    if origin is tuple:
        return _tuple_reader(_reader(arguments[0]))
    if origin is dict:
        return _dict_reader(_reader(arguments[1]))
    raise TypeError(f"{hint} cannot travel in a header")


def _read_text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise WireError(f"{where} is not a string")
    if len(value) > MAX_TEXT_CHARS:
        raise OversizeError(f"{where} has {len(value)} characters, at most {MAX_TEXT_CHARS} are allowed")
    if "\0" in value or not _encodable(value):
        raise WireError(f"{where} holds characters that no text has")
    return value


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _read_int(value: Any, where: str) -> int:
    if type(value) is not int or not -MAX_INT < value < MAX_INT:
        raise WireError(f"{where} is not a whole number of at most 53 bits")
    return value


def _read_float(value: Any, where: str) -> float:
    # The comparison holds for integers of any length, which float() and math.isfinite() cannot take; NaN fails it.
    if type(value) not in (int, float) or not -MAX_FLOAT <= value <= MAX_FLOAT:
        raise WireError(f"{where} is not a finite number")
    return float(value)


def _read_bool(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise WireError(f"{where} is not true or false")
    return value


_SIMPLE: dict[Any, Reader] = {str: _read_text, int: _read_int, float: _read_float, bool: _read_bool}


def _record_reader(record_class: type[Any]) -> Reader:
    def read(value: Any, where: str) -> Any:
        return record_class(**value_from(plan_of(record_class), value, where))

    return read


def _optional_reader(inner: Reader) -> Reader:
    def read(value: Any, where: str) -> Any:
        return None if value is None else inner(value, where)

    return read


def _tuple_reader(inner: Reader) -> Reader:
    def read(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise WireError(f"{where} is not a list")
        _check_count(value, where)
        return tuple(inner(item, where) for item in value)

    return read


def _dict_reader(inner: Reader) -> Reader:
    def read(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise WireError(f"{where} is not a JSON object")
        _check_count(value, where)
        return {_read_text(key, where): inner(item, where) for key, item in value.items()}

    return read


def _check_count(value: Any, where: str) -> None:
    if len(value) > MAX_ITEMS:
        raise OversizeError(f"{where} has {len(value)} items, at most {MAX_ITEMS} are allowed")
