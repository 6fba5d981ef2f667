"""Where a network can run on this machine, told without torch, which the panel's process never loads."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from RobustDIRLib.panelparts.words import _

DEVICES = {
    "auto": _("Automatic"),
    "cpu": _("Processor (CPU)"),
    "cuda": _("NVIDIA graphics card (CUDA)"),
    "mps": _("Apple graphics (MPS)"),
}
# What the drivers of graphics cards leave: NVIDIA's, its own under WSL, and AMD's, which torch calls CUDA as well.
_DRIVERS = ("/proc/driver/nvidia/version", "/dev/dxg", "/dev/kfd")


def offered() -> dict[str, str]:
    """Those that are there, with words for people, by the names that `robustdir register --device` takes."""
    there = {"auto", "cpu"} | ({"cuda"} if _has_card() and not _is_torch_without_cards() else set())
    there |= {"mps"} if sys.platform == "darwin" and platform.machine() == "arm64" else set()
    return {name: words for name, words in DEVICES.items() if name in there}


def _has_card() -> bool:
    if os.name == "nt":
        return (Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "nvcuda.dll").exists()
    return any(Path(each).exists() for each in _DRIVERS)


def _is_torch_without_cards() -> bool:
    """Whether torch is there and was built for processors alone, as its version says."""
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return False
