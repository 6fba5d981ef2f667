"""How much memory a registration will take, how much there is, and the finest working grid that fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.free_memory import available_memory
from RobustDIRLib.presets import Preset
from RobustDIRLib.registration.preprocessing import Warn, working_grid

# Peak bytes of one forward pass, both directions, per working voxel, beyond what is held before it, for forecasts made
# where no network is loaded; each network says its own (`networks.network`).
BYTES_PER_VOXEL = 450
# Of the refinement, in main memory wherever the network ran, once the network's own memory is free again; measured: 55,
# 72 where lungs slide, 77 and 87 at the best quality.
BYTES_PER_REFINED_VOXEL = 96
# Displacement, Jacobian determinant, warped image and their writing, per voxel of the original fixed image.
BYTES_PER_FIXED_VOXEL = 60
BYTES_PER_MOVING_VOXEL = 16
COARSEST = 2.0
_STEPS = (1.0, 1.25, 1.5, 1.75, COARSEST)
_GIB = 2**30

__all__ = ["BYTES_PER_VOXEL", "Budget", "Forecast", "available_memory", "fitting_grid", "forecast"]


@dataclass(frozen=True)
class Budget:
    """What there is to spend, and the network's price.

    Attributes:
        main: Free bytes of main memory; None if unknown.
        device: Free bytes of the GPU the network runs on; None if it runs in main memory.
        bytes_per_voxel: Of the network, per working voxel.
    """

    main: int | None
    device: int | None = None
    bytes_per_voxel: float = BYTES_PER_VOXEL

    @classmethod
    def now(cls, bytes_per_voxel: float, device: int | None = None, limit: int | None = None) -> Budget:
        """What main memory has free at this moment, or the limit if that is less; the rest as given."""
        free = [n for n in (available_memory(), limit) if n is not None]
        return cls(min(free, default=None), device, bytes_per_voxel)


@dataclass(frozen=True)
class Forecast:
    """Peak bytes one registration needs of one memory beyond what is held when it starts, and what is free there."""

    where: str
    needed: int
    available: int | None

    @property
    def fits(self) -> bool:
        """Whether it fits; held to be so where free memory is unknown."""
        return self.available is None or self.needed <= self.available

    def __str__(self) -> str:
        free = "an unknown amount" if self.available is None else f"{self.available / _GIB:.2f} GiB"
        return f"{self.needed / _GIB:.2f} GiB of {self.where} ({free} free)"


def forecast(working: Grid, fixed: Grid, moving: Grid, budget: Budget) -> tuple[Forecast, ...]:
    """What a registration takes of main memory and, if the network runs on a GPU, of the GPU's.

    Args:
        working: Grid the network works on.
        fixed: Grid of the fixed image.
        moving: Grid of the moving image.
        budget: What is free, and the network's price.
    """
    images = BYTES_PER_FIXED_VOXEL * _voxels(fixed) + BYTES_PER_MOVING_VOXEL * _voxels(moving)
    network, refinement = (int(n * _voxels(working)) for n in (budget.bytes_per_voxel, BYTES_PER_REFINED_VOXEL))
    if budget.device is None:
        return (Forecast("memory", images + max(network, refinement), budget.main),)
    return Forecast("memory", images + refinement, budget.main), Forecast("GPU memory", network, budget.device)


def _voxels(grid: Grid) -> int:
    return int(np.prod(grid.shape, dtype=np.int64))


def fitting_grid(
    fixed: Grid, moving: Grid, preset: Preset, budget: Budget, warn: Warn, spacing: float | None = None
) -> tuple[Grid, tuple[Forecast, ...]]:
    """The working grid of the preset or, saying so, a coarser one whose forecast fits.

    Args:
        fixed: Grid of the fixed image.
        moving: Grid of the moving image.
        preset: Gives the wanted spacing; it is coarsened at most by `COARSEST`.
        budget: What is free, and the network's price.
        warn: Takes the sentence about a coarser grid.
        spacing: Wanted instead of the preset's, mm.
    Raises:
        InputError: With the figure, if even the coarsest grid does not fit.
    """
    wanted = working_grid(fixed, preset, spacing=spacing)
    short = ""
    for step in _STEPS:
        grid = working_grid(fixed, preset, step, spacing)
        outlook = forecast(grid, fixed, moving, budget)
        lacking = [part for part in outlook if not part.fits]
        if not lacking:
            if step > 1:
                warn(_coarser(wanted, grid, short))
            return grid, outlook
        short = short or str(lacking[0])
    raise InputError(
        f"not enough memory: even on a grid {COARSEST:g} times as coarse the registration needs {lacking[0]}; close "
        f"other programs, crop the images or raise `memory_limit` if you set it."
    )


def _coarser(wanted: Grid, grid: Grid, short: str) -> str:
    fine, coarse = ("x".join(str(n) for n in g.size) for g in (wanted, grid))
    return (
        f"memory is short: {fine} working voxels need {short}; the network works on {coarse} instead, which costs "
        f"accuracy."
    )
