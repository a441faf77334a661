"""A small network that uses every operation, with float16, int8 and float32 weights."""

from __future__ import annotations

import numpy as np

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
    PadChannels,
    PadSpace,
    PRelu,
    PrependRow,
    Provenance,
    Relu,
    Resize,
    Sigmoid,
    SpaceMean,
    SwapRows,
)


def small_network() -> NetworkGraph:
    """Input 16 px; outputs `pooled` (N, 12, 4), `spread` (N, 2, 16, 16), `chance` (N, 8, 15, 15), `near`, `smooth`."""
    rng = np.random.default_rng(7)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.4, shape).astype(np.float16)

    arrays = {
        "first_weight": normal(6, 3, 3, 3),
        "first_bias": normal(6),
        "depth_weight": normal(6, 1, 3, 3),
        "depth_bias": normal(6),
        "int8_weight": rng.integers(-127, 128, (8, 6, 1, 1), dtype=np.int8),
        "int8_weight.scale": rng.uniform(0.001, 0.01, 8).astype(np.float32),
        "int8_bias": rng.normal(0, 1, 8).astype(np.float32),
        "slope": normal(8),
        "gain": normal(8),
        "row": normal(8),
    }
    operations = (
        Conv(("x",), "first", "first_weight", "first_bias", (2, 2), (0, 0, 1, 1), 1, "relu6"),
        Conv(("first",), "deep", "depth_weight", "depth_bias", (1, 1), (1, 1, 1, 1), 6, "none"),
        Add(("first", "deep"), "sum", "relu"),
        Conv(("sum",), "wide", "int8_weight", "int8_bias", (1, 1), (0, 0, 0, 0), 1, "none"),
        DepthToSpace(("wide",), "spread", 2),
        MaxPool(("sum",), "small", (3, 3), (2, 2), (0, 0, 1, 1)),
        PadChannels(("small",), "padded", 2),
        Resize(("padded",), "smooth", (7, 9), "bilinear"),
        Resize(("padded",), "near", (9, 7), "nearest"),
        Resize(("padded",), "centre", (6, 10), "nearest_centre"),
        PadSpace(("wide",), "framed", (1, 2, 6, 5)),
        Sigmoid(("framed",), "chance"),
        Flatten(("sum",), "rows", (96, 4)),
        Flatten(("small",), "few", (24, 4)),
        Concat(("rows", "few"), "pooled", 1),
        PRelu(("wide",), "bent", "slope"),
        Relu(("bent",), "clipped"),
        SwapRows(("clipped",), "swapped"),
        ChannelNorm(("swapped",), "normed", "gain", 1e-3),
        SpaceMean(("normed",), "mean"),
        PrependRow(("mean",), "token", "row"),
        FirstRow(("token",), "first_row"),
        Flatten(("token",), "tokens", (2, 8)),
    )
    outputs = {
        name: name for name in ("pooled", "spread", "chance", "near", "smooth", "centre", "bent", "tokens", "first_row")
    }
    return NetworkGraph(
        "small", "x", 16, 2 / 255, -1.0, operations, outputs, arrays,
        Provenance("made up", "none", "0" * 64, "Apache-2.0", "nobody"),
    )  # fmt: skip
