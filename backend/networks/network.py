"""`Network`: images in, named arrays out, whatever runtime computes. numpy; torch only when a CUDA device is asked.

May import backend.networks, backend.errors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInputError, DeviceError, WeightsError
from backend.networks.graph import NetworkGraph
from backend.networks.weights_file import read_network, weights_path
from backend.types import Image

Outputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """Where and how a network runs.

    `device` "cpu" (ONNX Runtime), "cuda" / "cuda:1" (torch), or "torch" (torch on the CPU, for checks);
    `threads` for the CPU runtimes; `batch` the most images at once.
    """

    device: str = "cpu"
    threads: int = 1
    batch: int = 8


class Network(ABC):
    """A network ready to run; safe to call from several threads."""

    def __init__(self, graph: NetworkGraph, batch: int) -> None:
        self.graph = graph
        self._batch = batch

    @property
    def input_size(self) -> int:
        """Side of the square input, px."""
        return self.graph.input_size

    def blank(self) -> Image | NDArray[np.float32]:
        """An input of zeros, to run the network once."""
        points = self.graph.input_points
        if points:
            return np.zeros((1, points, 2), np.float32)
        return np.zeros((1, self.input_size, self.input_size, 3), np.uint8)

    def run(self, images: Image | NDArray[np.float32]) -> Outputs:
        """RGB images (N, S, S, 3) uint8, or float32 points (N, P, 2) -> arrays by output name, N first.

        BadInputError for another shape.
        """
        side, points = self.input_size, self.graph.input_points
        kind, shape = ("float32", (points, 2)) if points else ("uint8", (side, side, 3))
        if images.dtype.name != kind or images.shape[1:] != shape or not len(images):
            raise BadInputError(f"{self.graph.name} wants {kind} (N, *{shape}), not {images.dtype} {images.shape}")
        if len(images) <= self._batch:
            return self._run(images)
        parts = [self._run(images[start : start + self._batch]) for start in range(0, len(images), self._batch)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.graph.outputs}

    @abstractmethod
    def _run(self, images: Image | NDArray[np.float32]) -> Outputs: ...


class _OnnxNetwork(Network):
    def __init__(self, graph: NetworkGraph, options: RuntimeOptions) -> None:
        from backend.networks.onnx_build import IMAGES, RUNTIME_ERRORS, open_session, output_name

        super().__init__(graph, options.batch)
        self._input, self._names = IMAGES, list(graph.outputs)
        self._fetched = [output_name(name) for name in self._names]
        self._session, self._errors = open_session(graph, options.threads), RUNTIME_ERRORS

    def _run(self, images: Image | NDArray[np.float32]) -> Outputs:
        try:
            values = self._session.run(self._fetched, {self._input: images})
        except self._errors as error:
            raise WeightsError(f"The network {self.graph.name} cannot run ({error})") from error
        return dict(zip(self._names, values, strict=True))


class _TorchNetwork(Network):
    def __init__(self, graph: NetworkGraph, options: RuntimeOptions) -> None:
        try:
            import torch

            from backend.networks.torch_build import GraphModule
        except ImportError as error:
            raise DeviceError("torch is not installed", "Install marionet[train], or use --device cpu") from error
        device = "cpu" if options.device == "torch" else options.device
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise DeviceError(f"There is no CUDA device for {options.device!r}", "Use --device cpu")
        super().__init__(graph, options.batch)
        if device.startswith("cuda"):
            # convolutions in TF32, torch's default on CUDA, move landmarks by up to a hundredth of the crop
            torch.backends.cudnn.allow_tf32 = False
        self._torch, self._device = torch, torch.device(device)
        self._module = GraphModule(graph).eval().to(self._device)

    def _run(self, images: Image | NDArray[np.float32]) -> Outputs:
        with self._torch.inference_mode():
            pixels = self._torch.from_numpy(np.ascontiguousarray(images)).to(self._device)
            values = self._module(self._module.normalise(pixels))
            return {name: value.float().cpu().numpy() for name, value in values.items()}


def load_network(name: str, options: RuntimeOptions | None = None, outputs: Sequence[str] | None = None) -> Network:
    """Load a shipped network by name; `outputs` names the results wanted (all without it), the rest is cut away.

    Raises WeightsError (file), BadInputError (unknown output), DeviceError (no such device).
    """
    return open_network(read_network(weights_path(name)), options or RuntimeOptions(), outputs)


def open_network(graph: NetworkGraph, options: RuntimeOptions, outputs: Sequence[str] | None = None) -> Network:
    """Make a graph ready to run; see `load_network`."""
    if outputs is not None:
        unknown = set(outputs) - set(graph.outputs)
        if unknown:
            raise BadInputError(f"{graph.name} has no outputs {sorted(unknown)}", f"It has {sorted(graph.outputs)}")
        graph = graph.select(outputs)
    if options.device == "cpu":
        return _OnnxNetwork(graph, options)
    return _TorchNetwork(graph, options)
