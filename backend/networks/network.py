"""`Network`: images in, named arrays out, whatever runtime computes. numpy; torch only when a CUDA device is asked.

May import backend.networks, backend.errors.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInputError, DeviceError, WeightsError
from backend.networks.graph import NetworkGraph
from backend.networks.providers import Provider, open_session, provider_of
from backend.networks.weights_file import read_network, weights_path
from backend.types import Image

LOGGER = logging.getLogger(__name__)
Outputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """Where and how a network runs.

    `device` "cpu", "directml" / "directml:1", "coreml", "openvino" or "cuda-onnx" (ONNX Runtime), "cuda" / "cuda:1"
    (torch), or "torch" (torch on the CPU, for checks); `threads` for the CPU runtimes; `batch` the most images at once.
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
    """ONNX Runtime. A provider that fails while it runs is left for the CPU, which goes on with the same images."""

    def __init__(self, graph: NetworkGraph, options: RuntimeOptions, provider: Provider, number: int) -> None:
        from backend.networks.onnx_build import IMAGES, RUNTIME_ERRORS, output_name

        super().__init__(graph, options.batch)
        self._input, self._names = IMAGES, list(graph.outputs)
        self._fetched = [output_name(name) for name in self._names]
        self._threads, self._errors = options.threads, RUNTIME_ERRORS
        self._provider, self._on_cpu = provider, provider is Provider.CPU
        self._session = open_session(graph, options.threads, provider, number)
        # DirectML runs one call at a time; the lock also keeps threads from leaving a failed provider twice
        self._lock = threading.Lock()

    def _run(self, images: Image | NDArray[np.float32]) -> Outputs:
        if not self._on_cpu:
            with self._lock:
                try:
                    return self._results(images)
                except self._errors as error:
                    self._leave_provider(error)
        return self._run_on_cpu(images)

    def _leave_provider(self, error: Exception) -> None:
        if not self._on_cpu:
            words = (str(error).splitlines() or [""])[0]
            LOGGER.warning("%s failed, the CPU goes on: %s", self._provider.value, words)
            self._session, self._on_cpu = open_session(self.graph, self._threads), True

    def _run_on_cpu(self, images: Image | NDArray[np.float32]) -> Outputs:
        try:
            return self._results(images)
        except self._errors as error:
            raise WeightsError(f"The network {self.graph.name} cannot run ({error})") from error

    def _results(self, images: Image | NDArray[np.float32]) -> Outputs:
        values = self._session.run(self._fetched, {self._input: images})
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
    provider = provider_of(options.device)
    return _TorchNetwork(graph, options) if provider is None else _OnnxNetwork(graph, options, *provider)
