"""The pretraining loop: `train(config, folder)` yields a record for every event, as a dictionary that JSON can hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from RobustDIRLib.configuration import from_dict, read_json, to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import write_json
from RobustDIRLib.io.lock import Rank, locked
from RobustDIRLib.model_file import save_model
from RobustDIRLib.networks.build import build_network
from RobustDIRLib.networks.network import LearningNetwork
from RobustDIRLib.networks.precision import autocast
from RobustDIRLib.networks.pyramid import CorrelationPyramid
from RobustDIRLib.run_files import CONFIG, MODEL, RECORDS
from RobustDIRLib.synthesis.bank import LabelBank
from RobustDIRLib.synthesis.pairs import SyntheticPair
from RobustDIRLib.training.checkpoints import NAME, load_checkpoint, save_checkpoint
from RobustDIRLib.training.config import LossConfig, TrainingConfig
from RobustDIRLib.training.data import open_banks, to_device, training_batches, validation_pairs
from RobustDIRLib.training.diary import Diary, refuse_lost_checkpoint
from RobustDIRLib.training.learner import Learner
from RobustDIRLib.training.losses import pretraining_loss
from RobustDIRLib.training.processes import Process, joined_processes
from RobustDIRLib.training.starting import saved_network
from RobustDIRLib.training.stopping import StopRequest, waiting
from RobustDIRLib.training.validation import validate

Record = dict[str, Any]


class _Objective(nn.Module):
    """Network and loss in one module, so that DistributedDataParallel sees one forward pass."""

    def __init__(self, network: LearningNetwork, loss: LossConfig) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, pair: SyntheticPair, count: int | None = None) -> tuple[Tensor, Tensor]:
        return pretraining_loss(self.network.levels(pair.fixed, pair.moving, count), pair, self.loss)


class Trainer(Learner):
    """State of a run: what learns, by which configuration, in which process."""

    def __init__(self, config: TrainingConfig, process: Process, *, fresh: bool = True) -> None:
        """A fresh one starts from the weights that `config.initial` names, if it does; any other is to be restored."""
        torch.manual_seed(config.seed)
        if config.threads:
            torch.set_num_threads(config.threads)
        self.config, self.process = config, process
        network = build_network(config.network).to(process.device)
        if config.initial and fresh:
            _start_from(network, Path(config.initial))
        _check_sides(config, network)
        super().__init__(network, config.optimizer, config.precision, process.device)
        if config.wide.every and not isinstance(network, CorrelationPyramid):
            raise InputError("wide: only a pyramid has levels to teach alone; set every to 0 for other networks")
        self.objective = process.share(_Objective(network, config.loss), in_parts=config.wide.every > 0)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return {"config": to_dict(self.config), **super().state()}

    def learn(self, pair: SyntheticPair) -> tuple[float, float]:
        """One optimiser step; returns the loss and the end-point error of the finest level that learnt."""
        count = self.config.wide.levels if self.config.wide.at(self.step) else None
        with autocast(self.config.precision, self.device):
            loss, error = self.objective(pair, count)
        self.descend(loss, self.config.steps)
        return float(loss.detach()), float(error)


def _check_sides(config: TrainingConfig, network: LearningNetwork) -> None:
    """Refuse pairs that the network, which pads nothing while it learns, cannot halve for its levels."""
    sides = {"pairs.side": config.pairs.side, **({"wide.side": config.wide.side} if config.wide.every else {})}
    for name, side in sides.items():
        if side % network.multiple:
            raise InputError(f"{name}: {side} voxels are no multiple of {network.multiple}, as this network needs.")


def _start_from(network: nn.Module, path: Path) -> None:
    """Give a network the weights of a file.

    Raises:
        InputError: If the file is none of ours, or of another network.
    """
    weights = saved_network(path).state_dict()
    if {n: v.shape for n, v in network.state_dict().items()} != {n: v.shape for n, v in weights.items()}:
        raise InputError(f"initial: {path} holds the weights of another network than the run's; name another file.")
    network.load_state_dict(weights)


class _Meter:
    """Means since the last record, and how the time was spent."""

    def __init__(self) -> None:
        self.count = self.wide = 0
        self.loss = self.error = self.wide_error = self.waiting = self.learning = 0.0

    def learn(self, trainer: Trainer, batches: Iterator[SyntheticPair]) -> None:
        """Let the trainer do a step, and count it; errors of wide ones apart, since they are of coarser levels."""
        begun, wide = time.perf_counter(), trainer.config.wide.at(trainer.step)
        pair = to_device(next(batches), trainer.device)
        received = time.perf_counter()
        loss, error = trainer.learn(pair)
        self.waiting += received - begun
        self.learning += time.perf_counter() - received
        self.count, self.wide = self.count + 1, self.wide + wide
        self.loss += loss
        self.error += 0.0 if wide else error
        self.wide_error += error if wide else 0.0

    def record(self, trainer: Trainer) -> Record:
        n, busy = max(self.count, 1), self.waiting + self.learning
        return {
            "kind": "step",
            "step": trainer.step,
            "steps": trainer.config.steps,
            "loss": self.loss / n,
            "end_point_error": self.error / max(self.count - self.wide, 1),
            **({"wide_end_point_error": self.wide_error / self.wide} if self.wide else {}),
            "learning_rate": trainer.optimizer.param_groups[0]["lr"],
            "seconds_per_step": busy / n,
            "voxels": trainer.config.batch * trainer.config.pairs.side**3,
            "network_share": self.learning / busy if busy else 0.0,
            "skipped": trainer.skipped,
        }


def _validation_record(trainer: Trainer, pairs: list[SyntheticPair]) -> Record:
    network = trainer.network.eval()
    with trainer.average.used_by(network):
        measures = validate(network, pairs)
    network.train()
    return {"kind": "validation", "step": trainer.step, **measures}


def _save(trainer: Trainer, folder: Path, history: list[Record]) -> None:
    save_checkpoint(folder / NAME, trainer.state())
    card = {"config": to_dict(trainer.config), "step": trainer.step, "validation": history[-1:]}
    with trainer.average.used_by(trainer.network):
        save_model(folder / MODEL, trainer.network, card)


def train(config: TrainingConfig, folder: Path, *, resume: bool = False) -> Iterator[Record]:
    """Pretrain a network.

    Writes `run.json` (the configuration), `checkpoint.pt` (to resume), `weights.pt` (averaged weights, a model file)
    and `records.jsonl` (what is yielded, a JSON line each) into the folder. A file named `stop` there, SIGTERM or
    SIGINT ends the run after the step, with a checkpoint; while a file named `pause` is there it waits.

    Args:
        config: The run.
        folder: Where it lives; made if needed.
        resume: Go on from the folder's checkpoint, or begin again if the run ended before its first. Pairs depend on
            seed and step only, so the curve is that of an unbroken run. The configuration may differ in what lengthens
            or ends a run, and in how it is watched.
    Yields:
        Records of kind `start`, `step`, `validation`, `checkpoint`, `pause`, `end`, or `stop` (with `signal`, if any).
    Raises:
        InputError: If the folder holds a run and `resume` is false, or other files of such names; another run is at
            work there; the run to resume has other settings; or a file it needs is missing or unfit.
    """
    with locked(folder, Rank.here()):
        if not resume:
            _refuse_taken(folder)
        with joined_processes(config.device) as process, StopRequest(folder / "stop") as stop:
            bank = open_banks(config)
            trainer = _trainer(config, folder, process, resume)
            diary = Diary(folder / RECORDS, trainer.step) if process.leads else None
            for record in _steps(trainer, bank, folder, stop):
                if diary:
                    diary.add(record)
                    yield record


def _refuse_taken(folder: Path) -> None:
    """Refuse the folder of another run, or of anything else that a run would write over."""
    if (folder / NAME).exists():
        raise InputError(f"{folder} already holds a run: resume it, or name another folder")
    foreign = [name for name in (MODEL, RECORDS) if (folder / name).exists()]
    if (folder / CONFIG).exists() and not _is_config(folder / CONFIG):
        foreign.append(CONFIG)
    if foreign:
        raise InputError(f"{folder} holds {', '.join(foreign)}, which the run would write over: name another folder")


def _is_config(path: Path) -> bool:
    """Whether a file is the configuration as a run leaves it that ended before its first checkpoint."""
    try:
        content = read_json(path)
        return bool(to_dict(from_dict(TrainingConfig, content)) == content)
    except InputError:
        return False


def _trainer(config: TrainingConfig, folder: Path, process: Process, resume: bool) -> Trainer:
    state = _earlier(config, folder) if resume else None
    trainer = Trainer(config, process, fresh=state is None)
    if state:
        trainer.restore(state)
    if process.leads:
        write_json(folder / CONFIG, to_dict(config))
    return trainer


def _earlier(config: TrainingConfig, folder: Path) -> dict[str, Any] | None:
    """The checkpoint to go on from, once the settings are known to be those of the run; None before its first."""
    path, state = folder / NAME, None
    if path.exists() or not (folder / CONFIG).is_file():
        state = load_checkpoint(path)
        if "config" not in state:
            raise InputError(f"{path} is of another kind of run: use another folder")
        before = from_dict(TrainingConfig, state["config"], str(path))
    else:
        refuse_lost_checkpoint(folder / RECORDS, path)
        before = from_dict(TrainingConfig, read_json(folder / CONFIG), str(folder / CONFIG))
    if changed := before.differences(config):
        raise InputError(
            f"{folder} holds a run with another {', '.join(changed)}: give the settings of its {CONFIG}, or start "
            f"a run in another folder with its weights as initial"
        )
    return state


def _steps(trainer: Trainer, bank: LabelBank, folder: Path, stop: StopRequest) -> Iterator[Record]:
    config, process = trainer.config, trainer.process
    fixed_pairs = [to_device(p, process.device) for p in validation_pairs(config, bank)] if process.leads else []
    batches = training_batches(config, bank, trainer.step, process)
    yield _start_record(trainer, bank)
    history: list[Record] = []
    meter, stopped = _Meter(), False
    while trainer.step < config.steps and not stopped:
        meter.learn(trainer, batches)
        yield from waiting(folder, stop, trainer.step)
        stopped = process.any(bool(stop))
        ends = stopped or trainer.step == config.steps
        if ends or trainer.step % config.log_every == 0:
            yield meter.record(trainer)
            meter = _Meter()
        if process.leads and fixed_pairs and (ends or trainer.step % config.validate_every == 0):
            history.append(_validation_record(trainer, fixed_pairs))
            yield history[-1]
        if process.leads and (ends or trainer.step % config.checkpoint_every == 0):
            _save(trainer, folder, history)
            yield {"kind": "checkpoint", "step": trainer.step, "file": str(folder / NAME)}
    yield _last_record(trainer, stop)


def _start_record(trainer: Trainer, bank: LabelBank) -> Record:
    parameters = sum(p.numel() for p in trainer.network.parameters())
    return {
        "kind": "start", "step": trainer.step, "steps": trainer.config.steps, "parameters": parameters,
        "maps": len(bank), "device": trainer.device.type,
    }  # fmt: skip


def _last_record(trainer: Trainer, stop: StopRequest) -> Record:
    """Of kind `end`, or `stop`, with the signal if one asked for it."""
    if trainer.step >= trainer.config.steps:
        return {"kind": "end", "step": trainer.step}
    return {"kind": "stop", "step": trainer.step, **({"signal": stop.signal} if stop.signal else {})}
