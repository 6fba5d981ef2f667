"""What an image looks like whatever its contrast: local self-similarity."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from RobustDIRLib.networks.mirrors import mirror

STEPS = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))
_FLOOR = 1e-4


def self_similarity(image: Tensor) -> Tensor:
    """How alike each voxel's patch is to those of its six neighbours: MIND (Heinrich et al. 2012).

    `exp(-D_k / V)`, where D_k is the mean squared difference of the 3x3x3 patches a step k apart and V the mean of the
    six D_k. Inverting or stretching the grey values changes nothing, which is what lets unlike contrasts be compared.

    Args:
        image: Shape `(B, 1, D, H, W)`.
    Returns:
        Shape `(B, 6, D, H, W)`, in (0, 1], channels along z, y, x, forward then backward.
    """
    padded = F.pad(image, (1,) * 6, mode="replicate")
    depth, height, width = image.shape[2:]
    distances = []
    for z, y, x in STEPS:
        moved = padded[..., 1 + z : 1 + z + depth, 1 + y : 1 + y + height, 1 + x : 1 + x + width]
        squares = F.pad((moved - image).square(), (1,) * 6, mode="replicate")
        distances.append(F.avg_pool3d(squares, 3, 1))
    distance = torch.cat(distances, 1)
    # Where nothing changes there is no scale to measure by; the floor is that of noise one percent of the range.
    scale = distance.mean(1, keepdim=True).clamp_min(_FLOOR)
    return torch.exp(-distance / scale)


def mirror_similarity(similarity: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The `self_similarity` of the mirrored image (axes z, y, x as 0, 1, 2), from that of the image."""
    if not axes:
        return similarity
    channels = [k ^ 1 if k // 2 in axes else k for k in range(len(STEPS))]  # forward becomes backward
    return mirror(similarity[:, channels], axes)
