"""Mirrored copies of images and displacements, to average over what a network makes of each."""

from __future__ import annotations

import torch
from torch import Tensor

# Axes z, y, x as 0, 1, 2. The first 1, 2, 4 and 8 are groups: mirroring the images by one of a group only exchanges its
# members, so that the average over them is mirrored too. Of two, the opposite corner differs most from no mirroring.
MIRRORS: tuple[tuple[int, ...], ...] = ((), (0, 1, 2), (2,), (0, 1), (1,), (0, 2), (0,), (1, 2))


def mirror(image: Tensor, axes: tuple[int, ...]) -> Tensor:
    """An image `(B, C, D, H, W)` with the given axes reversed."""
    return image.flip([axis + 2 for axis in axes]) if axes else image


def mirror_displacement(displacement: Tensor, axes: tuple[int, ...]) -> Tensor:
    """A displacement or velocity `(B, 3, D, H, W)`, channels z, y, x, as the mirrored images have it."""
    if not axes:
        return displacement
    signs = displacement.new_tensor([-1.0 if axis in axes else 1.0 for axis in range(3)])
    return torch.mul(mirror(displacement, axes), signs[:, None, None, None])
