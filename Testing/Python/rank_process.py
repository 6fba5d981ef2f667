"""One of several processes that learn together under torchrun: the gradients that each has after one step."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import forked_commands
from RobustDIRLib.configuration import from_dict, to_dict
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.finetuning.tuner import Tuner
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
        learner.learn(learner.batch(0), 10, Path())
    return {name: p.grad for name, p in learner.network.named_parameters()}


def gradients_alone(config: TrainingConfig | FinetuneConfig) -> Gradients:
    return gradients(config, Process(0, 1, torch.device("cpu")))


def environments(world: int) -> Iterator[dict[str, str]]:
    """What torchrun tells each of so many processes of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for rank in map(str, range(world)):
        yield {
            "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": str(world),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        }  # fmt: skip


def gradients_together(
    config: TrainingConfig | FinetuneConfig, world: int, folder: Path, *, torchrun: bool = False
) -> list[Gradients]:
    """Of each of so many processes, as torchrun starts them, or by torchrun itself."""
    file = folder / "settings.json"
    file.write_text(json.dumps(to_dict(config)))
    words = [type(config).__name__, str(file), str(folder)]
    if torchrun:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)]
        here = {**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1"}
        subprocess.run([*command, __file__, *words], env=here, check=True, timeout=240)
    else:
        code = f"import sys; sys.path[:] = {sys.path!r}; import rank_process as own; own.write_gradients(*sys.argv[1:])"
        command = [sys.executable, "-c", code, *words]
        ranks = [forked_commands.started(command, one) for one in environments(world)]
        errors = [rank.communicate(240)[1] for rank in ranks]
        assert [rank.returncode for rank in ranks] == [0] * world, errors
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]


def write_gradients(kind: str, file: str, folder: str) -> None:
    """What one of the processes does."""
    config_of = {c.__name__: c for c in (TrainingConfig, FinetuneConfig)}[kind]
    with joined_processes() as process:
        found = gradients(from_dict(config_of, json.loads(Path(file).read_text(encoding="utf-8"))), process)
        torch.save(found, Path(folder) / f"{process.rank}.pt")


if __name__ == "__main__":
    write_gradients(*sys.argv[1:])
