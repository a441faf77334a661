"""Run the folded towers: an ONNX graph on the CPU through ONNX Runtime, the same layers in torch on CUDA.

numpy in, numpy out. The ONNX graph is built in memory from the weights file, so nothing but safetensors ships.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from backend.embedding.features import (
    CONTEXT_FEATURES,
    ERROR_UNIT_M,
    FRAME_FEATURES,
    POSE_FEATURES,
    WINDOW,
    pose_features,
)
from backend.embedding.tower_weights import Dense, TowerWeights
from backend.errors import DeviceError
from backend.types import Array

_SPLIT = (51, 144, 3, 17, 7)
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class ImageEmbedding:
    """What the image tower says of B windows, in the virtual camera: embedding f_I (B, E); auxiliary joints
    (B, 17, 3) m on a body of canonical size; rotations (B, 24, 3, 3); gravity (B, 3) unit; error_m (B, 17) the
    expected error of each auxiliary joint; proportions (B, 7).
    """

    embedding: Array
    joints_m: Array
    rotations: Array
    gravity: Array
    error_m: Array
    proportions: Array


class ImageWindows(Protocol):
    """B windows as the image tower reads them: frames (B, W, FRAME_FEATURES), context (B, CONTEXT_FEATURES)."""

    @property
    def frames(self) -> Array:
        """The windows' frames."""

    @property
    def context(self) -> Array:
        """What holds of the whole window."""


class Towers:
    """Both towers on one device ('cpu' or a torch CUDA device)."""

    def __init__(self, weights: TowerWeights, device: str = "cpu", threads: int = 0) -> None:
        self.weights = weights
        self._image: Callable[[Array, Array], tuple[Array, Array]]
        self._pose: Callable[[Array], Array]
        if device == "cpu":
            self._image, self._pose = _onnx_towers(weights, threads)
        else:
            self._image, self._pose = _torch_towers(weights, device)

    def embed_images(self, window: ImageWindows) -> ImageEmbedding:
        """Embed windows of landmarks."""
        parts = [
            self._image(window.frames[at : at + _BATCH], window.context[at : at + _BATCH])
            for at in range(0, len(window.frames), _BATCH)
        ]
        embedding = np.concatenate([part[0] for part in parts])
        values = np.split(np.concatenate([part[1] for part in parts]), np.cumsum(_SPLIT)[:-1], axis=1)
        gravity = values[2] / np.maximum(np.linalg.norm(values[2], axis=-1, keepdims=True), 1e-6)
        return ImageEmbedding(
            embedding,
            values[0].reshape(-1, 17, 3),
            six_to_matrix(values[1].reshape(-1, 24, 2, 3)),
            gravity,
            ERROR_UNIT_M * np.exp(values[3]),
            values[4],
        )

    def embed_poses(self, joints_m: Array) -> Array:
        """Embed poses (N, 17, 3), relative to the pelvis on a body of canonical size, as f_J (N, E)."""
        blocks = range(0, len(joints_m), 65536)
        return np.concatenate([self._pose(pose_features(joints_m[at : at + 65536])) for at in blocks])


def six_to_matrix(six: Array) -> Array:
    """Two column vectors (..., 2, 3) to rotation matrices (..., 3, 3) by Gram-Schmidt (Zhou et al. 2019)."""
    first = six[..., 0, :] / np.maximum(np.linalg.norm(six[..., 0, :], axis=-1, keepdims=True), 1e-6)
    second = six[..., 1, :] - first * (first * six[..., 1, :]).sum(-1, keepdims=True)
    second /= np.maximum(np.linalg.norm(second, axis=-1, keepdims=True), 1e-6)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


class _Graph:
    """Collects nodes and weights of an ONNX graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def dense(self, x: str, layer: Dense, name: str, *, relu: bool) -> str:
        weight = self.constant(f"{name}.weight", layer.weight.astype(np.float32))
        bias = self.constant(f"{name}.bias", layer.bias.astype(np.float32))
        y = self.node("Add", [self.node("MatMul", [x, weight], f"{name}.product"), bias], f"{name}.sum")
        return self.node("Relu", [y], f"{name}.out") if relu else y

    def reshape(self, x: str, shape: list[int], name: str) -> str:
        return self.node("Reshape", [x, self.constant(f"{name}.shape", np.array(shape, np.int64))], name)

    def middle_of_three(self, x: str, width: int, name: str) -> str:
        bounds = [
            self.constant(f"{name}.{k}", np.array([v], np.int64))
            for k, v in (("a", width), ("b", 2 * width), ("axis", 2))
        ]
        return self.node("Slice", [x, *bounds], name)

    def session(self, inputs: dict[str, list[Any]], outputs: list[str], threads: int) -> onnxruntime.InferenceSession:
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


def _onnx_towers(
    weights: TowerWeights, threads: int
) -> tuple[Callable[[Array, Array], tuple[Array, Array]], Callable[[Array], Array]]:
    image, pose = _image_graph(weights, threads), _pose_graph(weights, threads)

    def run_image(frames: Array, context: Array) -> tuple[Array, Array]:
        embedding, auxiliary = image.run(None, {"frames": frames, "context": context})
        return embedding, auxiliary

    return run_image, lambda features: pose.run(None, {"features": features})[0]


def _image_graph(weights: TowerWeights, threads: int) -> onnxruntime.InferenceSession:
    layers, graph = weights.image, _Graph()
    inputs, width = FRAME_FEATURES + CONTEXT_FEATURES, len(layers["entry"].bias)
    axis = graph.constant("axis1", np.array([1], np.int64))
    context = graph.node("Unsqueeze", ["context", axis], "context.row")
    repeats = graph.constant("repeats", np.array([1, WINDOW, 1], np.int64))
    x = graph.node("Concat", ["frames", graph.node("Tile", [context, repeats], "context.all")], "x", axis=2)
    bounds = [
        graph.constant(f"center.{k}", np.array([v], np.int64))
        for k, v in (("a", WINDOW // 2), ("b", WINDOW // 2 + 1), ("axis", 1))
    ]
    center = graph.reshape(graph.node("Slice", [x, *bounds], "center.row"), [-1, inputs], "center.flat")
    trunk = graph.dense(graph.reshape(x, [-1, WINDOW // 3, 3 * inputs], "folded"), layers["entry"], "entry", relu=True)
    for name, frames in (("fold1", 3), ("fold2", 1)):
        grouped = graph.reshape(trunk, [-1, frames, 3 * width], f"{name}.grouped")
        folded = graph.dense(grouped, layers[f"{name}.fold"], f"{name}.fold", relu=True)
        mixed = graph.dense(folded, layers[f"{name}.mix"], f"{name}.mix", relu=True)
        trunk = graph.node("Add", [graph.middle_of_three(grouped, width, f"{name}.middle"), mixed], f"{name}.out")
    trunk = graph.reshape(trunk, [-1, width], "trunk")
    trunk = graph.node("Add", [trunk, graph.dense(center, layers["center"], "center", relu=True)], "trunk.center")
    trunk = graph.node("Add", [trunk, graph.dense(trunk, layers["last"], "last", relu=True)], "trunk.last")
    outputs = [
        graph.dense(
            graph.dense(trunk, layers[f"{name}_hidden"], f"{name}_hidden", relu=True), layers[name], name, relu=False
        )
        for name in ("embed", "auxiliary")
    ]
    shapes: dict[str, list[object]] = {
        "frames": ["batch", WINDOW, FRAME_FEATURES],
        "context": ["batch", CONTEXT_FEATURES],
    }
    return graph.session(shapes, outputs, threads)


def _pose_graph(weights: TowerWeights, threads: int) -> onnxruntime.InferenceSession:
    graph, layers = _Graph(), weights.pose
    hidden = graph.dense("features", layers["first"], "first", relu=True)
    hidden = graph.dense(hidden, layers["second"], "second", relu=True)
    parts = [graph.dense(hidden, layers["embed"], "embed", relu=False)]
    parts.append(graph.dense("features", layers["direct"], "direct", relu=False))
    return graph.session({"features": ["batch", POSE_FEATURES]}, [graph.node("Add", parts, "embedding")], threads)


def _torch_towers(
    weights: TowerWeights, device: str
) -> tuple[Callable[[Array, Array], tuple[Array, Array]], Callable[[Array], Array]]:
    try:
        from backend.embedding.towers_torch import torch_towers
    except ImportError as fault:
        raise DeviceError(
            f"device {device} needs PyTorch, which is not installed", "Install the `gpu` extra or use --device cpu"
        ) from fault
    return torch_towers(weights, device)
