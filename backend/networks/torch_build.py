"""Graph -> torch.nn.Module, for CUDA and for training. Imports torch: import this module only when torch is wanted."""

from __future__ import annotations

from functools import singledispatchmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

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
    Pads,
    PadSpace,
    PRelu,
    PrependRow,
    Relu,
    Resize,
    Sigmoid,
    SpaceMean,
    SwapRows,
)


class GraphModule(nn.Module):
    """The network as a trainable module; parameters carry the names of the graph's arrays."""

    def __init__(self, graph: NetworkGraph) -> None:
        super().__init__()
        self.graph = graph
        self.weights = nn.ParameterDict({name: nn.Parameter(torch.from_numpy(a)) for name, a in graph.arrays.items()})
        self._last_reader = {name: i for i, op in enumerate(graph.operations) for name in op.inputs}
        self._kept = set(graph.outputs.values())

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 or float pixels 0..255 (N, S, S, 3) -> the network's own input (N, 3, S, S); points (N, P, 2) ->
        (N, P, 2, 1).
        """
        ordered = images[..., None] if self.graph.input_points else images.permute(0, 3, 1, 2)
        pixels = ordered.to(next(self.parameters()).dtype)
        return pixels * self.graph.input_scale + self.graph.input_offset

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Normalised images (N, 3, S, S) -> outputs by public name."""
        values = {self.graph.input_name: images}
        for position, operation in enumerate(self.graph.operations):
            values[operation.output] = self._run(operation, [values[name] for name in operation.inputs])
            for name in set(operation.inputs):  # frees maps as soon as nothing reads them any more
                if self._last_reader[name] == position and name not in self._kept:
                    del values[name]
        return {name: values[tensor] for name, tensor in self.graph.outputs.items()}

    @singledispatchmethod
    def _run(self, operation: Operation, inputs: list[Tensor]) -> Tensor:
        raise TypeError(f"no torch form for {type(operation).__name__}")

    @_run.register
    def _(self, operation: Conv, inputs: list[Tensor]) -> Tensor:
        weight, bias = self.weights[operation.weight], self.weights[operation.bias]
        top, left, bottom, right = operation.pads
        image, padding = inputs[0], (top, left)
        if (top, left) != (bottom, right):
            image, padding = functional.pad(image, _torch_pads(operation.pads)), (0, 0)
        convolved = functional.conv2d(image, weight, bias, operation.stride, padding, 1, operation.groups)
        return _activated(convolved, operation.activation)

    @_run.register
    def _(self, operation: Add, inputs: list[Tensor]) -> Tensor:
        return _activated(inputs[0] + inputs[1], operation.activation)

    @_run.register
    def _(self, operation: MaxPool, inputs: list[Tensor]) -> Tensor:
        padded = functional.pad(inputs[0], _torch_pads(operation.pads), value=float("-inf"))
        return functional.max_pool2d(padded, operation.kernel, operation.stride)

    @_run.register
    def _(self, operation: PadChannels, inputs: list[Tensor]) -> Tensor:
        return functional.pad(inputs[0], (0, 0, 0, 0, 0, operation.channels))

    @_run.register
    def _(self, operation: PadSpace, inputs: list[Tensor]) -> Tensor:
        return functional.pad(inputs[0], _torch_pads(operation.pads))

    @_run.register
    def _(self, operation: Resize, inputs: list[Tensor]) -> Tensor:
        if operation.mode == "bilinear":
            return functional.interpolate(inputs[0], operation.size, mode="bilinear", align_corners=False)
        mode = {"nearest": "nearest", "nearest_centre": "nearest-exact"}[operation.mode]
        return functional.interpolate(inputs[0], operation.size, mode=mode)

    @_run.register
    def _(self, operation: Flatten, inputs: list[Tensor]) -> Tensor:
        return inputs[0].permute(0, 2, 3, 1).reshape(-1, *operation.shape)

    @_run.register
    def _(self, operation: Concat, inputs: list[Tensor]) -> Tensor:
        return torch.cat(inputs, operation.axis)

    @_run.register
    def _(self, operation: DepthToSpace, inputs: list[Tensor]) -> Tensor:
        batch, channels, height, width = inputs[0].shape
        block = operation.block
        blocks = inputs[0].reshape(batch, block, block, channels // block**2, height, width)
        return blocks.permute(0, 3, 4, 1, 5, 2).reshape(batch, -1, height * block, width * block)

    @_run.register
    def _(self, operation: Sigmoid, inputs: list[Tensor]) -> Tensor:
        return torch.sigmoid(inputs[0])

    @_run.register
    def _(self, operation: Relu, inputs: list[Tensor]) -> Tensor:
        return functional.relu(inputs[0])

    @_run.register
    def _(self, operation: PRelu, inputs: list[Tensor]) -> Tensor:
        return functional.prelu(inputs[0], self.weights[operation.slope])

    @_run.register
    def _(self, operation: SpaceMean, inputs: list[Tensor]) -> Tensor:
        return inputs[0].mean((2, 3), keepdim=True)

    @_run.register
    def _(self, operation: SwapRows, inputs: list[Tensor]) -> Tensor:
        return inputs[0].transpose(1, 2)

    @_run.register
    def _(self, operation: ChannelNorm, inputs: list[Tensor]) -> Tensor:
        last, scale = inputs[0].permute(0, 2, 3, 1), self.weights[operation.scale]
        return functional.layer_norm(last, last.shape[-1:], scale, None, operation.epsilon).permute(0, 3, 1, 2)

    @_run.register
    def _(self, operation: PrependRow, inputs: list[Tensor]) -> Tensor:
        row = self.weights[operation.row][None, :, None, None].expand(len(inputs[0]), -1, 1, 1)
        return torch.cat([row, inputs[0]], 2)

    @_run.register
    def _(self, operation: FirstRow, inputs: list[Tensor]) -> Tensor:
        return inputs[0][:, :, :1]


def _torch_pads(pads: Pads) -> tuple[int, int, int, int]:
    top, left, bottom, right = pads
    return (left, right, top, bottom)


def _activated(values: Tensor, activation: str) -> Tensor:
    if activation == "relu6":
        return functional.relu6(values)
    return functional.relu(values) if activation == "relu" else values
