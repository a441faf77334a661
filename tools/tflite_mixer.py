"""Reads the MLP mixer of MediaPipe's blend shapes from its .tflite flatbuffer into the project's graph format.

numpy, tflite, backend.networks.graph. The flatbuffer spells out layer normalisation and the scaling of the points in
forty kinds of steps; here its constants are read in order and the mixer is put together from named operations. The
points go in normalised (`backend.face.expression.mixer_points`); their last factor is the graph's `input_scale`.
`python -m tools.check_networks` holds the result to the original.
"""

from __future__ import annotations

from typing import Any

import tflite
from numpy.typing import NDArray

from backend.networks.graph import (
    Add,
    ChannelNorm,
    Conv,
    FirstRow,
    Flatten,
    NetworkGraph,
    Operation,
    PrependRow,
    Provenance,
    Sigmoid,
    SwapRows,
)
from tools.tflite_tensors import TensorReader

POINTS, WEIGHTS = 146, 52
_RELU = 1


class _Flatbuffer:
    """Operators by kind, in order, with their constants."""

    def __init__(self, data: bytes) -> None:
        self._model = tflite.Model.GetRootAsModel(data, 0)
        self._graph = self._model.Subgraphs(0)
        self._tensors = TensorReader(self._model)
        self.operators = [self._graph.Operators(i) for i in range(self._graph.OperatorsLength())]
        for operator in self.of_kind(tflite.BuiltinOperator.DEQUANTIZE):
            self._tensors.share(int(operator.Inputs(0)), int(operator.Outputs(0)))

    def of_kind(self, kind: int) -> list[Any]:
        """All operators of a kind, in order."""
        found = []
        for operator in self.operators:
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            if max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) == kind:
                found.append(operator)
        return found

    def constants(self, operator: Any) -> list[NDArray[Any]]:
        """Values of the operator's constant inputs, in order."""
        return [self._tensors.constant(int(i)) for i in operator.InputsAsNumpy() if self._tensors.is_constant(int(i))]


class _Assembly:
    """A graph as it grows; every step reads the one before unless it names another tensor."""

    def __init__(self, source: str) -> None:
        self.last, self.operations = source, list[Operation]()
        self.arrays: dict[str, NDArray[Any]] = {}

    def name(self) -> str:
        """A fresh tensor name."""
        return f"m{len(self.operations)}"

    def add(self, operation: Operation) -> str:
        """Append an operation; returns its output's name."""
        self.operations.append(operation)
        self.last = operation.output
        return self.last

    def conv(self, weight: NDArray[Any], bias: NDArray[Any], activation: str) -> str:
        """A convolution of one pixel; weight as the flatbuffer has it (out, 1, 1, in)."""
        output = self.name()
        self.arrays |= {f"{output}_weight": weight.transpose(0, 3, 1, 2), f"{output}_bias": bias}
        return self.add(
            Conv((self.last,), output, f"{output}_weight", f"{output}_bias", (1, 1), (0, 0, 0, 0), 1, activation)
        )

    def norm(self, scale: NDArray[Any], epsilon: float) -> str:
        """Layer normalisation over the channels."""
        output = self.name()
        self.arrays[f"{output}_gain"] = scale
        return self.add(ChannelNorm((self.last,), output, f"{output}_gain", epsilon))


def read_mixer(data: bytes, name: str, provenance: Provenance) -> NetworkGraph:
    """The mixer as a graph: points (N, 146, 2), normalised, to `weights` (N, 52)."""
    flat = _Flatbuffer(data)
    builtin = tflite.BuiltinOperator
    convs: list[Any] = [(*flat.constants(op), _activation(op)) for op in flat.of_kind(builtin.CONV_2D)]
    factors = [values[0] for op in flat.of_kind(builtin.MUL) if (values := flat.constants(op))]
    scale, norms = float(factors[0]), factors[1:]
    epsilon = float(next(values[0] for op in flat.of_kind(builtin.ADD) if (values := flat.constants(op))))
    token = flat.constants(flat.of_kind(builtin.CONCATENATION)[0])[0].reshape(-1)
    blocks = len(norms) // 2
    if len(convs) != 3 + 4 * blocks:
        raise NotImplementedError(f"a mixer with {len(convs)} layers and {len(norms)} normalisations")
    build = _Assembly("points")
    build.conv(*convs[0])
    build.add(SwapRows((build.last,), build.name()))
    build.conv(*convs[1])
    build.arrays["token"] = token
    build.add(PrependRow((build.last,), build.name(), "token"))
    for block in range(blocks):
        _mix(build, convs[2 + 4 * block : 6 + 4 * block], norms[2 * block : 2 * block + 2], epsilon)
    build.add(FirstRow((build.last,), build.name()))
    build.conv(*convs[-1])
    build.add(Sigmoid((build.last,), build.name()))
    weights = build.add(Flatten((build.last,), build.name(), (WEIGHTS,)))
    return NetworkGraph(
        name, "points", 0, scale, 0.0, tuple(build.operations), {"weights": weights}, build.arrays, provenance, POINTS
    )


def _mix(build: _Assembly, layers: list[Any], norms: list[NDArray[Any]], epsilon: float) -> None:
    """One block: tokens are mixed, then channels, each beside a shortcut."""
    before = build.last
    build.norm(norms[0], epsilon)
    build.add(SwapRows((build.last,), build.name()))
    build.conv(*layers[0])
    build.conv(*layers[1])
    build.add(SwapRows((build.last,), build.name()))
    before = build.add(Add((build.last, before), build.name(), "none"))
    build.norm(norms[1], epsilon)
    build.conv(*layers[2])
    build.conv(*layers[3])
    build.add(Add((build.last, before), build.name(), "none"))


def _activation(operator: Any) -> str:
    options, table = tflite.Conv2DOptions(), operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return "relu" if options.FusedActivationFunction() == _RELU else "none"
