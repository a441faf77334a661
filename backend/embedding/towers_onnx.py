"""Run the towers: an ONNX graph on the CPU through ONNX Runtime, the same layers in torch on CUDA.

numpy in, numpy out. The ONNX graph is built in memory from the weights file, so nothing but safetensors ships.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnxruntime

from backend.embedding.features import (
    CONTEXT_FEATURES,
    ERROR_UNIT_M,
    FRAME_FEATURES,
    POSE_FEATURES,
    PROPORTIONS,
    WINDOW,
    pose_features,
)
from backend.embedding.onnx_graph import Graph
from backend.embedding.ray_values import joints_along_rays_m
from backend.embedding.temporal_onnx import TEMPORAL_SPLIT, WIDEST_SPREAD, temporal_graph
from backend.embedding.tower_weights import TowerWeights
from backend.embedding.window_offsets import ImageLayout
from backend.errors import DeviceError
from backend.keypoint_layouts import CANONICAL_BODY, HUMAN36M
from backend.types import Array

_SPLIT = (HUMAN36M.count * 3, CANONICAL_BODY.count * 6, 3, HUMAN36M.count, len(PROPORTIONS))
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
        temporal = self.weights.layout is ImageLayout.TEMPORAL
        parts = []
        for at in range(0, len(window.frames), _BATCH):
            frames, context = window.frames[at : at + _BATCH], window.context[at : at + _BATCH]
            embedding, values = self._image(frames, context)
            said = _temporal_values(values, frames, context) if temporal else _folding_values(values)
            parts.append((embedding, *said))
        columns = (np.concatenate(column) for column in zip(*parts, strict=True))
        embedding, joints, six, gravity, log_error, proportions = columns
        return ImageEmbedding(
            embedding,
            joints,
            six_to_matrix(six.reshape(-1, CANONICAL_BODY.count, 2, 3)),
            gravity / np.maximum(np.linalg.norm(gravity, axis=-1, keepdims=True), 1e-6),
            ERROR_UNIT_M * np.exp(log_error),
            proportions,
        )

    def embed_poses(self, joints_m: Array) -> Array:
        """Embed poses (N, 17, 3), relative to the pelvis on a body of canonical size, as f_J (N, E)."""
        blocks = range(0, len(joints_m), 65536)
        return np.concatenate([self._pose(pose_features(joints_m[at : at + 65536])) for at in blocks])


def _folding_values(values: Array) -> tuple[Array, ...]:
    """Joints (B, 17, 3) m, rotations (B, 144), gravity (B, 3), log errors (B, 17), proportions (B, 7)."""
    joints, *others = np.split(values, np.cumsum(_SPLIT)[:-1], axis=1)
    return joints.reshape(-1, HUMAN36M.count, 3), *others


def _temporal_values(values: Array, frames: Array, context: Array) -> tuple[Array, ...]:
    """The same of the temporal tower, whose joints lie along the rays of the centre frame's keypoints."""
    rays, six, gravity, spread, proportions, *_ = np.split(values, np.cumsum(TEMPORAL_SPLIT)[:-1], axis=1)
    joints = joints_along_rays_m(rays, frames[:, frames.shape[1] // 2], np.exp(context[:, :1] - 1.0))
    spread = np.clip(spread.reshape(-1, HUMAN36M.count, 3), -WIDEST_SPREAD, WIDEST_SPREAD)
    return joints, six, gravity, 0.5 * np.log(np.exp(2.0 * spread).sum(axis=-1)), proportions


def six_to_matrix(six: Array) -> Array:
    """Two column vectors (..., 2, 3) to rotation matrices (..., 3, 3) by Gram-Schmidt (Zhou et al. 2019)."""
    first = six[..., 0, :] / np.maximum(np.linalg.norm(six[..., 0, :], axis=-1, keepdims=True), 1e-6)
    second = six[..., 1, :] - first * (first * six[..., 1, :]).sum(-1, keepdims=True)
    second /= np.maximum(np.linalg.norm(second, axis=-1, keepdims=True), 1e-6)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def _onnx_towers(
    weights: TowerWeights, threads: int
) -> tuple[Callable[[Array, Array], tuple[Array, Array]], Callable[[Array], Array]]:
    make = temporal_graph if weights.layout is ImageLayout.TEMPORAL else _folding_graph
    image, pose = make(weights, threads), _pose_graph(weights, threads)

    def run_image(frames: Array, context: Array) -> tuple[Array, Array]:
        embedding, auxiliary = image.run(None, {"frames": frames, "context": context})
        return embedding, auxiliary

    return run_image, lambda features: pose.run(None, {"features": features})[0]


def _folding_graph(weights: TowerWeights, threads: int) -> onnxruntime.InferenceSession:
    layers, graph = weights.image, Graph()
    inputs, width = FRAME_FEATURES + CONTEXT_FEATURES, len(layers["entry"].bias)
    x = graph.with_context(WINDOW)
    middle = graph.part(x, (WINDOW // 2, WINDOW // 2 + 1), 1, "center.row")
    center = graph.reshape(middle, [-1, inputs], "center.flat")
    trunk = graph.dense(graph.reshape(x, [-1, WINDOW // 3, 3 * inputs], "folded"), layers["entry"], "entry", relu=True)
    for name, frames in (("fold1", 3), ("fold2", 1)):
        grouped = graph.reshape(trunk, [-1, frames, 3 * width], f"{name}.grouped")
        folded = graph.dense(grouped, layers[f"{name}.fold"], f"{name}.fold", relu=True)
        mixed = graph.dense(folded, layers[f"{name}.mix"], f"{name}.mix", relu=True)
        trunk = graph.node("Add", [graph.part(grouped, (width, 2 * width), 2, f"{name}.middle"), mixed], f"{name}.out")
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
    graph, layers = Graph(), weights.pose
    hidden = graph.dense("features", layers["first"], "first", relu=True)
    hidden = graph.dense(hidden, layers["second"], "second", relu=True)
    parts = [graph.dense(hidden, layers["embed"], "embed", relu=False)]
    parts.append(graph.dense("features", layers["direct"], "direct", relu=False))
    return graph.session({"features": ["batch", POSE_FEATURES]}, [graph.node("Add", parts, "embedding")], threads)


def _torch_towers(
    weights: TowerWeights, device: str
) -> tuple[Callable[[Array, Array], tuple[Array, Array]], Callable[[Array], Array]]:
    try:
        from backend.embedding.torch_runtime import torch_towers
    except ImportError as fault:
        raise DeviceError(
            f"device {device} needs PyTorch, which is not installed", "Install the `gpu` extra or use --device cpu"
        ) from fault
    return torch_towers(weights, device)
