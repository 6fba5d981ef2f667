"""What every network returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Deformation(NamedTuple):
    """A transform and its inverse, both as displacements on one grid.

    Attributes:
        displacement: From fixed points to moving points: `warped(x) = moving(x + u(x))`. Shape `(B, 3, D, H, W)`, in
            voxels of its own grid, channels z, y, x, single precision.
        inverse: From moving points to fixed points, likewise.
    """

    displacement: Tensor
    inverse: Tensor
