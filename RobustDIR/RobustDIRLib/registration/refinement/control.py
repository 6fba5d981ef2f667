"""A stationary velocity on a coarse grid of control points, and what is needed to optimise it without autograd.

Along each axis the velocity is a sum of cubic B-splines with one coefficient a control point, so that bringing it to
voxels is three small matrix products and the gradient with respect to the coefficients is the three transposed. All
grids share their outer border (as in `warping.resize`), and values continue beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from RobustDIRLib import warping

_SQUARINGS = 4
_FEWEST_POINTS = 4

Matrices = tuple[Tensor, Tensor, Tensor]


def spline_matrix(positions: Tensor, points: int) -> Tensor:
    """Cubic B-spline weights of equally spaced control points; every row sums to 1.

    Args:
        positions: Shape `(N,)`, 0 and 1 at the outer borders of the grid.
        points: Number of control points M, each in the middle of its cell.
    Returns:
        Shape `(N, M)`, double precision.
    """
    x = positions.double() * points - 0.5
    index = torch.arange(-2, points + 2, dtype=torch.float64)
    t = (x[:, None] - index).abs()
    weights = torch.where(t < 1, 2 / 3 - t**2 + t**3 / 2, (2 - t).clamp_min(0) ** 3 / 6)
    inside = weights[:, 2:-2].clone()
    inside[:, 0] += weights[:, :2].sum(1)
    inside[:, -1] += weights[:, -2:].sum(1)
    return inside


def cell_centres(count: int) -> Tensor:
    """Centres of so many equal cells between 0 and 1."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


def spread(matrices: Matrices, values: Tensor) -> Tensor:
    """Values `(C, d, h, w)` multiplied by one matrix along each axis z, y, x."""
    a, b, c = matrices
    values = torch.matmul(b, torch.matmul(values, c.T))
    found: Tensor = torch.matmul(a, values.flatten(2)).unflatten(2, values.shape[2:])
    return found


def gather(matrices: Matrices, values: Tensor) -> Tensor:
    """The transpose of `spread`."""
    a, b, c = (m.T for m in matrices)
    return spread((a, b, c), values)


class ControlGrid:
    """Control points over a volume.

    Coefficients are tensors `(3, n, n, n)`, mm per unit time, channels z, y, x.

    Args:
        shape: Voxels of the volume along z, y, x.
        spacing: Sides of a voxel, mm, z, y, x.
        distance: Between control points, mm, about the same along every axis.

    Attributes:
        rough_squarings: That serve `exponential` between two warpings of the images, which are taken for linear in the
            velocity then anyway.
        part: Which part of the body every cell of the local correlation belongs to, `(d, h, w)`; None if to one.
    """

    rough_squarings = 2
    part: Tensor | None = None

    def __init__(self, shape: Sequence[int], spacing: Sequence[float], distance: float) -> None:
        self.extent = [n * s for n, s in zip(shape, spacing, strict=True)]
        self.points = [max(_FEWEST_POINTS, round(e / distance)) for e in self.extent]
        self.spacing = torch.tensor([e / n for e, n in zip(self.extent, self.points, strict=True)]).view(3, 1, 1, 1)
        self._nodes = [spline_matrix(cell_centres(n), n) for n in self.points]
        self.nodes = self._float(self._nodes)

    @staticmethod
    def _float(matrices: Sequence[Tensor]) -> Matrices:
        a, b, c = (m.float().contiguous() for m in matrices)
        return a, b, c

    def zeros(self) -> Tensor:
        """Coefficients of no motion."""
        return torch.zeros(3, *self.points)

    def at(self, positions: Sequence[Tensor]) -> Matrices:
        """Matrices from coefficients to positions (0 to 1) along z, y, x."""
        return self._float([spline_matrix(p, n) for p, n in zip(positions, self.points, strict=True)])

    def velocity(self, matrices: Matrices, coefficients: Tensor) -> Tensor:
        """At the positions of the matrices, `(3, d, h, w)`, mm per unit time."""
        return spread(matrices, coefficients)

    def gradient(self, matrices: Matrices, force: Tensor) -> Tensor:
        """With respect to the coefficients, of what has this gradient with respect to `velocity`: its transpose."""
        return gather(matrices, force)

    def exponential(self, coefficients: Tensor, shape: Sequence[int], squarings: int = _SQUARINGS) -> Tensor:
        """Displacements of `exp(-v/2)` and `exp(v/2)` on a grid of a shape.

        The flow is integrated between the control points and interpolated by the splines that pass through its values
        there, so that the cost does not depend on the voxels.

        Args:
            coefficients: Of the velocity v.
            shape: Of that grid.
            squarings: Steps of the integration; the fewer, the further both are from being each other's inverse.
        Returns:
            Shape `(2, 3, *shape)`, voxels of that grid.
        """
        velocity = spread(self.nodes, coefficients) / (2 * self.spacing)
        flows = warping.integrate_velocity(torch.stack([-velocity, velocity]), squarings)
        through = self._float(
            [
                spline_matrix(cell_centres(n), len(s)) @ torch.linalg.inv(s)
                for n, s in zip(shape, self._nodes, strict=True)
            ]
        )
        ratio = torch.tensor([n / m for n, m in zip(shape, self.points, strict=True)]).view(3, 1, 1, 1)
        return torch.stack([spread(through, flow) * ratio for flow in flows])

    def roughness(self, coefficients: Tensor) -> tuple[float, Tensor]:
        """Mean squared gradient of the velocity (Eq. 3), mm/mm, summed over its nine entries, and its derivative.

        Distances are millimetres, so that unequal spacing does not make one axis stiffer than another.
        """
        energy, slope = self._roughness(spread(self.nodes, coefficients))
        return energy, gather(self.nodes, slope)

    def _roughness(self, velocity: Tensor) -> tuple[float, Tensor]:
        """The same of velocities at the control points, and its derivative with respect to them."""
        slope, energy = torch.zeros_like(velocity), 0.0
        for axis in range(3):
            step = torch.diff(velocity, dim=axis + 1) / float(self.spacing[axis])
            energy += float(step.square().sum())
            step = step / float(self.spacing[axis])
            slope.narrow(axis + 1, 1, step.shape[axis + 1]).add_(step)
            slope.narrow(axis + 1, 0, step.shape[axis + 1]).sub_(step)
        count = velocity[0].numel()
        return energy / count, slope.mul_(2 / count)
