"""Reads a .tflite flatbuffer into the project's graph format. numpy, tflite (the schema), backend.networks.graph.

Covers what BlazePose and EfficientDet-Lite use; float16, sparse and int8 weights. Int8 networks become float ones:
weights keep their int8 values and scales, activations are not quantised any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import tflite
from numpy.typing import NDArray

from backend.networks.graph import (
    Add,
    Concat,
    Conv,
    DepthToSpace,
    Flatten,
    MaxPool,
    NetworkGraph,
    Operation,
    PadChannels,
    Pads,
    PadSpace,
    PRelu,
    Provenance,
    Relu,
    Resize,
    Sigmoid,
    SpaceMean,
)
from backend.networks.weights_file import SCALE_SUFFIX
from tools.tflite_tensors import TensorReader

_OPERATOR_NAMES = {
    getattr(tflite.BuiltinOperator, key): key for key in dir(tflite.BuiltinOperator) if not key.startswith("_")
}
_ACTIVATIONS = {0: "none", 1: "relu", 3: "relu6"}
_SAME_PADDING = 0
_FORWARDED = ("DEQUANTIZE", "QUANTIZE")
Options = TypeVar("Options")


def _same_pads(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> Pads:
    """TensorFlow's SAME: as much padding as needed, the odd pixel at the bottom and right."""
    total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True)]
    return (total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2)


class GraphReader:
    """One pass over the operators of a .tflite model; `graph` gives the result."""

    def __init__(self, data: bytes) -> None:
        self._model = tflite.Model.GetRootAsModel(data, 0)
        self._subgraph = self._model.Subgraphs(0)
        self._tensors = TensorReader(self._model)
        self._alias: dict[int, int] = {}
        self._pads: dict[int, tuple[int, Pads]] = {}
        self._operations: list[Operation] = []
        self._arrays: dict[str, NDArray[Any]] = {}
        for position in range(self._subgraph.OperatorsLength()):
            self._read(self._subgraph.Operators(position))

    def graph(
        self, name: str, normalisation: tuple[float, float], outputs: Mapping[str, int], provenance: Provenance
    ) -> NetworkGraph:
        """The graph; `outputs` maps public names to .tflite tensor numbers, `normalisation` is (scale, offset)."""
        source = int(self._subgraph.Inputs(0))
        whole = NetworkGraph(
            name=name,
            input_name=self._name(source),
            input_size=self._tensors.shape(source)[1],
            input_scale=normalisation[0],
            input_offset=normalisation[1],
            operations=tuple(self._operations),
            outputs={key: self._name(tensor) for key, tensor in outputs.items()},
            arrays=self._arrays,
            provenance=provenance,
        )
        pruned = whole.select(outputs)
        used = [key for key in self._arrays if key.removesuffix(SCALE_SUFFIX) in pruned.arrays]
        return NetworkGraph(
            **{field: getattr(pruned, field) for field in NetworkGraph.__slots__ if field != "arrays"},
            arrays={key: self._arrays[key] for key in used},
        )

    def output_tensor(self, position: int) -> int:
        """Tensor number of the model's output at `position`."""
        return int(self._subgraph.Outputs(position))

    def input_of(self, tensor: int) -> int:
        """Tensor number that the operation which makes `tensor` reads first."""
        name = self._name(tensor)
        made_by = next(op for op in self._operations if op.output == name)
        return int(made_by.inputs[0].removeprefix("t"))

    def _name(self, tensor: int) -> str:
        while tensor in self._alias:
            tensor = self._alias[tensor]
        return f"t{tensor}"

    def _options(self, operator: Any, kind: type[Options]) -> Options:
        options, table = kind(), operator.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)  # type: ignore[attr-defined]
        return options

    def _read(self, operator: Any) -> None:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        kind = _OPERATOR_NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs, output = [int(i) for i in operator.InputsAsNumpy()], int(operator.Outputs(0))
        if kind == "DENSIFY":
            self._tensors.densify(inputs[0], output)
        elif kind in _FORWARDED:
            self._forward(inputs[0], output)
        else:
            getattr(self, f"_read_{kind.lower()}")(operator, inputs, output)

    def _forward(self, source: int, output: int) -> None:
        if self._tensors.is_constant(source):
            self._tensors.share(source, output)
        else:
            self._alias[output] = source

    def _read_conv_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        self._convolution(self._options(operator, tflite.Conv2DOptions), inputs, output, depthwise=False)

    def _read_depthwise_conv_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        self._convolution(self._options(operator, tflite.DepthwiseConv2DOptions), inputs, output, depthwise=True)

    def _convolution(self, options: Any, inputs: list[int], output: int, depthwise: bool) -> None:
        if (options.DilationHFactor(), options.DilationWFactor()) != (1, 1):
            raise NotImplementedError("dilated convolution")
        source, weight, bias = inputs
        stride = (options.StrideH(), options.StrideW())
        shape = self._tensors.shape(source)
        kernel = self._tensors.shape(weight)[1:3]
        pads: Pads = (0, 0, 0, 0)
        if options.Padding() == _SAME_PADDING:
            pads = _same_pads((shape[1], shape[2]), (kernel[0], kernel[1]), stride)
        elif source in self._pads:  # an explicit PAD before a VALID convolution becomes its own padding
            source, pads = self._pads[source]
        self._store_weight(weight, (3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        self._arrays[f"w{bias}"] = self._tensors.constant(bias)
        self._operations.append(
            Conv(
                (self._name(source),),
                self._name(output),
                f"w{weight}",
                f"w{bias}",
                stride,
                pads,
                shape[3] if depthwise else 1,
                _ACTIVATIONS[options.FusedActivationFunction()],
            )
        )

    def _store_weight(self, weight: int, axes: tuple[int, ...]) -> None:
        scales = self._tensors.weight_scales(weight)
        if scales is None:
            self._arrays[f"w{weight}"] = self._tensors.constant(weight).transpose(axes)
            return
        self._arrays[f"w{weight}"] = self._tensors.raw(weight).transpose(axes)
        channels = self._arrays[f"w{weight}"].shape[0]
        self._arrays[f"w{weight}{SCALE_SUFFIX}"] = np.broadcast_to(scales, (channels,)).astype(np.float32)

    def _read_add(self, operator: Any, inputs: list[int], output: int) -> None:
        activation = _ACTIVATIONS[self._options(operator, tflite.AddOptions).FusedActivationFunction()]
        self._operations.append(Add((self._name(inputs[0]), self._name(inputs[1])), self._name(output), activation))

    def _read_pad(self, operator: Any, inputs: list[int], output: int) -> None:
        amounts = self._tensors.raw(inputs[1]).reshape(-1, 2).tolist()
        (top, bottom), (left, right), (front, back) = amounts[1:]
        if (top, bottom, left, right) == (0, 0, 0, 0) and front == 0:
            self._operations.append(PadChannels((self._name(inputs[0]),), self._name(output), back))
            return
        if (front, back) != (0, 0):
            raise NotImplementedError("padding of space and channels at once")
        pads = (top, left, bottom, right)
        self._pads[output] = (inputs[0], pads)  # pruned later when every reader folds it
        self._operations.append(PadSpace((self._name(inputs[0]),), self._name(output), pads))

    def _read_resize_bilinear(self, operator: Any, inputs: list[int], output: int) -> None:
        options = self._options(operator, tflite.ResizeBilinearOptions)
        if options.AlignCorners() or not options.HalfPixelCenters():
            raise NotImplementedError("bilinear resize without half-pixel centres")
        self._resize("bilinear", inputs, output)

    def _read_resize_nearest_neighbor(self, operator: Any, inputs: list[int], output: int) -> None:
        options = self._options(operator, tflite.ResizeNearestNeighborOptions)
        if options.AlignCorners():
            raise NotImplementedError("nearest resize with aligned corners")
        self._resize("nearest_centre" if options.HalfPixelCenters() else "nearest", inputs, output)

    def _resize(self, mode: str, inputs: list[int], output: int) -> None:
        height, width = self._tensors.raw(inputs[1]).tolist()
        self._operations.append(Resize((self._name(inputs[0]),), self._name(output), (height, width), mode))

    def _read_reshape(self, operator: Any, inputs: list[int], output: int) -> None:
        shape = tuple(self._tensors.shape(output)[1:])
        self._operations.append(Flatten((self._name(inputs[0]),), self._name(output), shape))

    def _read_max_pool_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        options = self._options(operator, tflite.Pool2DOptions)
        kernel = (options.FilterHeight(), options.FilterWidth())
        stride = (options.StrideH(), options.StrideW())
        shape, same = self._tensors.shape(inputs[0]), options.Padding() == _SAME_PADDING
        pads = _same_pads((shape[1], shape[2]), kernel, stride) if same else (0, 0, 0, 0)
        self._operations.append(MaxPool((self._name(inputs[0]),), self._name(output), kernel, stride, pads))

    def _read_logistic(self, operator: Any, inputs: list[int], output: int) -> None:
        self._operations.append(Sigmoid((self._name(inputs[0]),), self._name(output)))

    def _read_relu(self, operator: Any, inputs: list[int], output: int) -> None:
        self._operations.append(Relu((self._name(inputs[0]),), self._name(output)))

    def _read_prelu(self, operator: Any, inputs: list[int], output: int) -> None:
        self._arrays[f"w{inputs[1]}"] = self._tensors.constant(inputs[1]).reshape(-1)
        self._operations.append(PRelu((self._name(inputs[0]),), self._name(output), f"w{inputs[1]}"))

    def _read_mean(self, operator: Any, inputs: list[int], output: int) -> None:
        if self._tensors.raw(inputs[1]).tolist() != [1, 2]:
            raise NotImplementedError("mean over other axes than the image's")
        self._operations.append(SpaceMean((self._name(inputs[0]),), self._name(output)))

    def _read_fully_connected(self, operator: Any, inputs: list[int], output: int) -> None:
        """A matrix on the mean of an image: a convolution of one pixel, then flat."""
        options = self._options(operator, tflite.FullyConnectedOptions)
        source, weight, bias = inputs
        self._arrays[f"w{weight}"] = self._tensors.constant(weight)[:, :, None, None]
        self._arrays[f"w{bias}"] = self._tensors.constant(bias)
        activation = _ACTIVATIONS[options.FusedActivationFunction()]
        pixel, name = f"{self._name(output)}_pixel", self._name(output)
        self._operations.append(
            Conv((self._name(source),), pixel, f"w{weight}", f"w{bias}", (1, 1), (0, 0, 0, 0), 1, activation)
        )
        self._operations.append(Flatten((pixel,), name, self._tensors.shape(output)[1:]))

    def _read_depth_to_space(self, operator: Any, inputs: list[int], output: int) -> None:
        block = self._options(operator, tflite.DepthToSpaceOptions).BlockSize()
        self._operations.append(DepthToSpace((self._name(inputs[0]),), self._name(output), block))

    def _read_concatenation(self, operator: Any, inputs: list[int], output: int) -> None:
        axis = self._options(operator, tflite.ConcatenationOptions).Axis() % len(self._tensors.shape(output))
        if len(self._tensors.shape(output)) != 3:
            raise NotImplementedError("concatenation of images")
        self._operations.append(Concat(tuple(self._name(i) for i in inputs), self._name(output), axis))
