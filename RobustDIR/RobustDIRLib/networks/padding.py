"""The padding that lets a network take images of any size."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

Region = tuple[slice, ...]


def pad_to_multiple(image: Tensor, multiple: int) -> tuple[Tensor, Region]:
    """Repeat the border until every side is a multiple of a number, half before and half after (the odd voxel after).

    Args:
        image: Shape `(B, C, D, H, W)`.
        multiple: What the sides shall be a multiple of.
    Returns:
        The padded image, and the region in which the original lies: `crop(padded, region)` gives it back.
    """
    missing = [-n % multiple for n in image.shape[2:]]
    before = [m // 2 for m in missing]
    region = tuple(slice(b, b + n) for b, n in zip(before, image.shape[2:], strict=True))
    if not any(missing):
        return image, region
    # F.pad counts from the last axis to the first.
    sides = [side for b, m in zip(reversed(before), reversed(missing), strict=True) for side in (b, m - b)]
    return F.pad(image, sides, mode="replicate"), region


def crop(tensor: Tensor, region: Region) -> Tensor:
    """The part of a tensor `(B, C, D, H, W)` that lies in a region of its grid, such as `pad_to_multiple` returns."""
    depth, height, width = region
    return tensor[..., depth, height, width]
