"""Graph -> ONNX model in memory. onnx, numpy; no torch.

The model takes uint8 images (N, S, S, 3) as they are cut from a frame and normalises them itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as state

from backend.networks.graph import (
    Add,
    ChannelNorm,
    Concat,
    Conv,
    DepthToSpace,
    FirstRow,
    Flatten,
    MaxPool,
    NetworkGraph,
    Operation,
    PadChannels,
    PadSpace,
    PRelu,
    PrependRow,
    Relu,
    Resize,
    Sigmoid,
    SpaceMean,
    SwapRows,
)

OPSET = 17
IR_VERSION = 8
IMAGES = "images"
RUNTIME_ERRORS = (
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NotImplemented,
    state.RuntimeException,
    RuntimeError,
)
_ROUNDING = {"nearest": ("asymmetric", "floor"), "nearest_centre": ("half_pixel", "round_prefer_ceil")}


@dataclass(slots=True)
class _Parts:
    """What a model is put together from."""

    nodes: list[onnx.NodeProto]
    constants: dict[str, onnx.TensorProto]

    def constant(self, name: str, values: NDArray[Any] | np.generic) -> str:
        """Register a constant once; returns its name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Append one ONNX node."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def activated(self, output: str, activation: str) -> str:
        """Name to write to before `activation`, whose node is appended by `activate`."""
        return output if activation == "none" else f"{output}_linear"

    def activate(self, output: str, activation: str) -> None:
        """Append the activation, if any."""
        if activation == "relu":
            self.node("Relu", [f"{output}_linear"], output)
        elif activation == "relu6":
            low = self.constant("relu6_low", np.float32(0.0))
            high = self.constant("relu6_high", np.float32(6.0))
            self.node("Clip", [f"{output}_linear", low, high], output)


def build_onnx(graph: NetworkGraph) -> onnx.ModelProto:
    """The network as an ONNX model: input `images` (N, S, S, 3) uint8, or (N, P, 2) float32 for a network of points;
    outputs float32 named by `output_name`.
    """
    parts = _Parts([], {})
    for name, array in graph.arrays.items():
        parts.constant(name, array)
    shape: list[str | int | None] = ["N", graph.input_size, graph.input_size, 3]
    if graph.input_points:
        shape = ["N", graph.input_points, 2]
        rows = parts.constant("points_shape", np.array([0, graph.input_points, 2, 1], np.int64))
        parts.node("Reshape", [IMAGES, rows], "images_float")
    else:
        parts.node("Transpose", [IMAGES], "images_nchw", perm=[0, 3, 1, 2])
        parts.node("Cast", ["images_nchw"], "images_float", to=TensorProto.FLOAT)
    scale = parts.constant("input_scale", np.float32(graph.input_scale))
    offset = parts.constant("input_offset", np.float32(graph.input_offset))
    parts.node("Mul", ["images_float", scale], "images_scaled")
    parts.node("Add", ["images_scaled", offset], graph.input_name)
    for operation in graph.operations:
        _emit(operation, parts)
    for name, tensor in graph.outputs.items():
        parts.node("Identity", [tensor], output_name(name))
    body = helper.make_graph(
        parts.nodes,
        graph.name,
        [helper.make_tensor_value_info(IMAGES, TensorProto.FLOAT if graph.input_points else TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info(output_name(name), TensorProto.FLOAT, None) for name in graph.outputs],
        list(parts.constants.values()),
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    return model


def output_name(name: str) -> str:
    """What an output is called in the model: tensors inside may have the public name already."""
    return f"output.{name}"


@singledispatch
def _emit(operation: Operation, parts: _Parts) -> None:
    raise TypeError(f"no ONNX form for {type(operation).__name__}")


@_emit.register
def _(operation: Conv, parts: _Parts) -> None:
    target = parts.activated(operation.output, operation.activation)
    parts.node(
        "Conv",
        [operation.inputs[0], operation.weight, operation.bias],
        target,
        strides=list(operation.stride),
        pads=list(operation.pads),
        group=operation.groups,
    )
    parts.activate(operation.output, operation.activation)


@_emit.register
def _(operation: Add, parts: _Parts) -> None:
    parts.node("Add", list(operation.inputs), parts.activated(operation.output, operation.activation))
    parts.activate(operation.output, operation.activation)


@_emit.register
def _(operation: MaxPool, parts: _Parts) -> None:
    parts.node(
        "MaxPool",
        list(operation.inputs),
        operation.output,
        kernel_shape=list(operation.kernel),
        strides=list(operation.stride),
        pads=list(operation.pads),
    )


@_emit.register
def _(operation: PadChannels, parts: _Parts) -> None:
    amounts = np.array([0, 0, 0, 0, 0, operation.channels, 0, 0], np.int64)
    parts.node("Pad", [operation.inputs[0], parts.constant(f"{operation.output}_pads", amounts)], operation.output)


@_emit.register
def _(operation: PadSpace, parts: _Parts) -> None:
    top, left, bottom, right = operation.pads
    amounts = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    parts.node("Pad", [operation.inputs[0], parts.constant(f"{operation.output}_pads", amounts)], operation.output)


@_emit.register
def _(operation: Resize, parts: _Parts) -> None:
    # Sizes in ONNX include the batch, which is free here: it is read from the source.
    source, output = operation.inputs[0], operation.output
    shape = f"{output}_shape"
    parts.node("Shape", [source], f"{output}_source_shape")
    low, high = parts.constant("slice_0", np.array([0], np.int64)), parts.constant("slice_2", np.array([2], np.int64))
    parts.node("Slice", [f"{output}_source_shape", low, high], f"{output}_batch_channels")
    size = parts.constant(f"{output}_size", np.array(operation.size, np.int64))
    parts.node("Concat", [f"{output}_batch_channels", size], shape, axis=0)
    if operation.mode == "bilinear":
        parts.node(
            "Resize", [source, "", "", shape], output, mode="linear", coordinate_transformation_mode="half_pixel"
        )
        return
    transform, rounding = _ROUNDING[operation.mode]
    parts.node(
        "Resize",
        [source, "", "", shape],
        output,
        mode="nearest",
        coordinate_transformation_mode=transform,
        nearest_mode=rounding,
    )


@_emit.register
def _(operation: Flatten, parts: _Parts) -> None:
    parts.node("Transpose", list(operation.inputs), f"{operation.output}_nhwc", perm=[0, 2, 3, 1])
    shape = parts.constant(f"{operation.output}_shape", np.array([0, *operation.shape], np.int64))
    parts.node("Reshape", [f"{operation.output}_nhwc", shape], operation.output)


@_emit.register
def _(operation: Concat, parts: _Parts) -> None:
    parts.node("Concat", list(operation.inputs), operation.output, axis=operation.axis)


@_emit.register
def _(operation: DepthToSpace, parts: _Parts) -> None:
    parts.node("DepthToSpace", list(operation.inputs), operation.output, blocksize=operation.block, mode="DCR")


@_emit.register
def _(operation: Sigmoid, parts: _Parts) -> None:
    parts.node("Sigmoid", list(operation.inputs), operation.output)


@_emit.register
def _(operation: Relu, parts: _Parts) -> None:
    parts.node("Relu", list(operation.inputs), operation.output)


@_emit.register
def _(operation: PRelu, parts: _Parts) -> None:
    # ONNX Runtime's own PRelu takes three times as long: x * slope + relu(x) * (1 - slope)
    source, output = operation.inputs[0], operation.output
    slope = _per_channel(operation.slope, parts)
    parts.node("Sub", [parts.constant("one", np.float32(1.0)), slope], f"{output}_rest")
    parts.node("Relu", [source], f"{output}_positive")
    parts.node("Mul", [f"{output}_positive", f"{output}_rest"], f"{output}_kept")
    parts.node("Mul", [source, slope], f"{output}_bent")
    parts.node("Add", [f"{output}_bent", f"{output}_kept"], output)


@_emit.register
def _(operation: SpaceMean, parts: _Parts) -> None:
    parts.node("GlobalAveragePool", list(operation.inputs), operation.output)


@_emit.register
def _(operation: SwapRows, parts: _Parts) -> None:
    parts.node("Transpose", list(operation.inputs), operation.output, perm=[0, 2, 1, 3])


@_emit.register
def _(operation: ChannelNorm, parts: _Parts) -> None:
    source, output = operation.inputs[0], operation.output
    # layer normalisation works on the last axis
    parts.node("Transpose", [source], f"{output}_last", perm=[0, 2, 3, 1])
    parts.node(
        "LayerNormalization", [f"{output}_last", operation.scale], f"{output}_done", axis=-1, epsilon=operation.epsilon
    )
    parts.node("Transpose", [f"{output}_done"], output, perm=[0, 3, 1, 2])


@_emit.register
def _(operation: PrependRow, parts: _Parts) -> None:
    source, output = operation.inputs[0], operation.output
    # the row once for every item of the batch: a slice of the source times 0, plus the row
    parts.node("Mul", [_first_row(source, output, parts), parts.constant("zero", np.float32(0.0))], f"{output}_zero")
    parts.node("Add", [f"{output}_zero", _per_channel(operation.row, parts)], f"{output}_row")
    parts.node("Concat", [f"{output}_row", source], output, axis=2)


@_emit.register
def _(operation: FirstRow, parts: _Parts) -> None:
    parts.node("Identity", [_first_row(operation.inputs[0], operation.output, parts)], operation.output)


def _first_row(source: str, output: str, parts: _Parts) -> str:
    """Name of the source's first row (N, C, 1, W)."""
    low, high = parts.constant("slice_0", np.array([0], np.int64)), parts.constant("slice_1", np.array([1], np.int64))
    rows = parts.constant("axis_2", np.array([2], np.int64))
    parts.node("Slice", [source, low, high, rows], f"{output}_first")
    return f"{output}_first"


def _per_channel(name: str, parts: _Parts) -> str:
    """Name of a constant (C,) shaped (C, 1, 1)."""
    axes = parts.constant("axes_1_2", np.array([1, 2], np.int64))
    shaped = f"{name}_per_channel"
    if not any(node.output[0] == shaped for node in parts.nodes):
        parts.node("Unsqueeze", [name, axes], shaped)
    return shaped
