"""One process or several under `torchrun`: who we are, and the device to compute on."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from RobustDIRLib.errors import InputError


@dataclass(frozen=True)
class Process:
    """This process's place among those that train together, and its device."""

    rank: int
    world: int
    device: torch.device

    @classmethod
    def alone(cls, wanted: str = "auto") -> Process:
        """The only process, on the device of `chosen_device`."""
        return cls(0, 1, chosen_device(wanted))

    @property
    def leads(self) -> bool:
        """Whether this process writes records and files."""
        return self.rank == 0

    def share(self, network: nn.Module, *, in_parts: bool = False) -> nn.Module:
        """The network, with gradients averaged over all processes where there are several.

        Args:
            network: Any module.
            in_parts: Whether some steps use a part of its weights only.
        """
        return DistributedDataParallel(network, find_unused_parameters=in_parts) if self.world > 1 else network

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process: all must stop at the same step."""
        if self.world == 1:
            return flag
        total = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(total)
        return bool(total > 0)


def chosen_device(wanted: str, local: int = 0) -> torch.device:
    """Where to compute.

    Args:
        wanted: `auto` (a graphics card where there is one), `cpu` or `cuda`.
        local: Which of the machine's graphics cards.
    Raises:
        InputError: If there is no graphics card and one is wanted.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: torch finds no graphics card here; take cpu or auto.")
    return torch.device("cuda", local) if wanted != "cpu" and torch.cuda.is_available() else torch.device("cpu")


@contextmanager
def joined_processes(wanted: str = "auto") -> Iterator[Process]:
    """Join the group that torchrun describes by its environment variables; alone if there is none.

    Args:
        wanted: Device; see `chosen_device`.

    Nothing that shares the group (see `Process.share`) should outlive the block: the group's threads end with the last
    one that holds it, and threads that still run while the interpreter ends can abort the process.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = chosen_device(wanted, local)
    if world == 1:
        yield Process(0, 1, device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Process(rank, world, device)
        dist.barrier()  # No process takes the group down while another still computes.
    finally:
        gc.collect()
        dist.destroy_process_group()
