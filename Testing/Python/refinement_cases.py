"""Pairs of textured images under a known deformation, for the refinement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.synthesis.random import generator, smooth_noise

SHAPE = (29, 38, 33)  # odd and even sides, none alike
SPACING = (1.5, 1.2, 1.3)


class Known(NamedTuple):
    """Fixed and moving image, and the displacement between them, voxels."""

    fixed: Tensor
    moving: Tensor
    truth: Tensor


def texture(shape: Sequence[int] = SHAPE, seed: int = 0) -> Tensor:
    """Blobs of several sizes in [-1, 1]."""
    g = generator(seed)
    parts = (smooth_noise(shape, [max(2, round(n / s)) for n in shape], g, 1) * w for s, w in ((4, 0.35), (9, 0.5)))
    return sum(parts, torch.zeros(1, 1, *shape)).clamp(-1, 1)


def smooth_velocity(shape: Sequence[int] = SHAPE, seed: int = 1, strength: float = 1.2) -> Tensor:
    """Voxels; blobs of about 14 voxels."""
    return strength * smooth_noise(shape, [max(2, round(n / 14)) for n in shape], generator(seed), 3)


def known_pair(shape: Sequence[int] = SHAPE, strength: float = 1.2, velocity: Tensor | None = None) -> Known:
    """A texture and itself under a deformation: `fixed(x) = moving(x + u(x))`."""
    moving = texture(shape)
    truth = warping.integrate_velocity(smooth_velocity(shape, strength=strength) if velocity is None else velocity)
    return Known(warping.warp(moving, truth), moving, truth)


def standing_still(shape: Sequence[int] = SHAPE) -> Deformation:
    """No motion."""
    return Deformation(torch.zeros(1, 3, *shape), torch.zeros(1, 3, *shape))


def error(found: Tensor, truth: Tensor, margin: int = 5) -> float:
    """Mean distance, voxels, off the border."""
    inside = (slice(None), slice(None), *(slice(margin, -margin),) * 3)
    return float((found - truth)[inside].norm(dim=1).mean())
