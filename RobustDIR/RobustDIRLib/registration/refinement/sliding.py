"""Velocities of two parts of a body that slide along each other, as lungs do along the chest wall.

A velocity that is smooth everywhere drags one part along with the other: of a strip of lung between ribs and diaphragm
that slid by 15 mm, it left 12. Each part therefore has its own, smooth within it, and windows of the local correlation
hold voxels of one part alone. Where the parts meet, one velocity changes into the other between two voxels at half
resolution, so that the flow of both is still one that cannot fold.

Schmidt-Richberg et al. (2012) let organs slip by smoothing that depends on the direction and ends at their border; here
one jump between two smooth velocities does, of which the part across the wall counts as roughness.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.registration.refinement.control import ControlGrid, Matrices, cell_centres, gather, spread

MOSTLY = 0.501  # what is half inside is outside, whatever rounding says when images are exchanged
_SQUARINGS = 5  # the flow changes faster between the parts than within one


class SlidingGrid(ControlGrid):
    """Control points of both velocities over a volume; coefficients `(2, 3, n, n, n)`, inside first.

    Args:
        shape: Voxels of the volume along z, y, x.
        spacing: Sides of a voxel, mm, z, y, x.
        distance: Between control points, mm, about the same along every axis.
        inside: How much of a place of the middle belongs to the inner part, `(1, 1, d, h, w)`, 0 to 1.
        cells: Of the local correlation along z, y, x.
    """

    rough_squarings = 1  # of as many voxels as the halves have, instead of control points

    def __init__(
        self, shape: Sequence[int], spacing: Sequence[float], distance: float, inside: Tensor, cells: Sequence[int]
    ) -> None:
        super().__init__(shape, spacing, distance)
        self.part = part = (warping.resize(inside, cells)[0, 0] > MOSTLY).float()
        self._box = (slice(None), *(_span(part.amax(axes)) for axes in ((1, 2), (0, 2), (0, 1))))
        self._part, self._rest = part[self._box[1:]], 1 - part
        self._inside = inside[0]
        self._wall = torch.stack(torch.gradient(warping.resize(inside, self.points)[0, 0])) / self.spacing
        self._dense = self.at([cell_centres(n) for n in inside.shape[2:]])

    def zeros(self) -> Tensor:
        """Coefficients of no motion."""
        return torch.zeros(2, 3, *self.points)

    def velocity(self, matrices: Matrices, coefficients: Tensor) -> Tensor:
        """At the cells, `(3, d, h, w)`, mm per unit time: of each cell that of its part."""
        whole = spread(matrices, coefficients[1])
        whole[self._box].lerp_(spread(self._boxed(matrices), coefficients[0]), self._part)
        return whole

    def gradient(self, matrices: Matrices, force: Tensor) -> Tensor:
        """The transpose of `velocity`."""
        inner = gather(self._boxed(matrices), force[self._box] * self._part)
        return torch.stack([inner, gather(matrices, force * self._rest)])

    def _boxed(self, matrices: Matrices) -> Matrices:
        """Those of the cells in the box around the inner part."""
        a, b, c = (matrix[rows] for matrix, rows in zip(matrices, self._box[1:], strict=True))
        return a, b, c

    def exponential(self, coefficients: Tensor, shape: Sequence[int], squarings: int = _SQUARINGS) -> Tensor:
        """Displacements of `exp(-v/2)` and `exp(v/2)` of the blended velocity, `(2, 3, d, h, w)`, voxels.

        Args:
            coefficients: Of both velocities.
            shape: That of what says where the inner part is; the flow is integrated on it, to follow the blend.
            squarings: Steps of the integration.
        """
        inner, outer = (spread(self._dense, part) for part in coefficients)
        velocity = torch.lerp(outer, inner, self._inside)
        velocity *= torch.tensor([n / e / 2 for n, e in zip(shape, self.extent, strict=True)]).view(3, 1, 1, 1)
        return warping.integrate_velocity(torch.stack([-velocity, velocity]), squarings)

    def roughness(self, coefficients: Tensor) -> tuple[float, Tensor]:
        """That of both, and of how far they part from each other or run into one another at the wall.

        The gradient of their blend has `jump * slope` on top of theirs, of which the wall's own direction counts alone:
        along it the parts slide.
        """
        inner, outer = (spread(self.nodes, part) for part in coefficients)
        (inner_energy, inner_slope), (outer_energy, outer_slope) = self._roughness(inner), self._roughness(outer)
        opening = ((inner - outer) * self._wall).sum(0)
        apart = opening * self._wall * (2 / opening.numel())
        slopes = torch.stack([gather(self.nodes, slope) for slope in (inner_slope + apart, outer_slope - apart)])
        return inner_energy + outer_energy + float(opening.square().mean()), slopes


def _span(filled: Tensor) -> slice:
    """From the first to the last that is not 0; nothing if all are."""
    at = filled.nonzero()
    return slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0)
