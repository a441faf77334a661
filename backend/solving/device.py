"""Which device computes. torch is asked only where it is installed, and only for `auto` and `cuda`."""

from __future__ import annotations

import importlib.util
from ctypes.util import find_library
from functools import cache

from backend.errors import DeviceError
from backend.networks.providers import Provider, available_providers, fastest_provider, provider_of

DEVICES = "auto, cpu, cuda, cuda:1, directml, coreml or openvino"


def choose_device(wanted: str) -> str:
    """The device by its full name. Raises DeviceError for what is not there.

    `auto` is the first CUDA device where torch sees one, else the execution provider of ONNX Runtime that was measured
    fastest on this machine, else the CPU. `cuda` is torch's, or ONNX Runtime's where torch is not installed.
    """
    if wanted == "auto":
        return "cuda" if cuda_devices() else fastest_provider().value
    name, _, number = wanted.partition(":")
    if name == "cuda" and (not number or number.isdigit()):
        if int(number or 0) < cuda_devices():
            return wanted
        if Provider.CUDA in available_providers():
            return Provider.CUDA.value + (f":{number}" if number else "")
        raise DeviceError(f"The device {wanted} is not there", "See `doctor`; --device cpu works everywhere")
    provider = provider_of(wanted)
    if provider is None:
        raise DeviceError(f"Unknown device {wanted!r}", f"Choose {DEVICES}")
    if provider[0] not in available_providers():
        raise DeviceError(
            f"The device {wanted} is not there",
            f"It needs the package {provider[0].package}; --device cpu works everywhere",
        )
    return wanted


def matrix_device(device: str) -> str:
    """Where the towers and the bank of a chosen device run: torch's CUDA, or the CPU. They are small."""
    return device if provider_of(device) is None else "cpu"


def cuda_devices() -> int:
    """How many CUDA devices torch sees; 0 without torch or without NVIDIA's driver."""
    # importing torch takes seconds and hundreds of megabytes: not on machines where it can find nothing
    if importlib.util.find_spec("torch") is None or not _has_cuda_driver():
        return 0
    import torch

    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


@cache  # on Linux the look-up starts a compiler's linker
def _has_cuda_driver() -> bool:
    return any(find_library(name) is not None for name in ("cuda", "nvcuda"))
