"""Local correlation of two feature maps, in both directions at the price of one."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Long enough to amortise a call, short enough that a chunk of some 16 channels stays in a core's own cache.
_CHUNK = 1 << 15


def offsets(radius: int) -> Tensor:
    """All steps of up to `radius` voxels along each axis, shape `((2 radius + 1)**3, 3)`, components z, y, x."""
    return torch.tensor(list(product(range(-radius, radius + 1), repeat=3)), dtype=torch.float32)


class _Padded:
    """Flat view of volumes padded with zeros by the radius, in which every offset is one shift of the flat index."""

    def __init__(self, shape: torch.Size, radius: int) -> None:
        self.radius, self.shape = radius, tuple(shape[2:])
        self.full = tuple(n + 2 * radius for n in self.shape)
        _, height, width = self.full
        self.shifts = [int((i * height + j) * width + k) for i, j, k in offsets(radius).tolist()]
        self.first = max(self.shifts)
        self.length = self.full[0] * height * width - 2 * self.first

    def pad(self, x: Tensor) -> Tensor:
        return F.pad(x, (self.radius,) * 6).flatten(2)

    def crop(self, x: Tensor) -> Tensor:
        depth, height, width = (slice(self.radius, self.radius + n) for n in self.shape)
        return x.unflatten(2, self.full)[:, :, depth, height, width]

    def chunks(self) -> list[slice]:
        stop = self.first + self.length
        return [slice(n, min(n + _CHUNK, stop)) for n in range(self.first, stop, _CHUNK)]


def _moved(chunk: slice, shift: int) -> slice:
    return slice(chunk.start + shift, chunk.stop + shift)


class _Correlation(torch.autograd.Function):
    """The backward pass is written out: the generic one keeps and refills a full tensor for every offset."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, radius: int) -> tuple[Tensor, Tensor]:
        padded = _Padded(a.shape, radius)
        a_flat, b_flat = padded.pad(a), padded.pad(b)
        count, scale = len(padded.shifts), 1 / a.shape[1]
        ab = a_flat.new_zeros(len(a), count, a_flat.shape[2])
        for chunk in padded.chunks():
            left = a_flat[..., chunk] * scale
            for k, shift in enumerate(padded.shifts):
                torch.sum(left * b_flat[..., _moved(chunk, shift)], 1, out=ab[:, k, chunk])
        ba = torch.zeros_like(ab)
        inner = slice(padded.first, padded.first + padded.length)
        for k, shift in enumerate(padded.shifts):
            # b(x) . a(x + o) is a(y) . b(y - o) at y = x + o, and offset count-1-k is the opposite of offset k.
            ba[:, k, inner] = ab[:, count - 1 - k, _moved(inner, shift)]
        ctx.save_for_backward(a_flat, b_flat)
        ctx.padded = padded
        return padded.crop(ab), padded.crop(ba)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        padded: _Padded = ctx.padded
        a_flat, b_flat = ctx.saved_tensors
        grad_ab, grad_ba = (padded.pad(g) for g in gradients)
        grad_a, grad_b = torch.zeros_like(a_flat), torch.zeros_like(b_flat)
        count, scale = len(padded.shifts), 1 / a_flat.shape[1]
        for chunk in padded.chunks():
            for k, shift in enumerate(padded.shifts):
                moved = _moved(chunk, shift)
                both = (grad_ab[:, k, chunk] + grad_ba[:, count - 1 - k, moved])[:, None] * scale
                grad_a[..., chunk].addcmul_(both, b_flat[..., moved])
                grad_b[..., moved].addcmul_(both, a_flat[..., chunk])
        return padded.crop(grad_a), padded.crop(grad_b), None


def local_correlation(a: Tensor, b: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Mean product of features over neighbours: `ab[k](x) = mean_c a_c(x) b_c(x + o_k)` and `ba` with a and b swapped.

    Args:
        a: Features, shape `(B, C, D, H, W)`.
        b: Features of the same shape.
        radius: Neighbours reach this many voxels along each axis; features beyond the border count as zero.
    Returns:
        `(ab, ba)`, each `(B, K, D, H, W)` with `K = (2 radius + 1)**3`, ordered as `offsets(radius)`.
    """
    ab, ba = _Correlation.apply(a, b, radius)
    return ab, ba
