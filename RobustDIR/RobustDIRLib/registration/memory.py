"""How much memory a registration will take, how much there is, and the finest working grid that fits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.registration.preprocessing import Preset, Warn, working_grid

# Peak bytes of one forward pass, both directions, per working voxel, beyond what is held before it. A network may say
# its own figure in an attribute `bytes_per_voxel`; this one suits the shipped pyramid.
BYTES_PER_VOXEL = 450
# Displacement, Jacobian determinant, warped image and their writing, per voxel of the original fixed image.
BYTES_PER_FIXED_VOXEL = 60
BYTES_PER_MOVING_VOXEL = 16
COARSEST = 2.0
_STEPS = (1.0, 1.25, 1.5, 1.75, COARSEST)
_GIB = 2**30


@dataclass(frozen=True)
class Forecast:
    """Peak memory of one registration, bytes, and what is free (None: unknown)."""

    needed: int
    available: int | None

    @property
    def fits(self) -> bool:
        """Whether it fits; held to be so where free memory is unknown."""
        return self.available is None or self.needed <= self.available


def available_memory() -> int | None:
    """Bytes of main memory free for this process, or None where the system does not say."""
    figures = [n for n in (_linux_available(), _cgroup_available(), _sysconf_available()) if n is not None]
    return min(figures, default=None)


def _linux_available(path: str = "/proc/meminfo") -> int | None:
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _cgroup_available(folder: str = "/sys/fs/cgroup") -> int | None:
    """What a container's limit leaves; cached file pages count as free."""
    try:
        limit = int(Path(folder, "memory.max").read_text(encoding="ascii"))
        used = int(Path(folder, "memory.current").read_text(encoding="ascii"))
        stat = dict(line.split() for line in Path(folder, "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return None
    return max(limit - used + int(stat.get("inactive_file", 0)), 0)


def _sysconf_available() -> int | None:
    """Free pages where the system counts them but has no /proc (BSD); None on macOS and Windows."""
    if Path("/proc/meminfo").exists():
        return None
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def forecast(working: Grid, fixed: Grid, moving: Grid, bytes_per_voxel: float = BYTES_PER_VOXEL) -> int:
    """Bytes a registration takes at its peak, beyond what is held when it starts.

    Args:
        working: Grid the network works on.
        fixed: Grid of the fixed image.
        moving: Grid of the moving image.
        bytes_per_voxel: Of the network, per working voxel.
    """
    counts = [int(np.prod(grid.shape, dtype=np.int64)) for grid in (working, fixed, moving)]
    prices = (bytes_per_voxel, BYTES_PER_FIXED_VOXEL, BYTES_PER_MOVING_VOXEL)
    return int(sum(count * price for count, price in zip(counts, prices, strict=True)))


def fitting_grid(
    fixed: Grid, moving: Grid, preset: Preset, available: int | None, warn: Warn, bytes_per_voxel: float
) -> tuple[Grid, Forecast]:
    """The working grid of the preset or, saying so, a coarser one whose forecast fits.

    Args:
        fixed: Grid of the fixed image.
        moving: Grid of the moving image.
        preset: Gives the wanted spacing; it is coarsened at most by `COARSEST`.
        available: Free bytes, None if unknown.
        warn: Takes the sentence about a coarser grid.
        bytes_per_voxel: Of the network.
    Raises:
        InputError: With the figure, if even the coarsest grid does not fit.
    """
    for step in _STEPS:
        grid = working_grid(fixed, preset, step)
        outlook = Forecast(forecast(grid, fixed, moving, bytes_per_voxel), available)
        if outlook.fits:
            if step > 1:
                warn(_coarser(working_grid(fixed, preset), grid, available))
            return grid, outlook
    raise InputError(
        f"not enough memory: even the coarsest working grid needs {outlook.needed / _GIB:.2f} GiB and "
        f"{(available or 0) / _GIB:.2f} GiB are free; close other programs or crop the images"
    )


def _coarser(wanted: Grid, grid: Grid, available: int | None) -> str:
    fine, coarse = ("x".join(str(n) for n in g.size) for g in (wanted, grid))
    return (
        f"memory is short ({(available or 0) / _GIB:.2f} GiB free): the network works on {coarse} voxels instead of "
        f"{fine}, which costs accuracy"
    )
