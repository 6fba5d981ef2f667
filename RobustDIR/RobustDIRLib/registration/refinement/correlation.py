"""Squared local correlation of two images and its gradient, written out; windows are sums over cells of voxels.

The images come as `lattices`: the voxels of equal parity, one contiguous half-resolution array each. A cell is the
eight voxels of 2x2x2, one of each lattice, and a window 3x3x3 cells. Some of the lattices can stand for all, at their
share of the cost, and everything is sums of small contiguous arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

NOISE = 1e-3  # variance below which a window counts as flat; intensities are in [-1, 1]


def box(values: Tensor, joined: Sequence[Tensor] | None = None, axes: Sequence[int] = (0, 1, 2)) -> Tensor:
    """Sum over 3x3x3 cells of arrays `(C, d, h, w)`; beyond the border there is nothing.

    Args:
        values: To be summed.
        joined: Along z, y, x 1 where a cell and the next belong together, else 0: sums go along one axis after the
            other and stop where cells do not. All belong together if not given.
        axes: In which order; the reverse one is the transpose.
    """
    for axis in axes:
        n = values.shape[axis + 1]
        out = values.clone()
        low, high = (values.narrow(axis + 1, start, n - 1) for start in (0, 1))
        if joined is None:
            out.narrow(axis + 1, 1, n - 1).add_(low)
            out.narrow(axis + 1, 0, n - 1).add_(high)
        else:
            out.narrow(axis + 1, 1, n - 1).addcmul_(low, joined[axis])
            out.narrow(axis + 1, 0, n - 1).addcmul_(high, joined[axis])
        values = out
    return values


def joined_cells(part: Tensor) -> list[Tensor]:
    """Along z, y, x 1 where a cell `(d, h, w)` and the next are in the same part by their numbers, else 0."""
    pairs = ((part.narrow(k, 0, part.shape[k] - 1), part.narrow(k, 1, part.shape[k] - 1)) for k in range(3))
    return [(one == other).float() for one, other in pairs]


class Statistics(NamedTuple):
    """Means, variances (with `NOISE` added) and covariance of every window, shape `(d, h, w)`."""

    mean_a: Tensor
    mean_b: Tensor
    variance_a: Tensor
    variance_b: Tensor
    covariance: Tensor


class LocalCorrelation:
    """Local correlation coefficients, squared, so that contrasts that are each other's inverse agree, too.

    Args:
        shape: Cells along z, y, x.
        weight: How much every window counts, `(d, h, w)`; all alike if not given.
        part: Which part of the body every cell belongs to, `(d, h, w)`: no window reaches from one into another.
    """

    def __init__(self, shape: Sequence[int], weight: Tensor | None = None, part: Tensor | None = None) -> None:
        self._joined = None if part is None else joined_cells(part)
        self._share = (1 / box(torch.ones(1, *shape), self._joined))[0]
        self._weight = weight

    def statistics(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> Statistics:
        """Of two images, each a list of lattices `(d, h, w)`."""
        sums = torch.zeros(5, *a[0].shape)
        for x, y in zip(a, b, strict=True):
            sums[0] += x
            sums[1] += y
            sums[2].addcmul_(x, x)
            sums[3].addcmul_(y, y)
            sums[4].addcmul_(x, y)
        mean_a, mean_b, aa, bb, ab = (box(s[None], self._joined)[0] * self._share / len(a) for s in sums)
        aa = aa.addcmul_(mean_a, mean_a, value=-1).clamp_min_(0).add_(NOISE)
        bb = bb.addcmul_(mean_b, mean_b, value=-1).clamp_min_(0).add_(NOISE)
        return Statistics(mean_a, mean_b, aa, bb, ab.addcmul_(mean_a, mean_b, value=-1))

    def __call__(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> tuple[float, list[Tensor], list[Tensor]]:
        """Loss, minus the mean squared correlation, and its derivatives with respect to the voxels of both images."""
        s = self.statistics(a, b)
        # With cov = E[ab] - E[a]E[b], the window's cov^2 / (var_a var_b) changes with b(x) by
        # (p (a(x) - E[a]) - q (b(x) - E[b])) / n, p = 2 cov / (var_a var_b), q = p cov / var_b; with a(x) likewise.
        p = 2 * s.covariance / (s.variance_a * s.variance_b)
        if self._weight is not None:
            p *= self._weight
        loss = -float((p * s.covariance).mean()) / 2
        p_cov = p * s.covariance
        q_a, q_b = p_cov / s.variance_a, p_cov / s.variance_b
        scale = self._share / (p.numel() * len(a))
        terms = (p, q_a, q_b, p * s.mean_b - q_a * s.mean_a, p * s.mean_a - q_b * s.mean_b)
        p, q_a, q_b, r_a, r_b = (box((t * scale)[None], self._joined, (2, 1, 0))[0] for t in terms)
        da = [torch.addcmul(r_a, q_a, x).addcmul_(p, y, value=-1) for x, y in zip(a, b, strict=True)]
        db = [torch.addcmul(r_b, q_b, y).addcmul_(p, x, value=-1) for x, y in zip(a, b, strict=True)]
        return loss, da, db

    def agreement(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
        """Whether local correlations have one sign: 1 if all are positive, -1 if all negative, 0 if as much of each."""
        s = self.statistics(a, b)
        square = s.covariance.square() / (s.variance_a * s.variance_b)
        if self._weight is not None:
            square = square * self._weight
        total = float(square.sum())
        return float((square * s.covariance.sign()).sum()) / total if total > 0 else 0.0


PARITIES = ((0, 0, 0), (1, 1, 1), (0, 0, 1), (1, 1, 0), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 1, 1))


def even(image: Tensor) -> Tensor:
    """An image `(1, C, D, H, W)` with its last plane repeated along odd axes."""
    pad = [n for size in reversed(image.shape[2:]) for n in (0, size % 2)]
    return F.pad(image, pad, mode="replicate") if any(pad) else image


def lattice(image: Tensor, parity: tuple[int, int, int]) -> Tensor:
    """The voxels `2 i + parity` of an array `(D, H, W)` of even sides."""
    z, y, x = parity
    return image[z::2, y::2, x::2].contiguous()


def lattice_gradient(image: Tensor, parity: tuple[int, int, int]) -> list[Tensor]:
    """Central differences along z, y, x at the voxels of a lattice, per voxel; zero at the border."""
    slopes = []
    for axis in range(3):
        start, n = parity[axis], image.shape[axis]
        others = tuple(slice(parity[k], None, 2) if k != axis else slice(None) for k in range(3))
        line = image[others]
        slope = torch.zeros([s // 2 for s in image.shape])
        # Voxel 2 i + start has neighbours 2 i + start - 1 and + 1; the first or the last has only one.
        first = 1 - start  # of the lattice's voxels along the axis, the first with both neighbours
        count = n // 2 - 1
        low, high = (2 * first + start + step for step in (-1, 1))
        inside = slope.narrow(axis, first, count)
        before = line.narrow(axis, low, 2 * count - 1)[_every_second(axis)]
        after = line.narrow(axis, high, 2 * count - 1)[_every_second(axis)]
        torch.sub(after, before, out=inside)
        slopes.append(slope.mul_(0.5))
    return slopes


def _every_second(axis: int) -> tuple[slice, ...]:
    return tuple(slice(None, None, 2) if k == axis else slice(None) for k in range(3))
