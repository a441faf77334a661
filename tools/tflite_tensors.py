"""Constant tensors of a .tflite flatbuffer: shapes, values, quantisation, the sparse format. numpy, tflite."""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

_TYPES: dict[int, type[np.generic]] = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
    tflite.TensorType.INT64: np.int64,
    tflite.TensorType.INT8: np.int8,
    tflite.TensorType.UINT8: np.uint8,
}
_INDEX_VECTORS = {
    tflite.SparseIndexVector.Int32Vector: tflite.Int32Vector,
    tflite.SparseIndexVector.Uint16Vector: tflite.Uint16Vector,
    tflite.SparseIndexVector.Uint8Vector: tflite.Uint8Vector,
}
_DENSE = tflite.DimensionType.DENSE


class TensorReader:
    """Constants by tensor number; DENSIFY and DEQUANTIZE results are added as the graph is read."""

    def __init__(self, model: Any) -> None:
        self._subgraph = model.Subgraphs(0)
        self._values: dict[int, NDArray[Any]] = {}
        for number in range(self._subgraph.TensorsLength()):
            tensor = self._subgraph.Tensors(number)
            buffer = model.Buffers(tensor.Buffer())
            if buffer.DataLength():
                flat = np.frombuffer(buffer.DataAsNumpy().tobytes(), _TYPES[tensor.Type()])
                self._values[number] = flat if tensor.Sparsity() else flat.reshape(self.shape(number))

    def shape(self, number: int) -> tuple[int, ...]:
        """Shape of any tensor, constant or not, with batch 1."""
        tensor = self._subgraph.Tensors(number)
        return tuple(int(n) for n in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()

    def is_constant(self, number: int) -> bool:
        """Whether the tensor's values are known before the network runs."""
        return number in self._values

    def raw(self, number: int) -> NDArray[Any]:
        """Stored values, as they are."""
        return self._values[number]

    def share(self, source: int, target: int) -> None:
        """Let `target` have the values of `source` (they are kept in the smaller type)."""
        self._values[target] = self._values[source]

    def quantisation(self, number: int) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
        """Scales and zero points of a quantised tensor, else None."""
        quantisation = self._subgraph.Tensors(number).Quantization()
        if quantisation is None or not quantisation.ScaleLength():
            return None
        return quantisation.ScaleAsNumpy().astype(np.float64), quantisation.ZeroPointAsNumpy().astype(np.int64)

    def weight_scales(self, number: int) -> NDArray[np.float64] | None:
        """Scales of an int8 weight, one or one per output channel; None for float weights."""
        quantisation = self.quantisation(number)
        if quantisation is None or self._values[number].dtype != np.int8:
            return None
        if quantisation[1].any():
            raise NotImplementedError("int8 weights with a zero point")
        return quantisation[0]

    def constant(self, number: int) -> NDArray[Any]:
        """Real values: int32 biases of quantised networks scaled to float32, floats as stored."""
        values, quantisation = self._values[number], self.quantisation(number)
        if quantisation is None or values.dtype != np.int32:
            return values
        return (values * quantisation[0]).astype(np.float32)

    def densify(self, source: int, target: int) -> None:
        """Expand a sparse tensor (traversal order, block map, one dense or compressed level a dimension)."""
        tensor = self._subgraph.Tensors(source)
        sparsity, shape = tensor.Sparsity(), self.shape(source)
        levels = [_level(sparsity.DimMetadata(i)) for i in range(sparsity.DimMetadataLength())]
        order = sparsity.TraversalOrderAsNumpy().tolist()
        blocks = sparsity.BlockMapAsNumpy().tolist() if sparsity.BlockMapLength() else []
        positions, coordinates = _walk(levels)
        index = np.zeros((len(shape), len(positions)), np.int64)
        for level, dimension in enumerate(order):
            if dimension < len(shape):
                inner = [k for k, d in enumerate(order) if d >= len(shape) and blocks[d - len(shape)] == dimension]
                index[dimension] += coordinates[level] * (levels[inner[0]].size if inner else 1)
            else:
                index[blocks[dimension - len(shape)]] += coordinates[level]
        dense = np.zeros(shape, self._values[source].dtype)
        dense[tuple(index)] = self._values[source][positions]
        self._values[target] = dense


class _Level:
    """One storage level: dense of `size`, or compressed with segments and indices."""

    def __init__(self, size: int, segments: NDArray[np.int64] | None, indices: NDArray[np.int64] | None) -> None:
        self.size, self.segments, self.indices = size, segments, indices


def _level(metadata: Any) -> _Level:
    if metadata.Format() == _DENSE:
        return _Level(metadata.DenseSize(), None, None)
    return _Level(0, _index_vector(metadata, "ArraySegments"), _index_vector(metadata, "ArrayIndices"))


def _index_vector(metadata: Any, kind: str) -> NDArray[np.int64]:
    vector = _INDEX_VECTORS[getattr(metadata, f"{kind}Type")()]()
    table = getattr(metadata, kind)()
    vector.Init(table.Bytes, table.Pos)
    return np.asarray(vector.ValuesAsNumpy()).astype(np.int64)


def _walk(levels: list[_Level]) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Positions in the value buffer and, for each level, the coordinate of each stored value."""
    positions = np.zeros(1, np.int64)
    coordinates: list[NDArray[np.int64]] = []
    for level in levels:
        if level.segments is None or level.indices is None:
            counts = np.full(len(positions), level.size)
            step = np.tile(np.arange(level.size), len(positions))
            following, here = np.repeat(positions, counts) * level.size + step, step
        else:
            counts = level.segments[positions + 1] - level.segments[positions]
            starts = np.repeat(level.segments[positions], counts)
            following = starts + np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            here = level.indices[following]
        coordinates = [np.repeat(values, counts) for values in coordinates] + [here]
        positions = following
    return positions, coordinates
