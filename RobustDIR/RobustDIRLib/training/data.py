"""Pairs for training, each fixed by the run's seed and its own index, whichever process makes it."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.synthesis.bank import LabelBank
from RobustDIRLib.synthesis.pairs import PairConfig, SyntheticPair, synthesize_pair
from RobustDIRLib.synthesis.random import generator, integer
from RobustDIRLib.training.config import TrainingConfig
from RobustDIRLib.training.processes import Process

# Validation pairs come from a stream of seeds that training never enters.
_TRAINING, _VALIDATION = 1, 2
_MAIN_MEMORY = torch.device("cpu")


class SyntheticPairs(Dataset[SyntheticPair]):
    """An endless data set: item (k, side) is always the same pair, made on the spot.

    A graphics card draws other numbers from the same seed than a CPU, but always the same ones.
    """

    def __init__(
        self,
        bank: LabelBank,
        config: PairConfig,
        seed: int,
        stream: int = _TRAINING,
        device: torch.device = _MAIN_MEMORY,
    ) -> None:
        self.bank, self.config, self.seed, self.stream, self.device = bank, config, seed, stream, device

    def __getitem__(self, key: tuple[int, int]) -> SyntheticPair:
        with self.device:
            return self._made(*key)

    def _made(self, index: int, side: int) -> SyntheticPair:
        g = generator(self.seed, self.stream, index, device=self.device)
        labels = self.bank[integer(0, len(self.bank) - 1, g)].to(self.device)
        return synthesize_pair(labels, replace(self.config, side=side), g)


def join(pairs: Sequence[SyntheticPair]) -> SyntheticPair:
    """Several pairs as one, along the batch axis."""
    return SyntheticPair(
        torch.cat([pair.fixed for pair in pairs]),
        torch.cat([pair.moving for pair in pairs]),
        torch.cat([pair.fixed_labels for pair in pairs]),
        torch.cat([pair.moving_labels for pair in pairs]),
        Deformation(
            torch.cat([pair.truth.displacement for pair in pairs]), torch.cat([pair.truth.inverse for pair in pairs])
        ),
    )


def to_device(pair: SyntheticPair, device: torch.device) -> SyntheticPair:
    """The pair with every tensor on a device."""

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device, non_blocking=True)

    fixed, moving, fixed_labels, moving_labels = map(move, pair[:4])
    return SyntheticPair(fixed, moving, fixed_labels, moving_labels, Deformation(*map(move, pair.truth)))


class _Keys:
    """What to make for each step from `first` on, told as it comes: a run may have more steps than a list can hold."""

    def __init__(self, config: TrainingConfig, first: int, rank: int, world: int) -> None:
        self.config, self.first, self.rank, self.world = config, first, rank, world

    def __len__(self) -> int:
        return max(0, self.config.steps - self.first)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        config = self.config
        for step in range(self.first, config.steps):
            side = config.wide.side if config.wide.at(step) else config.pairs.side
            start = (step * self.world + self.rank) * config.batch
            yield [(start + i, side) for i in range(config.batch)]


def training_batches(config: TrainingConfig, bank: LabelBank, first: int, process: Process) -> Iterator[SyntheticPair]:
    """Batches from step `first` on; every process takes its own share of each step's pairs.

    The pairs of a step depend on the step alone, so a resumed run meets the same ones as an unbroken run, and several
    processes meet together the same ones as a single process with their batches joined. Where no worker makes them,
    they are made on the device that learns from them: a graphics card is much the faster at that, too.
    """
    device = _MAIN_MEMORY if config.workers else process.device
    data = SyntheticPairs(bank, config.pairs, config.seed, device=device)
    loader = DataLoader(
        data,
        batch_sampler=_Keys(config, first, process.rank, process.world),
        collate_fn=join,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        worker_init_fn=_prepare_worker,
    )
    return iter(loader)


def _prepare_worker(_: int) -> None:
    torch.set_num_threads(1)
    # Ctrl-C and a kill of the process group reach the workers too; the main process needs them to end its step.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def validation_pairs(config: TrainingConfig, bank: LabelBank) -> list[SyntheticPair]:
    """The fixed validation pairs: the same for every run with the same banks and pair settings."""
    data = SyntheticPairs(bank, config.pairs, 0, _VALIDATION)
    side = config.validation_side or config.pairs.side
    return [data[index, side] for index in range(config.validation_pairs)]


def open_banks(config: TrainingConfig) -> LabelBank:
    """The label maps of all banks a run names.

    Raises:
        InputError: If a folder holds none, or one is damaged or too small for the run's pairs.
    """
    bank = LabelBank(*(Path(bank) for bank in config.banks))
    bank.check_sides(config.largest_side)
    return bank
