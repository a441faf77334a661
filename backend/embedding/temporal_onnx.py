"""The temporal image tower as an ONNX graph, from the layers of a towers file: the arithmetic of `temporal_tower`."""

from __future__ import annotations

import onnxruntime

from backend.embedding.features import CONTEXT_FEATURES, FRAME_FEATURES, PROPORTIONS
from backend.embedding.onnx_graph import Graph
from backend.embedding.ray_values import RAY_VALUES
from backend.embedding.tower_weights import TowerWeights
from backend.embedding.window_offsets import FAR_FRAMES, LONG_OFFSETS
from backend.keypoint_layouts import CANONICAL_BODY, HUMAN36M

FOLD = 3
"""Frames of a token."""
FAR_TOKENS = FAR_FRAMES // FOLD
TOKENS = len(LONG_OFFSETS) // FOLD
CENTER_FRAME = len(LONG_OFFSETS) // 2
STANDING = 2
TEMPORAL_SPLIT = (
    RAY_VALUES,
    CANONICAL_BODY.count * 6,
    3,
    HUMAN36M.count * 3,
    len(PROPORTIONS),
    HUMAN36M.count * 3,
    STANDING,
)
"""Values of the auxiliary heads: rays, rotations, gravity, log error scale by direction, proportions, velocity, feet
that stand.
"""
WIDEST_SPREAD = 4.0
_INPUTS = FRAME_FEATURES + CONTEXT_FEATURES


def temporal_graph(weights: TowerWeights, threads: int) -> onnxruntime.InferenceSession:
    """Inputs `frames` (B, 51, F) and `context` (B, C); outputs embedding (B, E) and TEMPORAL_SPLIT (B, n) values."""
    layers, graph = weights.image, Graph()
    x = graph.with_context(len(LONG_OFFSETS))
    tokens = _tokens(graph, weights, x)
    middle = graph.part(x, (CENTER_FRAME, CENTER_FRAME + 1), 1, "center.frame")
    summary = graph.node("Concat", [middle, *_summaries(graph, tokens)], "center.all", axis=2)
    width = _INPUTS + 3 * layers["place"].weight.shape[1]
    trunk = graph.dense(graph.reshape(summary, [-1, width], "center.flat"), layers["center"], "center", relu=False)
    for stem in _stems(weights, "blocks."):
        trunk = _residual(graph, trunk, weights, stem)
    trunk = graph.normalised(trunk, layers["trunk_norm"], "trunk_norm")
    hidden = graph.dense(trunk, layers["embed_hidden"], "embed_hidden", relu=True)
    outputs = [
        graph.dense(hidden, layers["embed"], "embed", relu=False),
        graph.dense(trunk, layers["auxiliary"], "auxiliary", relu=False),
    ]
    shapes: dict[str, list[object]] = {
        "frames": ["batch", len(LONG_OFFSETS), FRAME_FEATURES],
        "context": ["batch", CONTEXT_FEATURES],
    }
    return graph.session(shapes, outputs, threads)


def _tokens(graph: Graph, weights: TowerWeights, x: str) -> str:
    """Tokens (B, T, C): three frames each, mixed."""
    layers = weights.image
    threes = graph.reshape(x, [-1, TOKENS, FOLD * _INPUTS], "threes")
    spans = {
        "before": (0, FAR_TOKENS),
        "dense": (FAR_TOKENS, TOKENS - FAR_TOKENS),
        "after": (TOKENS - FAR_TOKENS, TOKENS),
    }
    parts = []
    for name, span in spans.items():
        layer = layers["fold" if name == "dense" else "far"]
        parts.append(graph.dense(graph.part(threes, span, 1, f"{name}.threes"), layer, name, relu=False))
    joined = graph.node("Concat", parts, "tokens.joined", axis=1)
    tokens = graph.node("Add", [joined, graph.constant("place", layers["place"].weight)], "tokens.placed")
    for stem in _stems(weights, "layers."):
        mixing = stem.endswith(".block")
        tokens = _mixed(graph, tokens, weights, stem) if mixing else _residual(graph, tokens, weights, stem)
    return graph.normalised(tokens, layers["token_norm"], "token_norm")


def _summaries(graph: Graph, tokens: str) -> list[str]:
    """The centre's token, the mean of the dense ones and of all, (B, 1, C) each."""
    dense = graph.part(tokens, (FAR_TOKENS, TOKENS - FAR_TOKENS), 1, "tokens.dense")
    return [
        graph.part(tokens, (TOKENS // 2, TOKENS // 2 + 1), 1, "tokens.middle"),
        graph.node("ReduceMean", [dense], "tokens.dense.mean", axes=[1], keepdims=1),
        graph.node("ReduceMean", [tokens], "tokens.mean", axes=[1], keepdims=1),
    ]


def _stems(weights: TowerWeights, kind: str) -> list[str]:
    stems = {name.rpartition(".")[0] for name in weights.image if name.startswith(kind)}
    return sorted(stems, key=lambda stem: int(stem.split(".")[1]))


def _residual(graph: Graph, x: str, weights: TowerWeights, stem: str) -> str:
    normalised = graph.normalised(x, weights.image[f"{stem}.norm"], f"{stem}.norm")
    return graph.node("Add", [x, _two_layers(graph, normalised, weights, stem)], f"{stem}.out")


def _mixed(graph: Graph, x: str, weights: TowerWeights, stem: str) -> str:
    """The exchange between tokens: the same two layers for every channel, along the tokens."""
    normalised = graph.normalised(x, weights.image[f"{stem}.norm"], f"{stem}.norm")
    across = graph.node("Transpose", [normalised], f"{stem}.across", perm=[0, 2, 1])
    across = _two_layers(graph, across, weights, stem)
    back = graph.node("Transpose", [across], f"{stem}.back", perm=[0, 2, 1])
    return graph.node("Add", [x, back], f"{stem}.out")


def _two_layers(graph: Graph, x: str, weights: TowerWeights, stem: str) -> str:
    inner = graph.dense(x, weights.image[f"{stem}.widen"], f"{stem}.widen", relu=True)
    return graph.dense(inner, weights.image[f"{stem}.narrow"], f"{stem}.narrow", relu=False)
