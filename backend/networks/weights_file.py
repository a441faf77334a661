"""Network files: safetensors with the graph as JSON in the header. numpy, safetensors, backend.errors.

Weights are float16, or int8 with one float32 scale an output channel beside them (name + ".scale"), or, where most
are zero, the values that are not beside a bit mask (name + ".mask", shape in the header). Reading gives float32.
Shipped files lie in `backend/weights/` and are made by `tools/convert_networks.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from backend.errors import WeightsError
from backend.networks.graph import OPERATIONS, NetworkGraph, Operation, Provenance, arrays_of

FORMAT: Final = "marionet-network"
FORMAT_VERSION: Final = 1
NETWORK_NAMES: Final = (
    "pose_lite",
    "pose_full",
    "pose_heavy",
    "pose_detector",
    "person_detector",
    "hand_landmarks",
    "palm_detector",
    "hand_pose",
    "face_landmarks",
    "face_blendshapes",
    "face_detector",
)
WEIGHTS_DIRECTORY: Final = Path(__file__).resolve().parent.parent / "weights"
SCALE_SUFFIX: Final = ".scale"
MASK_SUFFIX: Final = ".mask"
_SPARSE_BELOW: Final = 0.75  # share of values that are not zero
_REMEDY: Final = "Install Marionet anew, or run tools/convert_networks.py to make the file again"


def weights_path(name: str) -> Path:
    """Path of a shipped network file; `name` is one of NETWORK_NAMES, else WeightsError."""
    if name not in NETWORK_NAMES:
        raise WeightsError(f"Unknown network {name!r}", f"Choose one of {', '.join(NETWORK_NAMES)}")
    return WEIGHTS_DIRECTORY / f"{name}.safetensors"


def write_network(path: Path, graph: NetworkGraph) -> None:
    """Write a graph; arrays keep the type they have (float16, or int8 with a scale array)."""
    shapes, stored = {}, {}
    for name, array in graph.arrays.items():
        filled = array != 0
        if array.dtype == np.float16 and filled.mean() < _SPARSE_BELOW:
            shapes[name] = array.shape
            stored[name + MASK_SUFFIX], stored[name] = np.packbits(filled), array[filled]
        else:
            stored[name] = np.ascontiguousarray(array)
    header = {
        "name": graph.name,
        "input_name": graph.input_name,
        "input_size": graph.input_size,
        "input_scale": graph.input_scale,
        "input_offset": graph.input_offset,
        "input_points": graph.input_points,
        "operations": [[type(op).__name__, asdict(op)] for op in graph.operations],
        "outputs": dict(graph.outputs),
        "provenance": asdict(graph.provenance),
        "sparse_shapes": shapes,
    }
    metadata = {"format": FORMAT, "version": str(FORMAT_VERSION), "graph": json.dumps(header, separators=(",", ":"))}
    save_file(stored, path, metadata)
    path.chmod(0o644)


def read_network(path: Path) -> NetworkGraph:
    """Read a graph with float32 weights. WeightsError when the file is missing, truncated, foreign or inconsistent."""
    if not path.is_file():
        raise WeightsError(f"The network file {path} is missing", _REMEDY)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            _check_format(path, metadata)
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is truncated or no safetensors file ({error})", _REMEDY) from error
    try:
        header = json.loads(metadata["graph"])
        graph = _graph_from_json(header, _expanded(stored, header["sparse_shapes"]))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"The graph in {path} cannot be read ({error!r})", _REMEDY) from error
    _check_arrays(path, graph)
    return graph


def _check_format(path: Path, metadata: dict[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"{path} holds no Marionet network (format {metadata.get('format')!r})", _REMEDY)
    if metadata.get("version") != str(FORMAT_VERSION):
        found = metadata.get("version")
        raise WeightsError(f"{path} has format version {found}, this program reads {FORMAT_VERSION}", _REMEDY)


def _expanded(stored: dict[str, NDArray[Any]], shapes: dict[str, list[int]]) -> dict[str, NDArray[np.float32]]:
    arrays = {}
    for name, array in stored.items():
        if name.endswith((SCALE_SUFFIX, MASK_SUFFIX)):
            continue
        values = array.astype(np.float32)
        if name in shapes:
            filled = np.unpackbits(stored[name + MASK_SUFFIX], count=int(np.prod(shapes[name]))).astype(bool)
            values = np.zeros(len(filled), np.float32)
            values[filled] = array
            values = values.reshape(shapes[name])
        if array.dtype == np.int8:
            values *= stored[name + SCALE_SUFFIX].reshape(-1, *[1] * (array.ndim - 1))
        arrays[name] = values
    return arrays


def _graph_from_json(header: dict[str, Any], arrays: dict[str, NDArray[np.float32]]) -> NetworkGraph:
    return NetworkGraph(
        name=str(header["name"]),
        input_name=str(header["input_name"]),
        input_size=int(header["input_size"]),
        input_scale=float(header["input_scale"]),
        input_offset=float(header["input_offset"]),
        operations=tuple(_operation_from_json(kind, values) for kind, values in header["operations"]),
        outputs={str(name): str(tensor) for name, tensor in header["outputs"].items()},
        arrays=arrays,
        provenance=Provenance(**header["provenance"]),
        input_points=int(header.get("input_points", 0)),
    )


def _operation_from_json(kind: str, values: dict[str, Any]) -> Operation:
    operation_type = OPERATIONS[kind]
    known = {field.name for field in fields(operation_type)}
    if set(values) != known:
        raise ValueError(f"{kind} with fields {sorted(values)}, expected {sorted(known)}")
    make: Callable[..., Operation] = operation_type
    return make(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _check_arrays(path: Path, graph: NetworkGraph) -> None:
    """Every tensor must be made before it is read, and every weight must be there and finite."""
    made = {graph.input_name}
    for op in graph.operations:
        unknown = set(op.inputs) - made
        if unknown:
            raise WeightsError(f"{path}: {op.output} reads {sorted(unknown)} before they are made", _REMEDY)
        made.add(op.output)
        if not set(arrays_of(op)) <= graph.arrays.keys():
            raise WeightsError(f"{path}: the weights of {op.output} are missing", _REMEDY)
    if not set(graph.outputs.values()) <= made:
        raise WeightsError(f"{path}: outputs {sorted(set(graph.outputs.values()) - made)} are never made", _REMEDY)
    if not all(np.isfinite(array).all() for array in graph.arrays.values()):
        raise WeightsError(f"{path} holds weights that are not finite", _REMEDY)
