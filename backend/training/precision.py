"""Whether bfloat16 products pay on a device: on CUDA, and on processors that have instructions for them. torch."""

from __future__ import annotations

import torch

_CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # x86 server processors; Arm names the last


def half_precision_pays(device: str) -> bool:
    """True on a CUDA device with bfloat16 and on a CPU that multiplies it in hardware.

    Elsewhere torch emulates it: a training step then takes longer than in single precision.
    """
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(bool(known.get(flag, False)) for flag in _CPU_FLAGS)
