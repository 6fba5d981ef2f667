"""What a network can do that was never part of its fine-tuning: fixed synthetic pairs with known truth.

A fine-tuned network that has become worse at these has forgotten something of what pretraining taught it.
"""

from __future__ import annotations

from functools import lru_cache

from torch import nn

from RobustDIRLib.synthesis.deformations import DeformationConfig
from RobustDIRLib.synthesis.intensities import CorruptionConfig, IntensityConfig
from RobustDIRLib.synthesis.kinds import LabelMapConfig, sample_label_map
from RobustDIRLib.synthesis.pairs import PairConfig, SyntheticPair, synthesize_pair
from RobustDIRLib.synthesis.random import generator
from RobustDIRLib.training.validation import validate

_SIDE, _COUNT, _SEED = 64, 4, 20250601
_PAIRS = PairConfig(
    side=_SIDE,
    mirror=True,
    reduction=2,
    deformation=DeformationConfig(affine_probability=0.4, sigma_max=2.2, shift_sigma=3.0, calm_probability=0.35),
    intensity=IntensityConfig(contrast="mixed"),
    corruption=CorruptionConfig(partial_volume=0.5, bias_field=0.3, noise=0.3),
)


@lru_cache(maxsize=1)
def synthetic_pairs() -> tuple[SyntheticPair, ...]:
    """The pairs, always the same."""
    made = []
    for index in range(_COUNT):
        g = generator(_SEED, index)
        labels = sample_label_map(LabelMapConfig(("varied", "organs"), side=_SIDE), index, g)
        made.append(synthesize_pair(labels, _PAIRS, g))
    return tuple(made)


def synthetic_error(network: nn.Module) -> dict[str, float]:
    """Mean distance to the exact displacement, voxels, of a network in evaluation mode: `error`, `error_before`."""
    measures = validate(network, synthetic_pairs())
    return {name: measures[name] for name in ("error", "error_before")}
