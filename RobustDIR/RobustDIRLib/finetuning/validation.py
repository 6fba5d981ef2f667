"""What a network makes of fixed pairs: Dice, TRE, folding, and the loss it is taught with."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from RobustDIRLib import warping
from RobustDIRLib.finetuning.losses import common_labels, landmark_errors
from RobustDIRLib.finetuning.pairs import TrainingPair
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.networks.precision import autocast

# None of a pair that has nothing of what is taught: a loss of 0 would be the best there is.
Loss = Callable[[Deformation, TrainingPair], Tensor | None]
MEASURES = ("dice", "tre_mm", "folding_percent", "loss")


def dice(pair: TrainingPair, displacement: Tensor) -> float | None:
    """Mean Dice of the labels that both images hold, the moving map warped to the nearest voxel; None without any."""
    labels = common_labels(pair)
    if not len(labels):
        return None
    assert pair.fixed_labels is not None and pair.moving_labels is not None
    warped = warping.warp(pair.moving_labels.float(), displacement, mode="nearest").round().to(torch.int32)
    scores = []
    for label in labels:
        a, b = pair.fixed_labels == label, warped == label
        scores.append(2 * int((a & b).sum()) / int(a.sum() + b.sum()))
    return sum(scores) / len(scores)


def measure(pair: TrainingPair, deformation: Deformation, loss: Loss | None = None) -> dict[str, float]:
    """The measures of one pair, those that it has the truth for."""
    u, value = deformation.displacement, None if loss is None else loss(deformation, pair)
    found = {
        "dice": dice(pair, u),
        "tre_mm": None if pair.fixed_points is None else float(landmark_errors(u, pair).mean()),
        "folding_percent": 100 * float((warping.jacobian_determinant(u) <= 0).float().mean()),
        "loss": None if value is None else float(value),
    }
    return {name: value for name, value in found.items() if value is not None}


@torch.no_grad()
def validate(
    network: nn.Module | None, pairs: Iterable[TrainingPair], loss: Loss | None, precision: str, device: torch.device
) -> list[dict[str, float]]:
    """The measures of every pair.

    Args:
        network: Any network, in evaluation mode; None measures the linear alignment alone.
        pairs: On any device.
        loss: Measured as well if given.
        precision: Of the convolutions.
        device: Where the network computes.
    """
    found = []
    for pair in pairs:
        there = pair.to(device)
        if network is None:
            u = there.fixed.new_zeros((1, 3, *there.fixed.shape[2:]))
            found.append(measure(there, Deformation(u, u), loss))
            continue
        with autocast(precision, device):
            deformation = network(there.fixed, there.moving)
        found.append(measure(there, Deformation(*(u.float() for u in deformation)), loss))
    return found


def mean_measures(found: Iterable[dict[str, float]]) -> dict[str, float]:
    """Mean over pairs of each measure, over those that have it."""
    rows = list(found)
    held = {name: [row[name] for row in rows if name in row] for name in MEASURES}
    return {name: sum(values) / len(values) for name, values in held.items() if values}
