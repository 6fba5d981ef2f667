"""The loss of a pair: weighted terms over what the pair has (Eq. 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Generator, Tensor

from RobustDIRLib import warping
from RobustDIRLib.finetuning.config import LossWeights
from RobustDIRLib.finetuning.pairs import TrainingPair
from RobustDIRLib.finetuning.similarity import local_ncc_loss, mind_loss, nmi_loss
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.training.losses import dice_loss, gradient_loss, one_hot

# By their names in `LossWeights`: what is taught of the fixed and the warped image, both `(1, 1, D, H, W)` in [-1, 1].
SIMILARITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "nmi": nmi_loss,
    "local_ncc": local_ncc_loss,
    "mind": mind_loss,
}


def resolve_terms(weights: LossWeights, labelled: bool) -> LossWeights:
    """The weights with automatic terms chosen: Dice where there are labels, else local NCC."""
    if not weights.automatic:
        return weights
    return replace(weights, dice=1.0) if labelled else replace(weights, local_ncc=1.0)


def common_labels(pair: TrainingPair) -> Tensor:
    """Labels, ascending, that both maps of the pair hold, background left out; empty without maps."""
    if pair.fixed_labels is None or pair.moving_labels is None:
        return torch.empty(0, dtype=torch.int32)
    fixed, moving = (torch.unique(labels) for labels in (pair.fixed_labels, pair.moving_labels))
    found: Tensor = fixed[torch.isin(fixed, moving) & (fixed != 0)]
    return found


def teaches(pair: TrainingPair, weights: LossWeights) -> bool:
    """Whether a pair has what any term but smoothness looks at: two people may share no label."""
    if any(getattr(weights, name) for name in SIMILARITIES):
        return True
    labels = bool(weights.dice) and len(common_labels(pair)) > 0
    return labels or (bool(weights.landmarks) and pair.fixed_points is not None)


def pair_loss(deformation: Deformation, pair: TrainingPair, weights: LossWeights, g: Generator, both: bool) -> Tensor:
    """Loss of what a network made of a pair.

    Args:
        deformation: At the resolution of the pair.
        pair: The pair.
        weights: Of the terms.
        g: Draws which labels are looked at, where there are more than `weights.labels`.
        both: Whether moving to fixed counts as well.
    Returns:
        0 where the pair has nothing to learn from (`teaches`): smoothness alone would teach to move nothing.
    """
    if not teaches(pair, weights):
        return 0 * deformation.displacement.sum()
    chosen = _chosen_labels(pair, weights, g)
    forward = _one_way(deformation.displacement, pair, weights, chosen)
    if not both:
        return forward
    return (forward + _one_way(deformation.inverse, _swapped(pair), weights, chosen)) / 2


def _chosen_labels(pair: TrainingPair, weights: LossWeights, g: Generator) -> Tensor:
    common = common_labels(pair)
    if not weights.dice or len(common) <= weights.labels:
        return common
    order = torch.randperm(len(common), generator=g)[: weights.labels].to(common.device)
    return common[order].sort().values


def _swapped(pair: TrainingPair) -> TrainingPair:
    return replace(
        pair,
        fixed=pair.moving,
        moving=pair.fixed,
        fixed_labels=pair.moving_labels,
        moving_labels=pair.fixed_labels,
        fixed_points=pair.moving_points,
        moving_points=pair.fixed_points,
    )


def _one_way(displacement: Tensor, pair: TrainingPair, weights: LossWeights, chosen: Tensor) -> Tensor:
    loss = displacement.new_zeros(())
    if weights.dice and len(chosen):
        assert pair.fixed_labels is not None and pair.moving_labels is not None
        moving, fixed = (one_hot(labels, chosen) for labels in (pair.moving_labels, pair.fixed_labels))
        loss = loss + weights.dice * dice_loss(warping.warp(moving, displacement), fixed)
    similarities = {name: getattr(weights, name) for name in SIMILARITIES}
    if any(similarities.values()):
        warped = warping.warp(pair.moving, displacement)
        for name, weight in similarities.items():
            if weight:
                loss = loss + weight * SIMILARITIES[name](pair.fixed, warped)
    if weights.landmarks and pair.fixed_points is not None:
        loss = loss + weights.landmarks * landmark_errors(displacement, pair).mean()
    if weights.gradient:
        loss = loss + weights.gradient * gradient_loss(displacement)
    return loss


def landmark_errors(displacement: Tensor, pair: TrainingPair) -> Tensor:
    """TRE of the pair's landmarks, shape `(N,)`, mm; the displacement is linear between voxels, as in `register`."""
    assert pair.fixed_points is not None and pair.moving_points is not None
    points = pair.fixed_points.T.reshape(1, 3, 1, 1, -1)
    led = pair.fixed_points + warping.sample(displacement, points)[0, :, 0, 0].T
    difference = (led - pair.moving_points) @ pair.to_mm.T
    return (difference.square().sum(1) + 1e-8).sqrt()
