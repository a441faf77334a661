"""An ONNX graph that is built in memory, layer by layer, and run by ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from backend.embedding.tower_weights import Dense


class Graph:
    """Collects nodes and weights of an ONNX graph; each method adds an operation and returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """A constant array."""
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """An operation of ONNX."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def dense(self, x: str, layer: Dense, name: str, *, relu: bool) -> str:
        """A linear layer over the last axis."""
        weight = self.constant(f"{name}.weight", layer.weight.astype(np.float32))
        bias = self.constant(f"{name}.bias", layer.bias.astype(np.float32))
        y = self.node("Add", [self.node("MatMul", [x, weight], f"{name}.product"), bias], f"{name}.sum")
        return self.node("Relu", [y], f"{name}.out") if relu else y

    def normalised(self, x: str, layer: Dense, name: str) -> str:
        """Layer normalisation over the last axis."""
        scale = self.constant(f"{name}.scale", layer.weight.astype(np.float32))
        shift = self.constant(f"{name}.shift", layer.bias.astype(np.float32))
        return self.node("LayerNormalization", [x, scale, shift], f"{name}.normalised", axis=-1, epsilon=1e-5)

    def reshape(self, x: str, shape: list[int], name: str) -> str:
        """The same values in another shape."""
        return self.node("Reshape", [x, self.constant(f"{name}.shape", np.array(shape, np.int64))], name)

    def part(self, x: str, span: tuple[int, int], axis: int, name: str) -> str:
        """Places `span` (first, end) along an axis."""
        bounds = [
            self.constant(f"{name}.{k}", np.array([v], np.int64))
            for k, v in (("a", span[0]), ("b", span[1]), ("axis", axis))
        ]
        return self.node("Slice", [x, *bounds], name)

    def with_context(self, frames: int) -> str:
        """Inputs `frames` (B, W, F) and `context` (B, C) joined to (B, W, F + C)."""
        axis = self.constant("axis1", np.array([1], np.int64))
        context = self.node("Unsqueeze", ["context", axis], "context.row")
        repeats = self.constant("repeats", np.array([1, frames, 1], np.int64))
        return self.node("Concat", ["frames", self.node("Tile", [context, repeats], "context.all")], "x", axis=2)

    def session(self, inputs: dict[str, list[Any]], outputs: list[str], threads: int) -> onnxruntime.InferenceSession:
        """The graph, ready to run: inputs by name with their shapes, names of the outputs."""
        graph = helper.make_graph(
            self.nodes,
            "tower",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
