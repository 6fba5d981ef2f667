"""Everything a training run is defined by: one JSON file is one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from RobustDIRLib.configuration import refuse_seed, to_dict
from RobustDIRLib.synthesis.pairs import PairConfig

MOST_PROCESSES = 1024
# How long a run is, what it is watched by, and where it began: none of it changes a step but those at the end.
_OF_NO_CONSEQUENCE = {
    *("steps", "optimizer.decay_steps", "optimizer.final_share", "threads", "workers", "initial", "device"),
    *("log_every", "validate_every", "checkpoint_every", "validation_pairs", "validation_side"),
}
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms.

    Attributes:
        end_point: End-point error to the exact displacement, at every level.
        level_decay: Factor of the end-point error from each level to the next coarser one.
        dice: Dice loss of the labels (Eq. 2).
        gradient: Mean L2 norm of the displacement's gradient (Eq. 3); 0.75 in the paper.
    """

    end_point: float = 1.0
    level_decay: float = 0.5
    dice: float = 0.0
    gradient: float = 0.0

    def __post_init__(self) -> None:
        if min(self.end_point, self.level_decay, self.dice, self.gradient) < 0:
            raise ValueError("no weight may be negative")
        if max(self.end_point, self.dice, self.gradient) == 0:
            raise ValueError("at least one of end_point, dice and gradient must be above 0, or nothing is learnt")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with warm-up, a constant stretch and a linear decay, gradients clipped, weights averaged.

    Attributes:
        learning_rate: During the constant stretch.
        weight_decay: Of AdamW; with 0 it is Adam.
        warmup: Steps of linear increase from zero.
        decay_steps: The last steps, over which the rate falls linearly to `final_share` of it.
        final_share: See above.
        clip: Largest norm of the gradient; 0 for none.
        average: Decay of the exponential moving average of the weights, which is what is validated and published.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    warmup: int = 0
    decay_steps: int = 0
    final_share: float = 0.01
    clip: float = 0.0
    average: float = 0.999

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"the learning rate must be above 0, not {self.learning_rate:g}")
        if min(self.weight_decay, self.warmup, self.decay_steps, self.clip) < 0:
            raise ValueError("weight_decay, warmup, decay_steps and clip must not be negative")
        if not (0 <= self.final_share <= 1 and 0 <= self.average < 1):
            raise ValueError("final_share must be from 0 to 1, and average from 0 to below 1")


@dataclass(frozen=True)
class WideConfig:
    """Steps on wider pairs that teach the pyramid's coarsest levels alone, at about the price of a usual step.

    A crop of 64 voxels has 4 voxels a side at a sixteenth of the resolution: too few to learn what to do with whole
    bodies, which are 12 there.

    Attributes:
        every: Every so many steps one is wide; 0 for none.
        side: Voxels a side of its pairs.
        levels: How many of the coarsest levels learn from it.
    """

    every: int = 0
    side: int = 128
    levels: int = 2

    def __post_init__(self) -> None:
        if self.every < 0 or min(self.side, self.levels) < 1:
            raise ValueError("side and levels must be at least 1, and every not negative")

    def at(self, step: int) -> bool:
        """Whether step `step` (from 0) is wide."""
        return self.every > 0 and step % self.every == self.every - 1


@dataclass(frozen=True)
class TrainingConfig:
    """One pretraining run.

    Attributes:
        network: What `networks.build.build_network` takes.
        banks: Folders of label maps.
        pairs: What is synthesised from them.
        wide: Steps on wider pairs in between.
        loss: Weights of the loss terms.
        optimizer: Its settings.
        steps: Optimiser steps in all.
        batch: Pairs a step (and process).
        seed: Of the weights and of every pair.
        precision: auto, fp32, bf16 or fp16. auto is fp32 on a CPU without matrix units for bf16.
        device: auto (a graphics card where there is one), cpu or cuda.
        threads: Of the network; 0 leaves torch's choice.
        workers: Processes that synthesise ahead; 0 synthesises in between, on the device that learns.
        log_every, validate_every, checkpoint_every: Steps between records, validations, checkpoints.
        validation_pairs: Number of fixed validation pairs.
        validation_side: Voxels a side of those; 0 for that of the pairs.
        initial: Model file or checkpoint whose weights the run starts from.
    """

    network: dict[str, Any]
    banks: tuple[str, ...]
    pairs: PairConfig = field(default_factory=PairConfig)
    wide: WideConfig = field(default_factory=WideConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    steps: int = 100_000
    batch: int = 1
    seed: int = 0
    precision: str = "auto"
    device: str = "auto"
    threads: int = 0
    workers: int = 1
    log_every: int = 20
    validate_every: int = 500
    checkpoint_every: int = 200
    validation_pairs: int = 8
    validation_side: int = 0
    initial: str | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {self.precision!r}")
        if self.device not in DEVICES:
            raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {self.device!r}")
        counts = (self.steps, self.batch, self.log_every, self.validate_every, self.checkpoint_every)
        if min(counts) < 1 or min(self.workers, self.threads, self.validation_pairs, self.validation_side) < 0:
            raise ValueError("steps, batch and the intervals must be at least 1, and no number negative")
        if max(counts) >= 2**53:
            raise ValueError("numbers of steps must be below 2^53")
        refuse_seed(self.seed)
        if max(self.workers, self.threads) > MOST_PROCESSES:
            raise ValueError(f"workers and threads are at most {MOST_PROCESSES}")
        sides = {"validation_side": self.validation_side, **({"wide.side": self.wide.side} if self.wide.every else {})}
        for name, side in sides.items():
            if side % self.pairs.reduction:
                raise ValueError(f"{name} {side} is no multiple of pairs.reduction {self.pairs.reduction}")
        if not self.banks:
            raise ValueError("banks must name at least one folder of label maps")

    @property
    def largest_side(self) -> int:
        """Voxels a side of the largest pairs that the run cuts from its label maps."""
        validation = self.validation_side or self.pairs.side
        wide = self.wide.side if self.wide.every else 0
        return max(self.pairs.side, wide, validation if self.validation_pairs else 0)

    def differences(self, other: TrainingConfig) -> list[str]:
        """The settings in which another configuration is of another run; its length and its bookkeeping may differ."""
        mine, its = (flat(to_dict(config)) for config in (self, other))
        names = {name for name in mine.keys() | its.keys() if mine.get(name) != its.get(name)}
        return sorted(name for name in names if name not in _OF_NO_CONSEQUENCE and not name.startswith("network."))


def flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings by names with dots between; banks by the names of their folders, which may have moved."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{before}{name}.")
        else:
            found[before + name] = [PurePath(bank).name for bank in value] if name == "banks" else value
    return found
