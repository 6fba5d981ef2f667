"""Seeded draws shared by the synthesis: every sample comes from one generator, so a seed fixes a pair."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def generator(*seeds: int, device: torch.device | str = "cpu") -> Generator:
    """A generator that depends on every number given, such as (seed of the run, index of the pair), and its device."""
    state = 0
    for seed in seeds:
        # Any odd multiplier spreads neighbours apart; the mask keeps what manual_seed accepts.
        state = (state * 6364136223846793005 + int(seed) + 1442695040888963407) & 0x7FFFFFFFFFFFFFFF
    return Generator(device).manual_seed(state)


def uniform(low: float, high: float, g: Generator) -> float:
    """One number from U(low, high)."""
    return low + (high - low) * float(torch.rand((), generator=g))


def integer(low: int, high: int, g: Generator) -> int:
    """One whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=g))


def chance(probability: float, g: Generator) -> bool:
    """True with the given probability."""
    return float(torch.rand((), generator=g)) < probability


def upsample(grid: Tensor, shape: Sequence[int]) -> Tensor:
    """Linear interpolation of a grid `(B, C, d, h, w)` whose corner nodes lie on the volume's corner voxels."""
    return F.interpolate(grid, size=tuple(shape), mode="trilinear", align_corners=True)


def smooth_noise(shape: Sequence[int], nodes: int | Sequence[int], g: Generator, channels: int = 1) -> Tensor:
    """Standard normal nodes, linearly interpolated: shape `(1, channels, *shape)`."""
    nodes = (nodes,) * 3 if isinstance(nodes, int) else tuple(nodes)
    return upsample(torch.randn((1, channels, *nodes), generator=g), shape)
