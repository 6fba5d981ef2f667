"""Accuracy on fixed synthetic pairs whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from RobustDIRLib import warping
from RobustDIRLib.synthesis.pairs import SyntheticPair
from RobustDIRLib.training.losses import dice_loss, one_hot


def _full_truth(pair: SyntheticPair) -> Tensor:
    return warping.resize_displacement(pair.truth.displacement, pair.fixed.shape[2:])


def _dice(pair: SyntheticPair, displacement: Tensor) -> float:
    chosen = torch.unique(pair.fixed_labels)
    warped = warping.warp(pair.moving_labels.float(), displacement, mode="nearest")
    return 1 - float(dice_loss(one_hot(warped, chosen), one_hot(pair.fixed_labels, chosen)))


@torch.no_grad()
def validate(network: nn.Module, pairs: Sequence[SyntheticPair]) -> dict[str, float]:
    """Mean over pairs of what the network leaves of the error.

    Args:
        network: Any network; put it in evaluation mode first.
        pairs: Fixed pairs, on the network's device.
    Returns:
        `error` and `error_before`: mean distance to the exact displacement, voxels of the image; `dice` and
        `dice_before`: mean over labels; `folding`: share of voxels with a non-positive Jacobian determinant, %.
    """
    sums = dict.fromkeys(("error", "error_before", "dice", "dice_before", "folding"), 0.0)
    for pair in pairs:
        u = network(pair.fixed, pair.moving).displacement
        truth = _full_truth(pair)
        sums["error"] += float((u - truth).norm(dim=1).mean())
        sums["error_before"] += float(truth.norm(dim=1).mean())
        sums["dice"] += _dice(pair, u)
        sums["dice_before"] += _dice(pair, torch.zeros_like(u))
        sums["folding"] += 100 * float((warping.jacobian_determinant(u) <= 0).float().mean())
    return {key: value / max(len(pairs), 1) for key, value in sums.items()}
