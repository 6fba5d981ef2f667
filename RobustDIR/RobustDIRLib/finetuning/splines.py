"""Displacements as coefficients of cubic B-splines on a coarse grid that spans an image, and back.

Along each axis of n voxels, m nodes span the image with one node more beyond each border, so that every voxel lies
within the support of four of them. Everything is separable: three small matrices take coefficients to voxels, and their
pseudo-inverses fit coefficients to voxels in the sense of least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

FEWEST_NODES = 4  # an axis


@lru_cache(maxsize=64)
def basis(voxels: int, nodes: int) -> Tensor:
    """Values of the cubic B-splines of `nodes` nodes at the voxel centres of an axis, shape `(voxels, nodes)`.

    Raises:
        ValueError: If there are under four nodes.
    """
    if nodes < FEWEST_NODES:
        raise ValueError(f"cubic B-splines need at least {FEWEST_NODES} nodes an axis, not {nodes}")
    at = 1 + (torch.arange(voxels, dtype=torch.float64) + 0.5) / voxels * (nodes - 3)
    distance = (at[:, None] - torch.arange(nodes, dtype=torch.float64)).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp_min(0) ** 3 / 6
    return torch.where(distance < 1, near, far).float()


def spline_values(coefficients: Tensor, shape: Sequence[int]) -> Tensor:
    """What B-spline coefficients `(B, C, m, m, m)` are at the voxels of a shape: `(B, C, D, H, W)`."""
    matrices = [basis(n, m) for n, m in zip(shape, coefficients.shape[2:], strict=True)]
    return _through(coefficients, matrices)


def spline_fit(values: Tensor, nodes: Sequence[int]) -> Tensor:
    """The coefficients `(B, C, *nodes)` of least squares for values `(B, C, D, H, W)`; inverts `spline_values`."""
    matrices = [torch.linalg.pinv(basis(n, m).double()) for n, m in zip(values.shape[2:], nodes, strict=True)]
    return _through(values.double(), matrices).to(values.dtype)


def _through(values: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    z, y, x = matrices
    values = torch.einsum("zi,bcijk->bczjk", z, values)
    values = torch.einsum("yj,bczjk->bczyk", y, values)
    return torch.einsum("xk,bczyk->bczyx", x, values)
