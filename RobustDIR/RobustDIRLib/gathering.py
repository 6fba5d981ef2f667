"""Trilinear sampling without gradients on a CPU: the eight neighbours of a point as a weighted sum of table rows.

An image with its channels innermost is a table with one row a voxel. `embedding_bag`, made for language, sums weighted
rows ten times as fast as `grid_sample`, which walks through channels that lie a volume apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# Points at a time: what is worked out for them stays in a core's own cache.
_BLOCK = 1 << 14
_FEWEST_CHANNELS = 4
# Columns: one minus z, one minus y ... as sums of 1, z, y, x, zy, zx, yx, zyx, for the corners 000, 001 ... 111.
_PRODUCTS = torch.tensor(
    [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [-1, 0, 0, 0, 1, 0, 0, 0],
        [-1, 0, 1, 0, 0, 0, 0, 0],
        [-1, 1, 0, 0, 0, 0, 0, 0],
        [1, 0, -1, 0, -1, 0, 1, 0],
        [1, -1, 0, 0, -1, 1, 0, 0],
        [1, -1, -1, 1, 0, 0, 0, 0],
        [-1, 1, 1, -1, 1, -1, -1, 1],
    ],
    dtype=torch.float32,
)


def fits(image: Tensor, points: Tensor) -> bool:
    """Whether `gather` is the faster way: main memory, single precision, many channels, no gradients wanted."""
    same = image.dtype == points.dtype == torch.float32
    return (
        not gradients_wanted(image, points)
        and same
        and image.device.type == "cpu"
        and image.shape[1] >= _FEWEST_CHANNELS
        and image.numel() < 2**31
    )


def gradients_wanted(*tensors: Tensor) -> bool:
    """Whether what is computed from tensors will be differentiated."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def gather(image: Tensor, points: Tensor, origin: Sequence[Tensor] | None = None) -> Tensor:
    """Values of an image at points, linear, border values outside.

    Args:
        image: Shape `(B, C, D, H, W)`; fastest with its channels innermost.
        points: Shape `(B, 3, d, h, w)`, voxels of `image`, channels z, y, x.
        origin: What is added to the points' channels, shapes `(d, 1, 1)`, `(1, h, 1)`, `(1, 1, w)`.
    Returns:
        Shape `(B, C, d, h, w)`, channels innermost.
    """
    batch, channels, *shape = image.shape
    rows = image.permute(0, 2, 3, 4, 1).reshape(batch, -1, channels)
    depth = points.shape[2]
    result = image.new_empty((batch, *points.shape[2:], channels))
    planes = max(1, _BLOCK // max(1, points.shape[3] * points.shape[4]))
    for number in range(batch):
        for start in range(0, depth, planes):
            block = slice(start, start + planes)
            axes = list(points[number, :, block])
            if origin is not None:
                z, y, x = origin
                axes = [a + o for a, o in zip(axes, (z[block], y, x), strict=True)]
            with torch.autocast("cpu", enabled=False):
                indices, weights = _corners(axes, shape)
            sums = F.embedding_bag(indices, rows[number], per_sample_weights=weights, mode="sum")
            result[number, block] = sums.view(*axes[0].shape, channels)
    return result.permute(0, 4, 1, 2, 3)


def _corners(axes: Sequence[Tensor], shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Flat indices and weights, `(n, 8)` each, of the voxels around points."""
    count = axes[0].numel()
    terms = axes[0].new_empty((8, count))
    terms[0] = 1
    index = torch.zeros(count, dtype=torch.int32)
    for axis, (position, n) in enumerate(zip(axes, shape, strict=True)):
        position = position.reshape(-1).clamp(0, n - 1)
        # A bound for whole numbers, too: what is not a number must not lead out of the table.
        below = position.to(torch.int32).clamp_(0, max(n - 2, 0))
        torch.sub(position, below, out=terms[axis + 1])
        index.mul_(n).add_(below)
    z, y, x = terms[1:4]
    torch.mul(z, y, out=terms[4])
    torch.mul(z, x, out=terms[5])
    torch.mul(y, x, out=terms[6])
    torch.mul(terms[4], x, out=terms[7])
    return index[:, None] + _steps(shape), torch.mm(terms.T, _PRODUCTS)


def _steps(shape: Sequence[int]) -> Tensor:
    """From a voxel to the corners 000, 001 ... 111 of its cell; along an axis of one voxel there is no next one."""
    _, height, width = shape
    z, y, x = (step if n > 1 else 0 for step, n in zip((height * width, width, 1), shape, strict=True))
    return torch.tensor([a * z + b * y + c * x for a in (0, 1) for b in (0, 1) for c in (0, 1)], dtype=torch.int32)
