"""Which device computes. stdlib; torch is asked only where it is installed, and only for `auto` and `cuda`."""

from __future__ import annotations

import importlib.util
from ctypes.util import find_library
from functools import cache

from backend.errors import DeviceError


def choose_device(wanted: str) -> str:
    """`auto` is the first CUDA device where torch sees one, else the CPU. Raises DeviceError for what is not there."""
    if wanted == "auto":
        return "cuda" if cuda_devices() else "cpu"
    if wanted == "cpu":
        return "cpu"
    name, _, number = wanted.partition(":")
    if name != "cuda" or (number and not number.isdigit()):
        raise DeviceError(f"Unknown device {wanted!r}", "Choose auto, cpu, cuda or cuda:1")
    if int(number or 0) >= cuda_devices():
        raise DeviceError(f"The device {wanted} is not there", "See `doctor`; --device cpu works everywhere")
    return wanted


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
