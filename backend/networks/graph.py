"""The graph format: a convolutional network as a list of typed operations over named NCHW tensors. Stdlib, numpy.

Batch is the first axis everywhere and never fixed. Each operation reads `inputs`, writes `output`; constants are
named arrays beside the graph (`NetworkGraph.arrays`), so that operations may share weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

Pads = tuple[int, int, int, int]
"""Top, left, bottom, right."""


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution; weight (out, in / groups, height, width), bias (out,), both names in `arrays`."""

    inputs: tuple[str]
    output: str
    weight: str
    bias: str
    stride: tuple[int, int]
    pads: Pads
    groups: int
    activation: str


@dataclass(frozen=True, slots=True)
class Add:
    """Elementwise sum of two tensors of one shape, then the activation ("none", "relu", "relu6")."""

    inputs: tuple[str, str]
    output: str
    activation: str


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Maximum over windows; padding never wins."""

    inputs: tuple[str]
    output: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: Pads


@dataclass(frozen=True, slots=True)
class PadChannels:
    """Zeros behind the last channel."""

    inputs: tuple[str]
    output: str
    channels: int


@dataclass(frozen=True, slots=True)
class PadSpace:
    """Zeros around the image."""

    inputs: tuple[str]
    output: str
    pads: Pads


@dataclass(frozen=True, slots=True)
class Resize:
    """Resampling to `size` (height, width); `mode` "bilinear" (half-pixel centres), "nearest" or "nearest_centre".

    "nearest" takes the source at floor(i * scale), "nearest_centre" at floor((i + 0.5) * scale).
    """

    inputs: tuple[str]
    output: str
    size: tuple[int, int]
    mode: str


@dataclass(frozen=True, slots=True)
class Flatten:
    """(N, C, H, W) read in the order H, W, C and reshaped to (N, *shape)."""

    inputs: tuple[str]
    output: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Concat:
    """Tensors of (N, R, V) joined along `axis`."""

    inputs: tuple[str, ...]
    output: str
    axis: int


@dataclass(frozen=True, slots=True)
class DepthToSpace:
    """Channels in the order (block row, block column, channel) spread over a `block` times finer image."""

    inputs: tuple[str]
    output: str
    block: int


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """Elementwise logistic function."""

    inputs: tuple[str]
    output: str


@dataclass(frozen=True, slots=True)
class Relu:
    """Elementwise maximum with 0."""

    inputs: tuple[str]
    output: str


@dataclass(frozen=True, slots=True)
class PRelu:
    """Values below 0 times the channel's `slope` (C,), a name in `arrays`."""

    inputs: tuple[str]
    output: str
    slope: str


@dataclass(frozen=True, slots=True)
class SpaceMean:
    """The mean over the image: (N, C, H, W) -> (N, C, 1, 1)."""

    inputs: tuple[str]
    output: str


@dataclass(frozen=True, slots=True)
class SwapRows:
    """Channels and rows change places: (N, C, H, W) -> (N, H, C, W)."""

    inputs: tuple[str]
    output: str


@dataclass(frozen=True, slots=True)
class ChannelNorm:
    """Each pixel's channels less their mean, over the root of their variance plus `epsilon`, times `scale` (C,)."""

    inputs: tuple[str]
    output: str
    scale: str
    epsilon: float


@dataclass(frozen=True, slots=True)
class PrependRow:
    """A constant `row` (C,), a name in `arrays`, before the first row: (N, C, H, 1) -> (N, C, H + 1, 1)."""

    inputs: tuple[str]
    output: str
    row: str


@dataclass(frozen=True, slots=True)
class FirstRow:
    """(N, C, H, W) -> (N, C, 1, W)."""

    inputs: tuple[str]
    output: str


Operation = (
    Conv
    | Add
    | MaxPool
    | PadChannels
    | PadSpace
    | Resize
    | Flatten
    | Concat
    | DepthToSpace
    | Sigmoid
    | Relu
    | PRelu
    | SpaceMean
    | SwapRows
    | ChannelNorm
    | PrependRow
    | FirstRow
)
OPERATIONS: dict[str, type[Operation]] = {kind.__name__: kind for kind in get_args(Operation)}
_ARRAY_FIELDS = ("weight", "bias", "slope", "scale", "row")


def arrays_of(operation: Operation) -> tuple[str, ...]:
    """Names of the constants that an operation reads."""
    return tuple(getattr(operation, field) for field in _ARRAY_FIELDS if hasattr(operation, field))


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a network is from: package with version, file in it, its sha256, licence, and who made it."""

    package: str
    file: str
    sha256: str
    licence: str
    copyright: str


@dataclass(frozen=True, slots=True)
class NetworkGraph:
    """A whole network: square RGB input of `input_size` px, normalised as pixel * input_scale + input_offset.

    A network of points has an `input_points` instead: it takes that many points (N, P, 2), read as P channels of two
    rows and scaled alike. `outputs` maps the public name of a result (taps among them) to the tensor that holds it.
    """

    name: str
    input_name: str
    input_size: int
    input_scale: float
    input_offset: float
    operations: tuple[Operation, ...]
    outputs: Mapping[str, str]
    arrays: Mapping[str, NDArray[Any]]
    provenance: Provenance
    input_points: int = 0

    def select(self, outputs: Iterable[str]) -> NetworkGraph:
        """The same network cut down to what the named outputs need. KeyError for a name that is not there."""
        wanted = {name: self.outputs[name] for name in outputs}
        needed = set(wanted.values())
        kept: list[Operation] = []
        for operation in reversed(self.operations):
            if operation.output in needed:
                needed.update(operation.inputs)
                kept.append(operation)
        used = {name for op in kept for name in arrays_of(op)}
        arrays = {name: array for name, array in self.arrays.items() if name in used}
        return replace(self, operations=tuple(reversed(kept)), outputs=wanted, arrays=arrays)

    @property
    def parameter_count(self) -> int:
        """Number of weights."""
        return int(sum(np.asarray(array).size for array in self.arrays.values()))
