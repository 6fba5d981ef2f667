"""Where the network runs, and that it runs alike each time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk
import torch

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.shared import SharedSetting

DEVICES = ("auto", "cpu", "cuda", "mps")
_MOST_THREADS = 1024


def find_device(name: str) -> torch.device:
    """The device of a name; `auto` is CUDA where there is one, else the CPU.

    `mps` has to be asked for: not every network's operations exist there.

    Raises:
        InputError: If the name is unknown or the machine has no such device.
    """
    kind = name.partition(":")[0]
    if kind not in DEVICES:
        raise InputError(f"`device` {name}: there is no such device; choose one of {', '.join(DEVICES)}.")
    has_cuda = torch.cuda.is_available()
    if kind == "auto":
        return torch.device("cuda" if has_cuda else "cpu")
    if kind == "cuda" and not has_cuda:
        raise InputError(
            f"`device` {name}: PyTorch finds no CUDA GPU here; use the `device` cpu or install a CUDA build."
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"`device` {name}: PyTorch finds no Apple GPU here; use the `device` cpu.")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"`device` {name}: there is no such device; choose one of {', '.join(DEVICES)}.") from error
    if kind == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"`device` {name}: this machine has {torch.cuda.device_count()} CUDA GPUs; count from 0.")
    return device


def free_device_memory(device: torch.device) -> int | None:
    """Free bytes of a device's own memory; None where it has none of its own or does not say."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


def check_threads(threads: int | None) -> None:
    """Refuse numbers of threads that no machine has: the system ends a process that asks for a billion.

    Raises:
        InputError: If it is below 1 or above `_MOST_THREADS`.
    """
    if threads is not None and (isinstance(threads, bool) or not 1 <= threads <= _MOST_THREADS):
        raise InputError(
            f"`threads` {threads}: give a whole number of at least 1 and at most {_MOST_THREADS} (this machine has "
            f"{os.cpu_count()})."
        )


@contextmanager
def repeatable(threads: int | None) -> Iterator[int]:
    """Fixed threads and repeatable kernels for as long as a registration runs; gives the number of threads.

    Args:
        threads: Of torch and SimpleITK; None leaves them as they are.
    Raises:
        InputError: If no machine has so many threads.
    """
    check_threads(threads)
    with _KERNELS.changed():
        if threads is not None:
            torch.set_num_threads(threads)
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
        yield torch.get_num_threads()


def _repeat_kernels() -> tuple[int, int, bool, bool]:
    threads = torch.get_num_threads(), int(sitk.ProcessObject.GetGlobalDefaultNumberOfThreads())
    before = (*threads, torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    return before


def _restore_kernels(before: tuple[int, int, bool, bool]) -> None:
    torch.set_num_threads(before[0])
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before[1])
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[2:]


_KERNELS = SharedSetting(_repeat_kernels, _restore_kernels)
