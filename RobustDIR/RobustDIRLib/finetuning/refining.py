"""Whether what a fine-tuned model gives is refined by default: measured on the pairs that chose the best epoch.

Refinement by intensities undoes what labels taught of borders that do not show, and helps elsewhere. It is decided on
the part `validation`, so that `test` is looked at once.
"""

from __future__ import annotations

from typing import Any

import torch

from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.finetuning.pairs import PairKey, TrainingPair
from RobustDIRLib.finetuning.run import Material
from RobustDIRLib.finetuning.validation import mean_measures, measure
from RobustDIRLib.geometry import Grid
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.networks.network import LearningNetwork, ways
from RobustDIRLib.networks.precision import autocast
from RobustDIRLib.presets import find_preset
from RobustDIRLib.registration.refinement.refine import WorkingPair, promising, refine
from RobustDIRLib.registration.refinement.settings import levels_for
from RobustDIRLib.synthesis.random import generator

_QUALITY = "balanced"
_MOST_PAIRS = 10  # a refinement takes longer than the network


@torch.inference_mode()
def judge_refinement(network: LearningNetwork, material: Material, config: FinetuneConfig) -> dict[str, Any] | None:
    """Compare a network's results with and without refinement, on the first validation pairs, in main memory.

    Args:
        network: In evaluation mode.
        material: Of the run.
        config: Of the run.
    Returns:
        `measure` (`dice`, or `tre_mm` where there are landmarks alone), its mean for the `network` alone and `refined`,
        the number of `pairs`, and `helps`; None where the pairs have no truth to judge by.
    """
    keys = (
        material.fixed_pairs("validation", min(config.validation_pairs, _MOST_PAIRS)) if config.validation_pairs else []
    )
    rows: dict[str, list[dict[str, float]]] = {"network": [], "refined": []}
    for index, key in enumerate(keys):
        pair, grid = material.maker.placed(key, generator(0, index))
        found = _run(network, pair, key, config.precision)
        rows["network"].append(measure(pair, found))
        refined = _refined(network, material, key, (pair, grid), config.precision)
        rows["refined"].append(rows["network"][-1] if refined is None else measure(pair, refined))
    means = {name: mean_measures(held) for name, held in rows.items()}
    name = next((name for name in ("dice", "tre_mm") if name in means["network"]), None)
    if name is None:
        return None
    alone, after = means["network"][name], means["refined"][name]
    helps = after >= alone if name == "dice" else after <= alone
    return {"measure": name, "network": alone, "refined": after, "pairs": len(keys), "helps": helps}


def _run(network: LearningNetwork, pair: TrainingPair, key: PairKey, precision: str, draft: int = -1) -> Deformation:
    """What `register` would take from the network."""
    known = ways(network, large_motion=find_preset(key.preset).large_motion, draft=draft)
    with autocast(precision, pair.fixed.device):
        deformation = network(pair.fixed, pair.moving, **known)
    return Deformation(*(u.float() for u in deformation))


def _refined(
    network: LearningNetwork, material: Material, key: PairKey, placed: tuple[TrainingPair, Grid], precision: str
) -> Deformation | None:
    """What `register` would make of a pair with refinement; None where it would keep the network's result."""
    preset, (pair, grid) = find_preset(key.preset), placed
    fixed, moving = (material.maker.store.get(scan, preset).image.grid for scan in (key.fixed, key.moving))
    levels = levels_for(_QUALITY, None, preset, grid, (fixed, moving))
    draft = preset.left_to_refinement if promising(pair.fixed, pair.moving) else -1
    start = _run(network, pair, key, precision, draft)
    found = refine(WorkingPair(pair.fixed, pair.moving, grid.spacing[::-1]), start, levels).deformation
    return None if found is start else found
