"""Training on several processes under `torchrun`: ranks, agreement on the clock, averaged gradients. torch.

Each rank draws batches of its own and a candidate set that its batch shares; gradients are averaged over ranks, so N
ranks of B windows step like one process with N times B. Rank 0 alone writes.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn

from backend.errors import DeviceError


@dataclass(frozen=True, slots=True)
class Ranks:
    """One process among `count`; `device` is its own (cuda:LOCAL_RANK where CUDA was asked for)."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def agreed(self, value: float) -> float:
        """Rank 0's value on every rank: learning rates and stops that hang on a clock must not differ."""
        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, src=0)
        return float(shared.item())

    def joined(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over ranks; itself where there is one."""
        if self.count == 1:
            return module
        local = [torch.device(self.device)] if self.device.startswith("cuda") else None
        return nn.parallel.DistributedDataParallel(module, device_ids=local)

    def wait(self) -> None:
        """Until every rank has come this far."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def join_ranks(device: str) -> Iterator[Ranks]:
    """The ranks that `torchrun` started, or this process alone. Raises DeviceError when they cannot find each other."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks(device=device)
        return
    cuda = device.startswith("cuda")
    own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else device
    if cuda:
        torch.cuda.set_device(own)
    try:
        distributed.init_process_group("nccl" if cuda else "gloo")
    except (RuntimeError, ValueError) as fault:
        raise DeviceError(f"the {count} ranks cannot find each other ({fault})", "Start them with torchrun") from fault
    try:
        yield Ranks(distributed.get_rank(), count, own)
    finally:
        # a module from `joined` keeps the group's threads, in a reference cycle; at the interpreter's end they abort it
        gc.collect()
        distributed.destroy_process_group()


_CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # x86 server processors; Arm names the last


def half_precision_pays(device: str) -> bool:
    """True on a CUDA device with bfloat16 and on a CPU that multiplies it in hardware.

    Elsewhere torch emulates it: a training step then takes longer than in single precision.
    """
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(bool(known.get(flag, False)) for flag in _CPU_FLAGS)
