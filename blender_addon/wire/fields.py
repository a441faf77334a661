"""How a message's fields are declared: array specifications and bounds. stdlib and numpy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES = {"uint8": "u1", "int32": "<i4", "int64": "<i8", "float32": "<f4", "float64": "<f8"}

Floats = NDArray[np.float32]
Times = NDArray[np.float64]
Indices = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One raw buffer: dtype name, shape whose named sizes ("T", "J") agree within a message, and unit."""

    dtype: str
    shape: tuple[str | int, ...]
    unit: str


def array(dtype: str, shape: tuple[str | int, ...], unit: str) -> Any:
    """Declare a message field that travels as a raw buffer of `dtype`, `shape` and `unit`."""
    return field(metadata={"array": ArraySpec(dtype, shape, unit)})


def unit(name: str, default: Any) -> Any:
    """Declare an optional header field that carries a unit."""
    return field(default=default, metadata={"unit": name})
