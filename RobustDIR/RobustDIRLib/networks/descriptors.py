"""What an image looks like whatever its contrast: local self-similarity."""

from __future__ import annotations

import torch
from torch import Tensor

from RobustDIRLib.networks.mirrors import mirror

STEPS = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))
_FLOOR = 1e-4


def _triples(x: Tensor, axis: int) -> Tensor:
    """Sums of three neighbours along an axis, which gets two shorter."""
    length = x.shape[axis] - 2
    return x.narrow(axis, 0, length) + x.narrow(axis, 1, length) + x.narrow(axis, 2, length)


def _distances(image: Tensor, axis: int) -> list[Tensor]:
    """Summed squared differences of patches a step forward and a step backward along an axis, border values outside.

    A step back from one voxel is a step forward from the one before, so that both share their squares and most of the
    sums; they differ only in what repeats beyond the border.
    """
    squares = image.diff(dim=axis).square()
    for other in {2, 3, 4} - {axis}:
        first, last = squares.narrow(other, 0, 1), squares.narrow(other, squares.shape[other] - 1, 1)
        squares = _triples(torch.cat([first, squares, last], other), other)
    count = squares.shape[axis]
    shape = list(squares.shape)
    shape[axis] = 2 if count else 3
    still = squares.new_zeros(shape)
    first, last = squares.narrow(axis, 0, min(count, 1)), squares.narrow(axis, max(count - 1, 0), min(count, 1))
    forward, backward = [first, squares, still], [still, squares, last]
    return [_triples(torch.cat(parts, axis), axis) for parts in (forward, backward)]


def self_similarity(image: Tensor) -> Tensor:
    """How alike each voxel's patch is to those of its six neighbours: MIND (Heinrich et al. 2012).

    `exp(-D_k / V)`, where D_k is the mean squared difference of the 3x3x3 patches a step k apart and V the mean of the
    six D_k. Inverting or stretching the grey values changes nothing, which is what lets unlike contrasts be compared.

    Args:
        image: Shape `(B, 1, D, H, W)`.
    Returns:
        Shape `(B, 6, D, H, W)`, in (0, 1], channels along z, y, x, forward then backward.
    """
    distance = torch.cat([d for axis in range(2, 5) for d in _distances(image, axis)], 1) / 27
    # Where nothing changes there is no scale to measure by; the floor is that of noise one percent of the range.
    scale = distance.mean(1, keepdim=True).clamp_min(_FLOOR)
    return torch.exp(-distance / scale)


def mirror_similarity(similarity: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The `self_similarity` of the mirrored image (axes z, y, x as 0, 1, 2), from that of the image."""
    if not axes:
        return similarity
    channels = [k ^ 1 if k // 2 in axes else k for k in range(len(STEPS))]  # forward becomes backward
    return mirror(similarity[:, channels], axes)
