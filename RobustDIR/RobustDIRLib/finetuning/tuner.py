"""What learns in a fine-tuning run, on what, and how it has gone: a step, a validation, the state to go on from."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from RobustDIRLib.configuration import to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.config import FinetuneConfig, LossWeights
from RobustDIRLib.finetuning.convergence import converged_at
from RobustDIRLib.finetuning.drawing import draw_pair, pair_generator
from RobustDIRLib.finetuning.losses import pair_loss, teaches
from RobustDIRLib.finetuning.pairs import TrainingPair
from RobustDIRLib.finetuning.run import effective_judge, open_material, start_network
from RobustDIRLib.finetuning.validation import Loss, mean_measures, validate
from RobustDIRLib.io.files import written_atomically
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.networks.network import LearningNetwork
from RobustDIRLib.networks.precision import autocast
from RobustDIRLib.synthesis.random import generator
from RobustDIRLib.training.learner import Learner
from RobustDIRLib.training.processes import Process

FAILED = "failed_pair.pt"
# The pairs of one step, and what draws for each.
Batch = list[tuple[TrainingPair, torch.Generator]]
_TRIED = 10  # steps after which it is told that nothing is learnt


class _PairsObjective(nn.Module):
    """Network and loss in one module, so that DistributedDataParallel sees one forward pass."""

    def __init__(self, network: LearningNetwork, weights: LossWeights, both: bool, precision: str) -> None:
        super().__init__()
        self.network, self.weights, self.both, self.precision = network, weights, both, precision

    def forward(self, pairs: Batch) -> Tensor:
        losses = []
        for pair, g in pairs:
            with autocast(self.precision, pair.fixed.device):
                deformation = self.network(pair.fixed, pair.moving)
            deformation = Deformation(*(u.float() for u in deformation))
            losses.append(pair_loss(deformation, pair, self.weights, g, self.both))
        return torch.stack(losses).mean()


class Tuner:
    """State of a run: what learns, on what, and how it has gone."""

    def __init__(self, config: FinetuneConfig, process: Process, state: dict[str, Any] | None = None) -> None:
        torch.manual_seed(config.seed)
        if config.threads:
            torch.set_num_threads(config.threads)
        network = start_network(config).to(process.device)
        self.config, self.process = config, process
        held = state or {}
        self.material = open_material(config, network, held.get("checksums"), held.get("data"))
        self.learner = Learner(network, config.optimizer, config.precision, process.device)
        self.judge = effective_judge(self.material)
        self.history: list[dict[str, float]] = []
        self.tried = self.taught = 0
        self.best: dict[str, float] = {}
        self.objective = process.share(
            _PairsObjective(network, self.material.loss, config.both_directions, config.precision)
        )
        if state:
            self.learner.restore(state)
            self.history, self.best = state["history"], state["best"]
            self.material.maker.recall(state.get("alignments", ()))  # checkpoints of old have none
        if process.leads:
            self.material.check_test()

    @property
    def network(self) -> LearningNetwork:
        """What learns."""
        return self.learner.network

    @cached_property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch, by all processes together."""
        return math.ceil(len(self.material.epoch(1)) / (self.config.batch * self.process.world))

    def state(self) -> dict[str, Any]:
        """All that going on needs."""
        maker = self.material.maker  # which may be making a pair in another thread
        more = {"history": self.history, "best": self.best}
        read = {
            "checksums": dict(maker.store.checksums),
            "alignments": maker.alignments,
            "data": self.material.began_with,
        }
        return {"finetune": to_dict(self.config), **self.learner.state(), **more, **read}

    def batch(self, step: int) -> Batch:
        """This process's pairs of a step of the run (from 0), and what draws for each.

        They depend on the run's seed and the step alone, and may be made in another thread than the one that learns.
        """
        before, place = divmod(step, self.steps_per_epoch)
        epoch, size = before + 1, self.config.batch
        keys = self.material.epoch(epoch)
        first = (place * self.process.world + self.process.rank) * size
        chosen = []
        for index in range(first, first + size):
            g = pair_generator(self.config, epoch, index)
            drawn = draw_pair(self.material.maker, keys[index % len(keys)], self.config, g)
            chosen.append((drawn.pair.to(self.process.device), g))
        return chosen

    def learn(self, pairs: Batch, steps: int, folder: Path) -> float:
        """One optimiser step; returns the loss.

        Raises:
            InputError: If the loss is not finite: nothing is learnt from such a pair, which is kept in the folder.
        """
        self._count(pairs)
        loss = self.objective(pairs)
        value = float(loss.detach())
        if self.process.any(not math.isfinite(value)):
            _keep_failed([pair for pair, _ in pairs], folder)
            names = "; ".join(pair.name for pair, _ in pairs)
            raise InputError(
                f"the loss of {names} is {value} at step {self.learner.step + 1}; nothing was learnt from it, and it "
                f"is kept in {folder / FAILED}: look at the images, lower the learning rate, and resume."
            )
        self.learner.descend(loss, steps)
        return value

    def _count(self, pairs: Batch) -> None:
        """Refuse to go on when none of the first pairs had anything to learn from."""
        self.tried += 1
        self.taught += any(teaches(pair, self.material.loss) for pair, _ in pairs)
        if self.tried > _TRIED or self.tried != min(_TRIED, self.steps_per_epoch):
            return
        if not self.process.any(self.taught > 0):
            terms = " and ".join(name for name in ("dice", "landmarks") if getattr(self.material.loss, name))
            raise InputError(
                f"{self.material.dataset.folder}: none of the first {self.tried} pairs has what the loss ({terms}) "
                "looks at: no label is in both of its maps, or it has no landmarks; give one structure one number in "
                "all maps, or learn by local_ncc."
            )

    def validate(self, pairs: list[TrainingPair]) -> dict[str, float]:
        """Mean measures of the validation pairs, by the averaged weights where there are such."""
        network = self.network.eval()
        with self.learner.average.used_by(network):
            found = validate(network, pairs, self.fixed_loss(), self.config.precision, self.process.device)
        network.train()
        return mean_measures(found)

    def fixed_loss(self) -> Loss:
        """The loss with the same draws for every pair, for judging."""
        weights, both = self.material.loss, self.config.both_directions

        def loss(deformation: Deformation, pair: TrainingPair) -> Tensor | None:
            return pair_loss(deformation, pair, weights, generator(0), both) if teaches(pair, weights) else None

        return loss

    def judges(self, measures: dict[str, float]) -> bool:
        """Whether measures hold what chooses the best epoch."""
        return quality(measures, self.judge) is not None

    def take(self, measures: dict[str, float]) -> bool:
        """Keep an epoch's measures; whether it is the best so far."""
        self.history.append(measures)
        value = quality(measures, self.judge)
        if value is None or (self.best and value <= self.best["quality"]):
            return False
        self.best = {"quality": value, "epoch": len(self.history) - 1, **measures}
        return True

    @property
    def converged(self) -> int | None:
        """The epoch at which the paper's rule was met, or None; the state before the first epoch does not count."""
        values = [quality(measures, self.judge) for measures in self.history[1:]]
        known = [value for value in values if value is not None]
        return converged_at(known, self.config.convergence)


def quality(measures: dict[str, float], judge: str) -> float | None:
    """What is to be as large as possible: Dice, or minus the TRE or the loss."""
    name, sign = {"dice": ("dice", 1.0), "tre": ("tre_mm", -1.0), "loss": ("loss", -1.0)}[judge]
    return sign * measures[name] if name in measures else None


def _keep_failed(pairs: list[TrainingPair], folder: Path) -> None:
    kept = [{k: v for k, v in vars(pair).items() if v is not None} for pair in pairs]
    with written_atomically(folder / FAILED) as temporary:
        torch.save(kept, temporary)
