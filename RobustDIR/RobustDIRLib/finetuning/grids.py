"""The grid that a pair is learnt on: of sides that the network need not pad, and a box of it where it is too large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Generator

from RobustDIRLib.geometry import Grid
from RobustDIRLib.presets import Preset
from RobustDIRLib.registration.preprocessing import native_spacing, working_grid
from RobustDIRLib.synthesis.random import integer

SMALLEST_BOX = 32  # voxels a side of a cut pair: less holds nothing that the coarsest levels could learn
_MOST_STRETCH = 0.21  # of a side, to the next multiple: what a network bears that has seen affine parts of all kinds


@dataclass(frozen=True)
class FittedGrid:
    """What grid a pair is learnt on: of the fixed image's borders and direction, cheaper than the working one.

    A network pads all sides to a multiple, where a voxel of padding costs as much as any other: a hippocampus of
    44 x 71 x 48 working voxels would be learnt from at 48 x 80 x 48, and is at 48 x 64 x 48.

    Attributes:
        multiple: Of which the network wants sides; a side is changed by a fifth at most for it.
        native: Whether voxels shall be no finer than the image's own, as working ones may be (`automatic_spacing`).
        spacing: Side of a voxel before that, mm; None for the preset's.
    """

    multiple: int
    native: bool = False
    spacing: float | None = None

    def of(self, fixed: Grid, preset: Preset) -> Grid:
        """The grid for a fixed image of this grid, near the wanted spacing."""
        working = working_grid(fixed, preset, spacing=self.spacing)
        coarsening = max(1.0, native_spacing(fixed) / working.voxel_side) if self.native else 1.0
        sides = np.array(working_grid(fixed, preset, coarsening, self.spacing).shape)
        whole = np.maximum(np.ceil(sides / self.multiple - 0.5).astype(int), 1) * self.multiple
        z, y, x = np.where(np.abs(whole / sides - 1) <= _MOST_STRETCH, whole, sides).tolist()
        return fixed.resized((z, y, x))


def random_box(grid: Grid, most_voxels: int, g: Generator, multiple: int = 1) -> Grid:
    """A random box of a grid that holds no more voxels than allowed, of the grid's own proportions where it can.

    Args:
        grid: To cut from.
        most_voxels: Allowed; boxes have sides of `SMALLEST_BOX` voxels nevertheless.
        g: Source of the draw.
        multiple: Of which the sides of a box shall be.
    """
    shape = np.array(grid.shape)
    if shape.prod() <= most_voxels:
        return grid
    sides = np.floor(shape * (most_voxels / shape.prod()) ** (1 / 3) / multiple).astype(int) * multiple
    sides = np.minimum(np.maximum(sides, SMALLEST_BOX), shape)
    start = [integer(0, int(n - s), g) for n, s in zip(shape, sides, strict=True)]
    after = [int(s + b - n) for n, s, b in zip(shape, sides, start, strict=True)]
    return grid.padded((-start[0], -start[1], -start[2]), (after[0], after[1], after[2]))
