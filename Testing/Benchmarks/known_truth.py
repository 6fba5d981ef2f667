"""Pairs made from real anatomy with a known deformation, for the accuracy tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.io.landmarks import Landmarks
from RobustDIRLib.synthesis.intensities import box_mean
from RobustDIRLib.synthesis.random import generator, smooth_noise

# FreeSurfer labels, left and right: brightness in a T1, about.
T1_LEFT = {
    2: 0.9, 3: 0.6, 4: 0.2, 5: 0.2, 7: 0.85, 8: 0.6, 10: 0.75, 11: 0.65, 12: 0.7, 13: 0.78, 14: 0.2, 15: 0.2,
    16: 0.8, 17: 0.6, 18: 0.6, 24: 0.15, 26: 0.65, 28: 0.78, 72: 0.2, 85: 0.85,
}  # fmt: skip
T1_RIGHT = {
    41: 0.9, 42: 0.6, 43: 0.2, 44: 0.2, 46: 0.85, 47: 0.6, 49: 0.75, 50: 0.65, 51: 0.7, 52: 0.78, 53: 0.6, 54: 0.6,
    58: 0.65, 60: 0.78,
}  # fmt: skip
T1 = {**T1_LEFT, **T1_RIGHT}


def smooth_displacement(shape: Sequence[int], seed: int, strength: float) -> Tensor:
    """A random invertible displacement `(1, 3, D, H, W)`, voxels, with parts of 24, 48 and 96 voxels' wavelength."""
    g, half = generator(seed), [n // 2 for n in shape]
    parts = ((24, 0.35), (48, 0.7), (96, 1.0))
    velocity = sum(
        (smooth_noise(half, [max(2, round(n / s)) for n in shape], g, 3) * w * strength / 2 for s, w in parts),
        torch.zeros(1, 3, *half),
    )
    return warping.resize_displacement(warping.integrate_velocity(velocity), shape)


def paint(labels: NDArray[np.integer], brightness: dict[int, float], seed: int, noise: float = 0.04) -> Image:
    """Grey values for a label map: one brightness a label, partial volume at the borders, noise inside."""
    values = torch.zeros(int(max(labels.max(), max(brightness))) + 1)
    for label, value in brightness.items():
        values[label] = value
    index = torch.from_numpy(labels.astype(np.int64))
    image = box_mean(values[index][None, None], 1)[0, 0]
    image = image + noise * torch.randn(image.shape, generator=generator(seed)) * (index > 0)
    return Image(image.numpy(), Grid(tuple(labels.shape)))


def random_brightness(labels: Sequence[int], seed: int) -> dict[int, float]:
    """A contrast no scanner has: every label its own brightness."""
    g = generator(seed)
    return {label: 0.1 + 0.9 * float(torch.rand((), generator=g)) for label in labels}


def warp_labels(labels: NDArray[np.integer], displacement: Tensor) -> NDArray[np.integer]:
    """The label map under a displacement, nearest voxel."""
    tensor = torch.from_numpy(labels.astype(np.float32))[None, None]
    return warping.warp(tensor, displacement, mode="nearest")[0, 0].numpy().astype(labels.dtype)


def true_landmarks(
    grid: Grid, where: NDArray[np.bool_], displacement: Tensor, seed: int, count: int = 2000
) -> tuple[Landmarks, Landmarks]:
    """Random voxels inside a mask of the fixed image, and the points the displacement takes them to."""
    voxels = np.argwhere(where)
    chosen = voxels[np.random.default_rng(seed).choice(len(voxels), min(count, len(voxels)), replace=False)]
    moved = chosen + displacement[0].numpy()[:, chosen[:, 0], chosen[:, 1], chosen[:, 2]].T
    inside = grid.contains(grid.points_from_voxels(moved))
    names = tuple(str(i) for i in range(int(inside.sum())))
    return (
        Landmarks(grid.points_from_voxels(chosen[inside]), names),
        Landmarks(grid.points_from_voxels(moved[inside]), names),
    )
