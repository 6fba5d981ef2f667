"""Losses of pretraining: Dice (Eq. 2), gradient (Eq. 3) and the end-point error to the known displacement."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.synthesis.pairs import SyntheticPair
from RobustDIRLib.training.config import LossConfig

_SMOOTHING = 1e-5
_WEIGHT_OUTSIDE = 0.1


def dice_loss(warped: Tensor, fixed: Tensor) -> Tensor:
    """One minus the mean Dice of the labels that are present in either map (Eq. 2).

    Labels absent from both maps are left out; with Eq. 2's smoothing they would count as perfect.

    Args:
        warped: Warped one-hot moving labels, shape `(B, J, D, H, W)`, in [0, 1].
        fixed: One-hot fixed labels, the same shape.
    """
    overlap = (warped * fixed).sum(warping.SPATIAL)
    volume = (warped + fixed).sum(warping.SPATIAL)
    dice = (2 * overlap + _SMOOTHING) / (volume + _SMOOTHING)
    return 1 - dice[volume > 0].mean()


def gradient_loss(displacement: Tensor) -> Tensor:
    """Mean L2 norm of the displacement's gradient over voxels (Eq. 3); displacement `(B, 3, D, H, W)`, voxels."""
    gradient = warping.displacement_gradient(displacement)
    return (gradient.square().sum((1, 2)) + 1e-8).sqrt().mean()


def end_point_error(displacement: Tensor, truth: Tensor) -> Tensor:
    """Mean length of the difference of two displacements `(B, 3, D, H, W)`, in their voxels.

    Points whose match lies beyond the border of the other image count a tenth: nothing there can be recognised, and all
    they can teach is to continue smoothly.
    """
    last = torch.tensor(truth.shape[2:], device=truth.device).view(1, 3, 1, 1, 1) - 0.5
    match = warping.identity_grid(truth.shape[2:], device=truth.device) + truth
    visible = ((match > -0.5) & (match < last)).all(1)
    weight = torch.where(visible, 1.0, _WEIGHT_OUTSIDE)
    # The square root's slope is unbounded at zero; a hundredth of a voxel bounds it.
    distance = ((displacement - truth).square().sum(1) + 1e-4).sqrt()
    # Each pair by itself, so that a batch's gradient is the mean of its pairs' gradients.
    return ((weight * distance).sum((1, 2, 3)) / weight.sum((1, 2, 3))).mean()


def level_errors(levels: Sequence[Deformation], truth: Deformation) -> list[Tensor]:
    """End-point error of every level against the truth on that level's grid, both directions' mean, in truth's voxels.

    Args:
        levels: As a network's `levels` gives them, each in voxels of its own grid.
        truth: Exact displacement and inverse, on any grid that shares the outer border.
    """
    errors = []
    for level in levels:
        shape = level.displacement.shape[2:]
        scale = truth.displacement.shape[2] / shape[0]
        pairs = zip(level, truth, strict=True)
        errors.append(
            torch.stack([end_point_error(u, warping.resize_displacement(t, shape)) for u, t in pairs]).mean() * scale
        )
    return errors


def one_hot(labels: Tensor, chosen: Tensor) -> Tensor:
    """Membership of each voxel in the chosen labels: `(B, 1, D, H, W)` to `(B, J, D, H, W)`."""
    return (labels == chosen.view(1, -1, 1, 1, 1)).float()


def _label_loss(level: Deformation, pair: SyntheticPair) -> Tensor:
    shape = [int(n) for n in level.displacement.shape[2:]]
    chosen = torch.unique(pair.fixed_labels)
    moving, fixed = (
        F.adaptive_avg_pool3d(one_hot(labels, chosen), shape)  # type: ignore[arg-type]
        for labels in (pair.moving_labels, pair.fixed_labels)
    )
    return dice_loss(warping.warp(moving, level.displacement), fixed)


def pretraining_loss(levels: Sequence[Deformation], pair: SyntheticPair, config: LossConfig) -> tuple[Tensor, Tensor]:
    """Weighted sum of the terms, and the finest level's end-point error on its own (in the truth's voxels)."""
    errors = level_errors(levels, pair.truth)
    loss = torch.zeros(())
    for age, error in enumerate(reversed(errors)):
        loss = loss.to(error) + config.end_point * config.level_decay**age * error
    if config.dice:
        loss = loss + config.dice * _label_loss(levels[-1], pair)
    if config.gradient:
        loss = loss + config.gradient * gradient_loss(levels[-1].displacement)
    return loss, errors[-1].detach()
