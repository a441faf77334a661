"""Arrays out of an `.npz` that nobody has vouched for: checked by their headers before any of their bytes is unpacked.

May import numpy and its own room only. `numpy.load` unpacks whatever a member says it holds; here a member's kind and
shape must be the expected ones first, and all members together stay below a bound.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_HEADER_BYTES = 4096
_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True, slots=True)
class MemberSpec:
    """What a member must be: kinds of dtype ("f" floats, "U" text), and a shape whose names agree among members."""

    kinds: str
    shape: tuple[str | int, ...]
    most_bytes: int


def read_members(stream: BinaryIO, specs: Mapping[str, MemberSpec], most_bytes: int) -> dict[str, NDArray[Any]]:
    """The members that `specs` names, each a writable array.

    Raises ValueError for anything that is not as expected, and whatever else `zipfile` and `zlib` raise for damage.
    Needs no more memory than the file and `most_bytes`.
    """
    arrays: dict[str, NDArray[Any]] = {}
    sizes: dict[str, int] = {}
    left = most_bytes
    with zipfile.ZipFile(stream) as archive:
        for name, spec in specs.items():
            info = archive.getinfo(f"{name}.npy")
            if info.compress_type not in _COMPRESSION or info.file_size > min(spec.most_bytes, left) + _HEADER_BYTES:
                raise ValueError(f"{name} is larger than a clip's or packed in another way")
            with archive.open(info) as member:
                arrays[name] = _read_array(member, name, spec, sizes)  # type: ignore[arg-type]
            left -= info.file_size
    return arrays


def member_names(stream: BinaryIO) -> frozenset[str]:
    """Names of the arrays in the archive. Raises what `zipfile` raises for damage."""
    with zipfile.ZipFile(stream) as archive:
        return frozenset(name.removesuffix(".npy") for name in archive.namelist())


def _read_array(member: BinaryIO, name: str, spec: MemberSpec, sizes: dict[str, int]) -> NDArray[Any]:
    if np.lib.format.read_magic(member) != (1, 0):  # type: ignore[no-untyped-call]
        raise ValueError(f"{name} has a header of another version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)  # type: ignore[no-untyped-call]
    _check(name, shape, dtype, spec, sizes)
    flat = np.empty(math.prod(shape), dtype)
    _fill(member, flat, name)
    return flat.reshape(shape, order="F" if fortran else "C")


def _check(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], spec: MemberSpec, sizes: dict[str, int]) -> None:
    if dtype.kind not in spec.kinds or dtype.hasobject:
        raise ValueError(f"{name} holds {dtype}")
    if len(shape) != len(spec.shape):
        raise ValueError(f"{name} has shape {shape}")
    for size, wanted in zip(shape, spec.shape, strict=True):
        expected = wanted if isinstance(wanted, int) else sizes.setdefault(wanted, size)
        if size != expected or size < 0:
            raise ValueError(f"{name} has shape {shape}, {wanted} is {expected}")
    if math.prod(shape) * dtype.itemsize > spec.most_bytes:
        raise ValueError(f"{name} is too large")


def _fill(member: BinaryIO, flat: NDArray[Any], name: str) -> None:
    """Read an array's bytes; reading up to the end also compares the member's checksum."""
    target = flat.view(np.uint8).data if flat.size and flat.dtype.itemsize else memoryview(bytearray())
    filled = 0
    while filled < len(target):
        count = member.readinto(target[filled:])  # type: ignore[attr-defined]
        if not count:
            raise ValueError(f"{name} is cut short")
        filled += count
    if member.read(1):
        raise ValueError(f"{name} is longer than its shape")
