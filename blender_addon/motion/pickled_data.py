"""The data in a pickle, read as data: nothing is imported, nothing is called. Standard library, numpy, its own room.

A pickle is a program for a small machine, and `pickle.load` lets that program call anything. Here the program is read
opcode by opcode with `pickletools`, and of everything that it may name only plain containers, numpy arrays and torch
tensors have a meaning; any other name is refused. joblib writes an array's bytes between the opcodes, behind the one
that ends its description (`joblib/numpy_pickle.py`, `NumpyArrayWrapper.write_array`).
"""

from __future__ import annotations

import io
import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .motion_file_error import MotionFileError

_MARK: Final = object()
_MOST_VALUES: Final = 500_000
_NUMBERS: Final = "biuf"
STORAGE_TYPES: Final = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}
_REMEDY: Final = "Load it where it was made and save its arrays with numpy.savez"


@dataclass(frozen=True, slots=True)
class Name:
    """Something that a pickle names: only its name, never the thing."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class Tensor:
    """A torch tensor's place in its archive: which storage, of which type, and what part of it. Sizes in elements."""

    key: str
    dtype: str
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(slots=True)
class _Unbuilt:
    """A numpy dtype or array whose state comes in a later opcode."""

    kind: str
    dtype: str = ""
    array: NDArray[Any] | None = None


def read_pickle(data: bytes, name: str) -> Any:
    """Dictionaries, lists, tuples, numbers, text, numpy arrays and `Tensor`s. `name` is the file's, for messages.

    Raises MotionFileError for anything else that the pickle names, and for a damaged one.
    """
    try:
        value = _Machine(name, data).run()
        return _Finisher()(value)
    except MotionFileError:
        raise
    except Exception as fault:  # the file's border: every kind of damage has its own exception
        reason = str(fault)[:120] or type(fault).__name__
        raise MotionFileError(f"{name} is damaged or no pickle of numbers ({reason})", _REMEDY) from fault


class _Finisher:
    """Puts arrays in place of those that were built step by step; counts, since a pickle can hold a value many times
    over, nested, and so be endless in effect.
    """

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, value: Any) -> Any:
        self._count += 1
        if self._count > _MOST_VALUES:
            raise ValueError("it holds itself, or far too many values")
        if isinstance(value, _Unbuilt):
            if value.array is None:
                raise ValueError("an array without its data")
            return value.array
        if isinstance(value, dict):
            return {key: self(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self(item) for item in value)
        return value


@dataclass(slots=True)
class _Machine:
    """The pickle machine's stack and memo."""

    file: str
    data: bytes
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    count: int = 0
    stream: io.BytesIO = field(init=False)

    def __post_init__(self) -> None:
        self.stream = io.BytesIO(self.data)

    def run(self) -> Any:
        for opcode, argument, _ in pickletools.genops(self.stream):
            self.count += 1
            if self.count > _MOST_VALUES:
                raise MotionFileError(f"{self.file} holds more single values than a motion has", _REMEDY)
            if opcode.name == "STOP":
                return self.stack.pop()
            if opcode.name in _PUSHED:
                self.stack.append(argument)
            else:
                step = _STEPS.get(opcode.name)
                if step is None:
                    raise MotionFileError(f"{self.file} holds Python objects ({opcode.name}), not arrays", _REMEDY)
                step(self, argument)
        raise ValueError("it is cut off")

    def since_mark(self) -> list[Any]:
        place = len(self.stack) - 1 - next(k for k, item in enumerate(reversed(self.stack)) if item is _MARK)
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def last(self, count: int) -> list[Any]:
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def drop(self) -> None:
        self.stack.pop()

    def make_dict(self) -> None:
        items = self.since_mark()
        self.stack.append(dict(zip(items[::2], items[1::2], strict=True)))

    def extend(self, items: list[Any]) -> None:
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def reduce(self) -> None:
        called, arguments = self.last(2)
        self.stack.append(self._made(called, arguments))

    def new_object(self) -> None:
        self.reduce()

    def _made(self, called: Any, arguments: Any) -> Any:
        known = _MADE.get((called.module, called.name)) if isinstance(called, Name) else None
        if known is None:
            what = f"{called.module}.{called.name}" if isinstance(called, Name) else type(called).__name__
            raise MotionFileError(
                f"{self.file} holds a Python object ({what}); running it could run any program, so it is refused",
                _REMEDY,
            )
        return known(*arguments)

    def build(self) -> None:
        state = self.stack.pop()
        thing = self.stack[-1]
        if isinstance(thing, _Unbuilt) and thing.kind == "dtype":
            thing.dtype = {"<": "<", ">": ">", "|": "|", "=": "<"}[state[1]] + thing.dtype
        elif isinstance(thing, _Unbuilt) and thing.kind == "joblib":
            thing.array = self.array_between(state)
        elif isinstance(thing, _Unbuilt):
            _, shape, dtype, fortran, raw = state[-5:]
            thing.array = _array(shape, dtype, bool(fortran), raw)
        elif not isinstance(thing, dict):  # attributes of a dictionary, which torch gives an OrderedDict
            raise MotionFileError(f"{self.file} holds a Python object, not arrays", _REMEDY)

    def array_between(self, state: dict[str, Any]) -> NDArray[Any]:
        """The array whose bytes follow here, as joblib describes it; since 1.1 behind a count and so much padding."""
        if state.get("numpy_array_alignment_bytes") is not None:
            self.stream.seek(self.stream.read(1)[0], io.SEEK_CUR)
        dtype, shape, begin = np.dtype(state["dtype"].dtype), tuple(map(int, state["shape"])), self.stream.tell()
        size = math.prod(shape)
        if min(shape, default=0) < 0 or begin + size * dtype.itemsize > len(self.data):
            raise ValueError("it is cut off")
        self.stream.seek(begin + size * dtype.itemsize)
        flat = np.frombuffer(self.data, dtype, size, begin) if size else np.zeros(0, dtype)
        return flat.reshape(shape, order="F" if state["order"] == "F" else "C")

    def persistent(self) -> None:
        kind, storage, key, _, _ = self.stack.pop()
        if kind != "storage" or not isinstance(storage, Name) or storage.name not in STORAGE_TYPES:
            raise ValueError("an unknown kind of tensor")
        self.stack.append((STORAGE_TYPES[storage.name], str(key)))


def _array(shape: Any, dtype: Any, fortran: bool, raw: Any) -> NDArray[Any]:
    if not (isinstance(dtype, _Unbuilt) and isinstance(raw, (bytes, bytearray))):
        raise TypeError("an array of Python objects")
    flat = np.frombuffer(bytes(raw), np.dtype(dtype.dtype))
    return flat.reshape(tuple(int(size) for size in shape), order="F" if fortran else "C")


def _dtype(text: str, *_: Any) -> _Unbuilt:
    kind = str(text).lstrip("<>|=")
    if kind[:1] not in _NUMBERS:
        raise ValueError("an array of something else than numbers")
    return _Unbuilt("dtype", kind)


def _scalar(dtype: _Unbuilt, raw: bytes) -> Any:
    return np.frombuffer(raw, np.dtype(dtype.dtype))[0].item()


def _tensor(storage: tuple[str, str], offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    dtype, key = storage
    return Tensor(key, dtype, int(offset), tuple(map(int, size)), tuple(map(int, stride)))


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes as {encoding}")
    return text.encode("latin1")


_NUMPY_CORES: Final = ("numpy.core.multiarray", "numpy._core.multiarray")
_MADE: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    ("collections", "OrderedDict"): dict,
    ("collections", "defaultdict"): lambda *_: {},
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): lambda: _Unbuilt("joblib"),
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    ("torch", "Size"): tuple,
    ("torch", "device"): str,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encoded,
    **{(core, "_reconstruct"): lambda *_: _Unbuilt("array") for core in _NUMPY_CORES},
    **{(core, "scalar"): _scalar for core in _NUMPY_CORES},
}
_INTEGERS: Final = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")
_TEXTS: Final = ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_BYTES: Final = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
_PUSHED: Final = frozenset((*_INTEGERS, *_TEXTS, *_BYTES, "FLOAT", "BINFLOAT"))
_Step = Callable[[_Machine, Any], None]
_STEPS: Final[dict[str, _Step]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "POP": lambda machine, _: machine.drop(),
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(tuple(machine.last(1))),
    "TUPLE2": lambda machine, _: machine.stack.append(tuple(machine.last(2))),
    "TUPLE3": lambda machine, _: machine.stack.append(tuple(machine.last(3))),
    "LIST": lambda machine, _: machine.stack.append(list(machine.since_mark())),
    "DICT": lambda machine, _: machine.make_dict(),
    "APPEND": lambda machine, _: machine.extend(machine.last(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.last(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "PUT": lambda machine, place: machine.put(int(place)),
    "BINPUT": lambda machine, place: machine.put(int(place)),
    "LONG_BINPUT": lambda machine, place: machine.put(int(place)),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "GET": lambda machine, place: machine.stack.append(machine.memo[int(place)]),
    "BINGET": lambda machine, place: machine.stack.append(machine.memo[int(place)]),
    "LONG_BINGET": lambda machine, place: machine.stack.append(machine.memo[int(place)]),
    "GLOBAL": lambda machine, text: machine.stack.append(Name(*str(text).split(" ", 1))),
    "STACK_GLOBAL": lambda machine, _: machine.stack.append(Name(*map(str, machine.last(2)))),
    "BINPERSID": lambda machine, _: machine.persistent(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "NEWOBJ": lambda machine, _: machine.new_object(),
    "BUILD": lambda machine, _: machine.build(),
}
