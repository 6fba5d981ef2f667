"""Refinement of one pair: from a network's result to what the images themselves say, coarse to fine.

Each level moves the middle between both images by `exp` of a stationary velocity, which cannot fold, and is kept only
if the images' self-similarity, which it does not optimise, agrees better afterwards. Fixed and moving image are treated
alike in everything, so that exchanging them gives the inverse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.registration.refinement.judge import Judge
from RobustDIRLib.registration.refinement.middle import Halves, half_shape, warp_to
from RobustDIRLib.registration.refinement.optimise import LevelProblem, optimise
from RobustDIRLib.registration.refinement.settings import Level
from RobustDIRLib.registration.refinement.sliding import MOSTLY

# Agreement of local correlations, of either sign, from which they measure alignment. One contrast has 0.98 and more, CT
# and MRI -0.4 and -0.7; unrelated grey values of brain structures 0.77, -0.26, -0.38 and -0.86, and there refining
# harmed: 0.6 mm became 1.6.
ALIKE = 0.9
# Before the network one contrast has 0.86 and more where the linear alignment is good.
_PROMISING = 0.8
# Unlikeness falls by 10 to 40 % at the first level where refining helps (by 10 to 12 % in coarse images, whose levels
# are stiff) and by 7 % where it harms although correlations have one sign (structures of unrelated brightness: 1.5 mm
# became 2.2).
_FIRST_GAIN = 0.09
_GAIN = 0.002
# Levels are at least as stiff as `generic`'s where dark is bright in the other image: two contrasts say less of a place
# than one. In the demo, which is such a pair, errors are 0.68 mm, 2.81 at most; as stiff as for one contrast 0.84 and
# 4.02.
_STIFFNESS_OF_OPPOSITES = 1.0
_TRIES = 6  # each half as violent around what folds
# So many may fold more than before, of all that are looked at: a few in millions, which stay however calm it is around
# them, must not cost the rest its gain.
_FOLDING = 2e-6
_SMALLEST_SIDE = 6


@dataclass(frozen=True)
class WorkingPair:
    """What is refined; tensors `(1, 1, D, H, W)` on the working grid, in main memory.

    Attributes:
        fixed: In [-1, 1].
        moving: In [-1, 1], after the linear alignment.
        spacing: Sides of a voxel, mm, z, y, x.
        fixed_mask: 0 to 1, how much a place of the fixed image counts; everything alike if None.
        moving_mask: Likewise.
        sliding: What slides along the rest of the fixed and of the moving image, 1 there and 0 elsewhere, each at half
            the working resolution; nothing does if None.
    """

    fixed: Tensor
    moving: Tensor
    spacing: tuple[float, ...]
    fixed_mask: Tensor | None = None
    moving_mask: Tensor | None = None
    sliding: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class Patience:
    """When to end early, with the best result so far.

    Attributes:
        seconds: Of wall time for all levels; None for as long as it takes.
        enough: Asked often; true ends the refinement.
        level: Told of every level as it begins: its number from 1, and how many there are.
    """

    seconds: float | None = None
    enough: Callable[[], bool] = bool
    level: Callable[[int, int], None] = lambda number, count: None


@dataclass
class _Clock:
    patience: Patience
    begun: float = field(default_factory=time.perf_counter)
    ended: str | None = None

    def __call__(self) -> bool:
        """Whether to end, and why."""
        if self.ended is None:
            over = self.patience.seconds is not None and time.perf_counter() - self.begun > self.patience.seconds
            self.ended = "asked" if self.patience.enough() else "budget" if over else None
        return self.ended is not None


@dataclass(frozen=True)
class Refinement:
    """What came of it.

    Attributes:
        deformation: On the working grid; the network's own where nothing was kept.
        record: What was done, ready for JSON: `similarity`, `agreement`, `levels`, `ended`.
        seconds: Of wall time.
    """

    deformation: Deformation
    record: dict[str, Any]
    seconds: float


def refine(
    pair: WorkingPair, deformation: Deformation, levels: Sequence[Level], patience: Patience | None = None
) -> Refinement:
    """Refine a deformation.

    Args:
        pair: Images and masks.
        deformation: Displacement and inverse on the working grid, voxels, `(1, 3, D, H, W)`.
        levels: Coarse to fine.
        patience: When to end early.
    Returns:
        The deformation after the levels that helped. With unlike contrasts, whose local correlations have no common
        sign, nothing is done, since no measure tried made such pairs better; opposite contrasts are refined stiffly.
        Masks that lie apart leave nothing to look at.
    """
    clock = _Clock(patience or Patience())
    start = halves = Halves.of(deformation)
    weight = _weight(pair, halves)
    images = (pair.fixed, pair.moving)
    judge = Judge(images, weight)
    agreement = judge.agreement(halves)
    record: dict[str, Any] = {"similarity": "local correlation", "agreement": agreement, "levels": []}
    if abs(agreement) < ALIKE:
        record["similarity"] = "none"
        ended = "unlike" if weight is None or bool(weight.any()) else "apart"
        return Refinement(deformation, {**record, "ended": ended}, time.perf_counter() - clock.begun)
    levels = _fitting(levels, pair.fixed.shape[2:], agreement)
    for number, level in enumerate(levels, 1):
        if clock():
            break
        clock.patience.level(number, len(levels))
        problem = LevelProblem(images, pair.spacing, halves, level, weight, _inside(pair, halves))
        halves, told = _after_level(problem, judge, clock, _GAIN if number > 1 else _FIRST_GAIN)
        record["levels"].append(told)
        if number == 1 and not told["kept"]:
            clock.ended = clock.ended or "no gain"
            break
    result = deformation if halves is start else halves.settled().whole()
    return Refinement(result, {**record, "ended": clock.ended}, time.perf_counter() - clock.begun)


def _fitting(levels: Sequence[Level], shape: Sequence[int], agreement: float) -> list[Level]:
    """The levels whose voxels are small enough for the images, stiffer where dark is bright in the other image."""
    kept = [level for level in levels if min(shape) >= _SMALLEST_SIDE * level.factor]
    if agreement >= 0:
        return kept
    return [replace(level, stiffness=max(level.stiffness, _STIFFNESS_OF_OPPOSITES)) for level in kept]


def _after_level(problem: LevelProblem, judge: Judge, clock: _Clock, gain: float) -> tuple[Halves, dict[str, Any]]:
    """The halves after a level, or those before it where unlikeness falls by less than the gain; and what was done."""
    begun, level = time.perf_counter(), problem.level
    coefficients, steps = optimise(problem, clock)
    unlikeness = judge.unlikeness(problem.halves, level.factor)
    found, after, reason = _verdict(problem, coefficients, judge, unlikeness * (1 - gain))
    told = {
        "factor": level.factor,
        "stiffness": level.stiffness,
        "steps": steps,
        "unlikeness_before": unlikeness,
        "unlikeness_after": after,
        "kept": not reason,
        "reason": reason or "the images agree better",
        "seconds": round(time.perf_counter() - begun, 3),
    }
    return problem.halves if reason else found, told


def promising(fixed: Tensor, moving: Tensor) -> bool:
    """Whether refinement will find anew what a network leaves to it in images `(1, 1, D, H, W)`, as they lie: a guess.

    Opposite contrasts are refined too stiffly for that: the demo's largest error would be 3.5 mm instead of 2.8.
    """
    still = torch.zeros(2, 3, *half_shape(fixed.shape[2:]))
    return Judge((fixed, moving)).agreement(Halves(still, still, tuple(fixed.shape[2:]))) >= _PROMISING


def _verdict(problem: LevelProblem, coefficients: Tensor, judge: Judge, needed: float) -> tuple[Halves, float, str]:
    """The halves after a level, calmed where it folds, their unlikeness, and why they are not kept, or nothing."""
    found, most = problem.halves, problem.halves.folds() + int(_FOLDING * 2 * problem.halves.out.numel() / 3)
    for _ in range(_TRIES):
        found = problem.moved(coefficients).settled()
        if found.folds() <= most:
            break
        coefficients = problem.calmed(coefficients, found.folded())
    else:
        return problem.halves, judge.unlikeness(problem.halves, problem.level.factor), "it would fold"
    after = judge.unlikeness(found, problem.level.factor)
    return found, after, "" if after < needed else "the images do not agree clearly better"


def _weight(pair: WorkingPair, halves: Halves) -> Tensor | None:
    """Of both masks, in the middle, at half resolution."""
    shape, weight = half_shape(pair.fixed.shape[2:]), None
    for mask, half in zip((pair.fixed_mask, pair.moving_mask), halves.out, strict=True):
        if mask is not None:
            moved = warp_to(warping.resize(mask, shape), half)[None, None]
            weight = moved if weight is None else weight * moved
    return weight


def _inside(pair: WorkingPair, halves: Halves) -> Tensor | None:
    """How much of a place of the middle slides along the rest, by both images; None if nothing does."""
    if pair.sliding is None:
        return None
    fixed, moving = (warp_to(part, half) for part, half in zip(pair.sliding, halves.out, strict=True))
    inside = ((fixed + moving) / 2)[None, None]
    return inside if bool((inside > MOSTLY).any()) else None


def tensor(array: Any) -> Tensor:
    """An image's array as `(1, 1, D, H, W)`."""
    return torch.tensor(array, dtype=torch.float32)[None, None]
