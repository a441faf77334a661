"""Messages to ZeroMQ frames and back: magic + version, a JSON header, then one raw buffer per array.

May import stdlib and numpy. Nothing that arrives is trusted: every type, size and shape is checked, and anything
that does not fit is a WireError. Unknown fields and arrays are ignored; an unknown major version is refused.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import OversizeError, UnknownKindError, VersionError, WireError
from .fields import DTYPES, ArraySpec
from .messages import CLIENT_MESSAGES, PROTOCOL_MAJOR, PROTOCOL_MINOR, SERVER_MESSAGES, Hello
from .schema import Plan, plan_of, record_of, value_from

MAGIC = b"MRNT"
VERSION_FRAME = struct.Struct("<4sHH")
MAX_FRAMES = 16
MAX_HEADER_BYTES = 262_144
MAX_BUFFER_BYTES = 4_194_304
MAX_ID_CHARS = 64
MAX_ARRAY_SIZE = 1 << 31
# The header of a message from a client that has not been admitted: a hello needs a few hundred bytes.
MAX_HELLO_BYTES = 8192

Buffer = bytes | memoryview
Registry = Mapping[str, type[Any]]

FROM_CLIENT: Registry = {message.kind: message for message in CLIENT_MESSAGES}
FROM_SERVER: Registry = {message.kind: message for message in SERVER_MESSAGES}
HELLO_ONLY: Registry = {Hello.kind: Hello}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A decoded message, its id, and the id of the request that it answers ("" on a request)."""

    message: Any
    message_id: str
    request: str = ""


def encode(message: Any, message_id: str, request: str = "") -> list[Buffer]:
    """The frames of a message: version, header, and each array's buffer in the order of the fields.

    Raises WireError when an array does not have its field's dtype or shape.
    """
    plan = plan_of(type(message))
    buffers: list[Buffer] = []
    entries = []
    sizes: dict[str, int] = {}
    for name, spec in plan.arrays:
        array = np.ascontiguousarray(getattr(message, name), dtype=DTYPES[spec.dtype])
        _check_shape(name, array.shape, spec, sizes)
        entries.append({"name": name, "dtype": spec.dtype, "shape": list(array.shape), "unit": spec.unit})
        buffers.append(array.reshape(-1).view(np.uint8).data)
    header = {
        "kind": message.kind,
        "id": message_id,
        "request": request,
        "fields": record_of(message, plan),
        "arrays": entries,
    }
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    return [VERSION_FRAME.pack(MAGIC, PROTOCOL_MAJOR, PROTOCOL_MINOR), text, *buffers]


def decode(frames: Sequence[Buffer], registry: Registry) -> Envelope:
    """The message in `frames`, one of `registry`. Arrays are read-only views of the frames.

    Raises VersionError, OversizeError, UnknownKindError or WireError; never anything else.
    """
    if not 2 <= len(frames) <= MAX_FRAMES:
        raise WireError(f"A message has 2 to {MAX_FRAMES} frames, this one has {len(frames)}")
    check_version(frames[0])
    header = _header(frames[1])
    kind = _text(header, "kind")
    message_class = registry.get(kind)
    if message_class is None:
        raise UnknownKindError(f"Unknown message kind {kind!r}", "Update the older of the two sides")
    plan = plan_of(message_class)
    values = value_from(plan, header.get("fields"), kind)
    values.update(_arrays(plan, header.get("arrays"), frames[2:]))
    return Envelope(message_class(**values), _text(header, "id"), _text(header, "request", ""))


def decode_hello(frames: Sequence[Buffer]) -> Envelope:
    """The `hello` in `frames`: all that is decoded of what a client says before it is admitted.

    Raises UnknownKindError for every other kind without reading its fields, and WireError as `decode` does.
    """
    if len(frames) > 1 and len(frames[1]) > MAX_HELLO_BYTES:
        raise OversizeError(f"The header of a hello has at most {MAX_HELLO_BYTES} bytes")
    return decode(frames, HELLO_ONLY)


def request_id_of(frames: Sequence[Buffer], admitted: bool = True) -> str:
    """The id in a message that may be malformed otherwise, so that a refusal can name it; "" when there is none.

    Of a client that is not admitted, a header that is too long for a hello is not read at all.
    """
    try:
        return _text(_header(frames[1]), "id") if admitted or len(frames[1]) <= MAX_HELLO_BYTES else ""
    except (IndexError, WireError):
        return ""


def check_version(frame: Buffer) -> None:
    """Raise WireError when `frame` is not a version frame, VersionError when its major version is another."""
    if len(frame) != VERSION_FRAME.size:
        raise WireError("This is not a Marionet message: the first frame has the wrong size")
    magic, major, minor = VERSION_FRAME.unpack(bytes(frame))
    if magic != MAGIC:
        raise WireError("This is not a Marionet message: the first frame does not begin with its mark")
    if major != PROTOCOL_MAJOR:
        raise VersionError(
            f"The message is in protocol version {major}.{minor}, this side speaks {PROTOCOL_MAJOR}.{PROTOCOL_MINOR}",
            "Update Marionet in Blender and the backend to the same version",
        )


def _refuse_constant(name: str) -> None:
    raise WireError(f"The header holds {name}, which is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _header(frame: Buffer) -> dict[str, Any]:
    if len(frame) > MAX_HEADER_BYTES:
        raise OversizeError(f"The header has {len(frame)} bytes, at most {MAX_HEADER_BYTES} are allowed")
    try:
        header = _DECODER.decode(bytes(frame).decode("utf-8"))
    except WireError:
        raise
    except (ValueError, RecursionError) as fault:
        raise WireError("The header is not JSON in UTF-8") from fault
    if not isinstance(header, dict):
        raise WireError("The header is not a JSON object")
    return header


def _text(header: dict[str, Any], key: str, default: str | None = None) -> str:
    value = header.get(key, default)
    if not isinstance(value, str) or len(value) > MAX_ID_CHARS or not value.isascii():
        raise WireError(f"The header's {key!r} is not a short ASCII string")
    return value


def _arrays(plan: Plan, entries: Any, buffers: Sequence[Buffer]) -> dict[str, Any]:
    if not isinstance(entries, list) or len(entries) != len(buffers):
        raise WireError(f"The header describes other arrays than the {len(buffers)} that came")
    specs = dict(plan.arrays)
    values: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for entry, buffer in zip(entries, buffers, strict=True):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise WireError("An array's description is not an object with a name")
        spec = specs.get(entry["name"])
        if spec is not None:
            values[entry["name"]] = _array(entry, spec, buffer, sizes)
    missing = [name for name in specs if name not in values]
    if missing:
        raise WireError(f"The array {missing[0]!r} is missing")
    return values


def _array(entry: dict[str, Any], spec: ArraySpec, buffer: Buffer, sizes: dict[str, int]) -> Any:
    name, shape = entry["name"], entry.get("shape")
    if len(buffer) > MAX_BUFFER_BYTES:
        raise OversizeError(f"The array {name!r} has {len(buffer)} bytes, at most {MAX_BUFFER_BYTES} are allowed")
    if entry.get("dtype") != spec.dtype or entry.get("unit") != spec.unit:
        raise WireError(f"The array {name!r} must be {spec.dtype} in {spec.unit}")
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < MAX_ARRAY_SIZE for size in shape):
        raise WireError(f"The array {name!r} has a shape that is not a list of sizes")
    _check_shape(name, tuple(shape), spec, sizes)
    dtype = np.dtype(DTYPES[spec.dtype])
    count = 1
    for size in shape:
        count *= size
    if count * dtype.itemsize != len(buffer):
        raise WireError(f"The array {name!r} of shape {shape} needs {count * dtype.itemsize} bytes, {len(buffer)} came")
    view = np.frombuffer(buffer, dtype=dtype).reshape(shape)
    view.flags.writeable = False
    return view


def _check_shape(name: str, shape: tuple[int, ...], spec: ArraySpec, sizes: dict[str, int]) -> None:
    if len(shape) != len(spec.shape):
        raise WireError(f"The array {name!r} has {len(shape)} dimensions, expected {len(spec.shape)}")
    for size, wanted in zip(shape, spec.shape, strict=True):
        expected = wanted if isinstance(wanted, int) else sizes.setdefault(wanted, size)
        if size != expected:
            raise WireError(f"The array {name!r} has {size} for {wanted} in its shape {list(shape)}, not {expected}")
