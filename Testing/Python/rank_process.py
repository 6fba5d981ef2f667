"""One of several processes that learn together under torchrun: the gradients that each has after one step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from RobustDIRLib.configuration import from_dict, to_dict
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.finetuning.loop import Tuner
from RobustDIRLib.training.config import TrainingConfig
from RobustDIRLib.training.data import open_banks, training_batches
from RobustDIRLib.training.loop import Trainer
from RobustDIRLib.training.processes import Process, joined_processes

LIBRARY = Path(__file__).parents[2] / "RobustDIR"
Gradients = dict[str, Tensor]


def gradients(config: TrainingConfig | FinetuneConfig, process: Process) -> Gradients:
    """By name of parameter, after the first step from the beginning."""
    learner: Any
    if isinstance(config, TrainingConfig):
        learner = Trainer(config, process)
        learner.learn(next(training_batches(config, open_banks(config), 0, process)))
    else:
        learner = Tuner(config, process)
        learner.learn(learner.batch(1, 0), 10, Path())
    return {name: p.grad for name, p in learner.network.named_parameters()}


def gradients_alone(config: TrainingConfig | FinetuneConfig) -> Gradients:
    return gradients(config, Process(0, 1, torch.device("cpu")))


def gradients_together(config: TrainingConfig | FinetuneConfig, world: int, folder: Path) -> list[Gradients]:
    """Of each of so many processes, which torchrun starts."""
    file = folder / "settings.json"
    file.write_text(json.dumps(to_dict(config)))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)]
    done = subprocess.run(
        [*torchrun, __file__, type(config).__name__, str(file), str(folder)],
        env={**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]


if __name__ == "__main__":
    kind, file, folder = sys.argv[1:]
    config_of = {c.__name__: c for c in (TrainingConfig, FinetuneConfig)}[kind]
    with joined_processes() as process:
        found = gradients(from_dict(config_of, json.loads(Path(file).read_text(encoding="utf-8"))), process)
        torch.save(found, Path(folder) / f"{process.rank}.pt")
