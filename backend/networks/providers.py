"""Execution providers of ONNX Runtime: which are there, how they are opened, and which is measured faster.

A provider comes with the ONNX Runtime package that is installed: DirectML with `onnxruntime-directml` (any graphics
card on Windows), CoreML with the package for macOS, OpenVINO with `onnxruntime-openvino` (Intel), CUDA with
`onnxruntime-gpu`. The CPU is in every package. numpy, onnxruntime; may import backend.errors and its own package.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from backend.errors import DeviceError, MarionetError, WeightsError
from backend.networks.graph import NetworkGraph
from backend.networks.onnx_build import IMAGES, RUNTIME_ERRORS, build_onnx, output_name
from backend.networks.weights_file import read_network, weights_path


class Provider(Enum):
    """An execution provider; the value is the name of its device."""

    CPU = "cpu"
    CUDA = "cuda-onnx"
    DIRECTML = "directml"
    COREML = "coreml"
    OPENVINO = "openvino"

    @property
    def runtime_name(self) -> str:
        """What ONNX Runtime calls it."""
        return _RUNTIME_NAMES[self]

    @property
    def package(self) -> str:
        """The package that brings it."""
        return _PACKAGES[self]


_RUNTIME_NAMES = {
    Provider.CPU: "CPUExecutionProvider",
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.DIRECTML: "DmlExecutionProvider",
    Provider.COREML: "CoreMLExecutionProvider",
    Provider.OPENVINO: "OpenVINOExecutionProvider",
}
_PACKAGES = {
    Provider.CPU: "onnxruntime",
    Provider.CUDA: "onnxruntime-gpu",
    Provider.DIRECTML: "onnxruntime-directml",
    Provider.COREML: "onnxruntime",
    Provider.OPENVINO: "onnxruntime-openvino",
}
# A provider is chosen when it is this much faster than the CPU, and its landmarks agree to this part of the crop.
LEAST_GAIN = 1.1
LARGEST_DIFFERENCE = 1e-3
_TRIAL_NETWORK, _TRIAL_OUTPUT = "pose_full", "landmarks"
_TRIAL_BATCH = 8
_TRIAL_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class ProviderTrial:
    """How a provider did beside the CPU. `gain` is its speed over the CPU's, `difference` a part of the crop's side.

    `fault` says why it cannot be used; the numbers are 0 then.
    """

    provider: Provider
    gain: float = 0.0
    difference: float = 0.0
    fault: str = ""

    @property
    def chosen(self) -> bool:
        """Whether it is worth using."""
        return not self.fault and self.gain >= LEAST_GAIN and self.difference <= LARGEST_DIFFERENCE

    def describe(self) -> str:
        """The finding and its reason in one line."""
        if self.fault:
            return f"cannot be used: {self.fault}"
        found = f"{self.gain:.1f} x the CPU's speed, landmarks differ by {100 * self.difference:.3f} % of the crop"
        if self.difference > LARGEST_DIFFERENCE:
            return f"{found}; not used, since {100 * LARGEST_DIFFERENCE:g} % are allowed"
        return f"{found}; " + ("used" if self.chosen else f"not used, since it is below {LEAST_GAIN:g} x")


def provider_of(device: str) -> tuple[Provider, int] | None:
    """A device's provider and number ("directml:1"); None for a device that is not ONNX Runtime's."""
    name, _, number = device.partition(":")
    known = {provider.value: provider for provider in Provider}
    if name not in known or (number and not number.isdigit()):
        return None
    return known[name], int(number or 0)


def available_providers() -> tuple[Provider, ...]:
    """The providers that the installed ONNX Runtime has, the CPU among them."""
    there = set(onnxruntime.get_available_providers())
    return tuple(provider for provider in Provider if provider.runtime_name in there)


def open_session(
    graph: NetworkGraph, threads: int, provider: Provider = Provider.CPU, number: int = 0
) -> onnxruntime.InferenceSession:
    """A session of one provider, with `threads` worker threads on the CPU.

    Operations that the provider lacks run on the CPU. WeightsError when ONNX Runtime refuses the graph, DeviceError
    when the provider cannot be had.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    options.enable_mem_pattern = provider is not Provider.DIRECTML  # which refuses it
    # Spinning workers would steal the core that decodes and cuts the next frame.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    cpu = Provider.CPU.runtime_name
    chain: list[Any] = [cpu]
    if provider is not Provider.CPU:
        if provider not in available_providers():
            raise DeviceError(
                f"ONNX Runtime has no {provider.runtime_name}", f"Install {provider.package}, or use --device cpu"
            )
        chain.insert(0, (provider.runtime_name, _provider_options(provider, number, threads)))
    try:
        session = onnxruntime.InferenceSession(build_onnx(graph).SerializeToString(), options, providers=chain)
    except RUNTIME_ERRORS as error:
        if provider is Provider.CPU:
            raise WeightsError(f"ONNX Runtime cannot load the network {graph.name} ({error})") from error
        raise DeviceError(f"{provider.value} cannot be used ({_first_line(error)})", "Use --device cpu") from error
    if session.get_providers()[0] != provider.runtime_name:
        raise DeviceError(f"{provider.value} cannot be used: ONNX Runtime fell back to the CPU", "Use --device cpu")
    return session


def _provider_options(provider: Provider, number: int, threads: int) -> dict[str, str]:
    """The options of https://onnxruntime.ai/docs/execution-providers/ that keep single precision."""
    if provider is Provider.CUDA:
        return {"device_id": str(number), "use_tf32": "0"}
    if provider is Provider.DIRECTML:
        return {"device_id": str(number)}
    if provider is Provider.COREML:
        return {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL", "AllowLowPrecisionAccumulationOnGPU": "0"}
    if provider is Provider.OPENVINO:
        return {"device_type": "AUTO", "precision": "FP32", "num_of_threads": str(max(1, threads))}
    return {}


@cache
def try_providers() -> tuple[ProviderTrial, ...]:
    """Every provider but the CPU that is there, tried on a network against the CPU with all its cores; once a process.

    Takes a second or two a provider, and no time where there is only the CPU.
    """
    others = [provider for provider in available_providers() if provider is not Provider.CPU]
    if not others:
        return ()
    graph = read_network(weights_path(_TRIAL_NETWORK)).select([_TRIAL_OUTPUT])
    threads = os.cpu_count() or 1
    cpu_s, wanted = _time(graph, threads, Provider.CPU)
    trials = []
    for provider in others:
        try:
            seconds, found = _time(graph, threads, provider)
        except (MarionetError, *RUNTIME_ERRORS) as fault:
            trials.append(ProviderTrial(provider, fault=_first_line(fault)))
            continue
        difference = float(np.abs(found - wanted).max()) / graph.input_size
        trials.append(ProviderTrial(provider, cpu_s / seconds, difference))
    return tuple(trials)


def fastest_provider() -> Provider:
    """The fastest provider that is worth using; the CPU where there is none."""
    chosen = [trial for trial in try_providers() if trial.chosen]
    return max(chosen, key=lambda trial: trial.gain).provider if chosen else Provider.CPU


def _time(graph: NetworkGraph, threads: int, provider: Provider) -> tuple[float, NDArray[np.float32]]:
    """The least seconds for a batch of noise, and the landmarks."""
    session = open_session(graph, threads, provider)
    side = graph.input_size
    images = np.random.default_rng(0).integers(0, 256, (_TRIAL_BATCH, side, side, 3), np.uint8)
    names = [output_name(_TRIAL_OUTPUT)]
    found = session.run(names, {IMAGES: images})[0]  # the first run compiles
    seconds = []
    for _ in range(_TRIAL_ROUNDS):
        began = time.perf_counter()
        session.run(names, {IMAGES: images})
        seconds.append(time.perf_counter() - began)
    return min(seconds), found


def _first_line(fault: BaseException) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0][:200]
