"""The fine-tuning loop: `finetune(config, folder)` yields a record for every event, as a dictionary for JSON."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from RobustDIRLib.configuration import read_json, to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.ahead import Ahead
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.finetuning.pairs import PairKey, TrainingPair
from RobustDIRLib.finetuning.run import BEFORE_THERE_WAS_A_CHOICE, describe_split, kept_split
from RobustDIRLib.finetuning.tuner import Batch, Tuner
from RobustDIRLib.io.files import write_json
from RobustDIRLib.io.lock import Rank, locked
from RobustDIRLib.model_file import save_model
from RobustDIRLib.model_store import load_model
from RobustDIRLib.run_files import CONFIG, MODEL, RECORDS, SPLIT
from RobustDIRLib.synthesis.random import generator
from RobustDIRLib.training.checkpoints import NAME, load_checkpoint, save_checkpoint
from RobustDIRLib.training.config import flat
from RobustDIRLib.training.diary import Diary, refuse_lost_checkpoint
from RobustDIRLib.training.processes import joined_processes
from RobustDIRLib.training.stopping import StopRequest, waiting

Record = dict[str, Any]
# Settings that may differ when a run goes on: they change how long and how fast, not what is learnt at a step.
MAY_CHANGE = frozenset(
    {"epochs", "threads", "device", "log_every", "checkpoint_every", "cache_mib", "convergence", "test_pairs"}
)


def finetune(config: FinetuneConfig, folder: Path, *, resume: bool = False) -> Iterator[Record]:
    """Fine-tune a network on a data set, or teach one from scratch on it.

    Writes `run.json` (the configuration), `split.json` (subjects of each part), `checkpoint.pt` (to resume),
    `weights.pt` (the best epoch's model file) and `records.jsonl` (what is yielded, a JSON line each). A file named
    `stop` there, SIGTERM or SIGINT ends the run after the step, with a checkpoint; while a file named `pause` is there
    it waits.

    Args:
        config: The run.
        folder: Where it lies; made if needed.
        resume: Go on from the folder's checkpoint, or begin again if the run ended before its first: what follows is
            what an unbroken run would have done.
    Yields:
        Records of kind `start`, `step`, `epoch`, `checkpoint`, `pause`, `stop` or `end`.
    Raises:
        InputError: If the folder holds a run and `resume` is false, settings differ on resuming, the data cannot teach,
            a loss is not finite, or another process of the run has ended.
    """
    with locked(folder, Rank.here()):
        state = _earlier(config, folder, resume)
        with joined_processes(config.device) as process, StopRequest(folder / "stop") as stop:
            tuner = Tuner(config, process, state)
            if process.leads:
                write_json(folder / CONFIG, to_dict(config))
                write_json(folder / SPLIT, describe_split(tuner.material))
            diary = Diary(folder / RECORDS, tuner.learner.step if state else -1) if process.leads else None
            for record in _guarded(tuner, folder, stop):
                if diary:
                    diary.add(record)
                    yield record


def _earlier(config: FinetuneConfig, folder: Path, resume: bool) -> dict[str, Any] | None:
    """The checkpoint to go on from, once the settings are known to be those of the run."""
    path = folder / NAME
    if not resume:
        if path.exists():
            raise InputError(f"{folder} already holds a run: resume it, or name another folder")
        if taken := [name for name in (MODEL, RECORDS) if (folder / name).exists()]:
            raise InputError(f"{folder} holds {', '.join(taken)}, which the run would write over: name another folder")
        return None
    if not path.exists() and (folder / CONFIG).is_file():  # it ended before its first checkpoint, and begins anew
        refuse_lost_checkpoint(folder / RECORDS, path)
        _refuse_changes(folder, folder / CONFIG, read_json(folder / CONFIG), config)
        return None
    state = load_checkpoint(path)
    _refuse_changes(folder, path, state.get("finetune"), config)
    _check_best(folder, state, config)
    return {"data": kept_split(folder), **state}  # which checkpoints of old do not hold


def _refuse_changes(folder: Path, source: Path, before: Any, config: FinetuneConfig) -> None:
    """Refuse to go on with other settings than those of the run, as a file of it has them."""
    if not isinstance(before, dict):
        raise InputError(f"{source} is of another kind of run: use another folder")
    if changed := _changes(before, config):
        raise InputError(f"{folder}: a resumed run must keep its settings, and {changed}: use another folder")


def _changes(before: Mapping[str, Any], config: FinetuneConfig) -> str:
    """What is set otherwise now that must not be, in words; empty if nothing is."""
    now = {name: value for name, value in to_dict(config).items() if name not in MAY_CHANGE}
    earlier = {**BEFORE_THERE_WAS_A_CHOICE, **before}
    old, new = flat({name: earlier[name] for name in now if name in earlier}), flat(now)
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return "; ".join(f"{k} was {json.dumps(old.get(k))} and is {json.dumps(new.get(k))}" for k in changed)


def _check_best(folder: Path, state: Mapping[str, Any], config: FinetuneConfig) -> None:
    """Refuse, before time is spent, to go on without the best epoch so far, which its model file alone holds."""
    if not state.get("best"):
        return
    try:
        card = load_model(folder / MODEL).card
    except InputError as error:
        wrong = str(error).rstrip(".")
    else:
        before, epoch = card.get("config"), card.get("epoch", -1)  # a kill may have come between model and checkpoint
        if isinstance(before, dict) and not _changes(before, config) and epoch >= state["best"].get("epoch", 0):
            return
        wrong = f"{folder / MODEL} is the model of another run"
    raise InputError(
        f"{wrong}, and the run's best epoch so far is kept nowhere else; put the file back, or start another run from "
        f"where this one stands (`model` {folder / NAME})."
    )


def _guarded(tuner: Tuner, folder: Path, stop: StopRequest) -> Iterator[Record]:
    """The run's records; if another process of it dies, a checkpoint and a sentence."""
    try:
        with Ahead(tuner.batch) as ahead:
            yield from _epochs(tuner, folder, stop, ahead)
    except RuntimeError as error:  # what torch raises when a process of the group is gone
        if tuner.process.world == 1:
            raise
        if tuner.process.leads:
            save_checkpoint(folder / NAME, tuner.state())
        raise InputError(
            f"another process of the run in {folder} has ended (the end of its own output says why); resume the run."
        ) from error


def _epochs(tuner: Tuner, folder: Path, stop: StopRequest, ahead: Ahead[int, Batch]) -> Iterator[Record]:
    course = _Course(tuner, folder, stop)
    yield _start_record(tuner, course.steps)
    yield from course.begin()
    ended = course.ended_before_a_step()
    while not ended:
        ended = yield from course.step(ahead)
    yield _last_record(tuner, ended, stop)


class _Course:
    """What a run does from one step to the next, and what it tells of it."""

    def __init__(self, tuner: Tuner, folder: Path, stop: StopRequest) -> None:
        self.tuner, self.folder, self.stop = tuner, folder, stop
        self.steps = tuner.steps_per_epoch * tuner.config.epochs
        self.held: list[TrainingPair] = []
        self.losses: list[float] = []  # of the epoch so far

    def begin(self) -> Iterator[Record]:
        """Align the validation pairs, and judge the start on them."""
        if not self.tuner.process.leads:
            return
        self.held = _validation_pairs(self.tuner, self.stop)
        if not self.tuner.history and not self.stop:
            yield _close_epoch(self.tuner, self.folder, 0, self.held, math.nan)

    def ended_before_a_step(self) -> str:
        """As what a run ends that has nothing to do, or was stopped meanwhile; empty if it goes on."""
        halted = self.tuner.process.any(bool(self.stop))
        if halted and self.tuner.process.leads:  # what has been aligned is kept, and there is a run to go on with
            save_checkpoint(self.folder / NAME, self.tuner.state())
        return "stop" if halted else "end" if _over(self.tuner, self.steps) else ""

    def step(self, ahead: Ahead[int, Batch]) -> Generator[Record, None, str]:
        """One step; returns as what the run ends with it, or nothing."""
        tuner, learner = self.tuner, self.tuner.learner
        begun, epoch = time.perf_counter(), learner.step // tuner.steps_per_epoch + 1
        pairs = ahead.get(learner.step, learner.step + 1 if learner.step + 1 < self.steps else None)
        self.losses.append(tuner.learn(pairs, self.steps, self.folder))
        if learner.step % tuner.config.log_every == 0:
            recent = self.losses[-tuner.config.log_every :]
            yield _step_record(tuner, self.steps, epoch, recent, _pace(begun, pairs))
        last = learner.step % tuner.steps_per_epoch == 0
        if last:
            yield from self._close(epoch)
        yield from waiting(self.folder, self.stop, learner.step)
        halted = tuner.process.any(bool(self.stop))
        ended = "stop" if halted else "end" if last and tuner.process.any(_over(tuner, self.steps)) else ""
        yield from self._keep(last or bool(ended))
        return ended

    def _close(self, epoch: int) -> Iterator[Record]:
        losses, self.losses = self.losses, []
        if self.tuner.process.leads:
            yield _close_epoch(self.tuner, self.folder, epoch, self.held, sum(losses) / len(losses))

    def _keep(self, due: bool) -> Iterator[Record]:
        """A checkpoint, if one is due now or by the number of steps."""
        every, step = self.tuner.config.checkpoint_every, self.tuner.learner.step
        if self.tuner.process.leads and (due or (every and step % every == 0)):
            save_checkpoint(self.folder / NAME, self.tuner.state())
            yield {"kind": "checkpoint", "step": step, "file": str(self.folder / NAME)}


def _over(tuner: Tuner, steps: int) -> bool:
    """Whether the run has come to its end: by its length, or as it converged."""
    converged = tuner.config.convergence.stop and tuner.converged is not None
    return tuner.learner.step >= steps or converged


def _validation_keys(tuner: Tuner) -> list[PairKey]:
    return tuner.material.fixed_pairs("validation", tuner.config.validation_pairs)


def _validation_pairs(tuner: Tuner, stop: StopRequest) -> list[TrainingPair]:
    """The fixed pairs, cut to the same boxes each time where they are too large; not all if the run is to stop."""
    keys = itertools.takewhile(lambda _: not stop, enumerate(_validation_keys(tuner)))
    return [tuner.material.maker.make(key, generator(0, index)) for index, key in keys]


def _start_record(tuner: Tuner, steps: int) -> Record:
    counts = {f"{name}_subjects": len(part.subjects) for name, part in tuner.material.parts.items()}
    learning = sum(p.numel() for p in tuner.learner.parameters)
    return {
        "kind": "start",
        "step": tuner.learner.step,
        "steps": steps,
        "epochs": tuner.config.epochs,
        "pairs_per_epoch": len(tuner.material.epoch(1)),
        "validation_pairs": len(_validation_keys(tuner)),
        "test_pairs": len(tuner.material.fixed_pairs("test", tuner.config.test_pairs)),
        "parameters": sum(p.numel() for p in tuner.network.parameters()),
        "learning_parameters": learning,
        "device": tuner.process.device.type,
        "judge": tuner.judge,
        "loss": to_dict(tuner.material.loss),
        **counts,
    }


def _step_record(tuner: Tuner, steps: int, epoch: int, losses: list[float], paced: Record) -> Record:
    return {
        "kind": "step",
        "step": tuner.learner.step,
        "steps": steps,
        "epoch": epoch,
        "loss": sum(losses) / len(losses),
        "learning_rate": tuner.learner.optimizer.param_groups[0]["lr"],
        **paced,
        "skipped": tuner.learner.skipped,
    }


def _pace(begun: float, pairs: Batch) -> Record:
    """How long a step took, and for how much."""
    voxels = sum(pair.fixed.numel() for pair, _ in pairs)
    return {"seconds_per_step": time.perf_counter() - begun, "voxels": voxels}


def _last_record(tuner: Tuner, ended: str, stop: StopRequest) -> Record:
    """Of kind `stop`, with the signal if one asked for it, or `end`."""
    return {
        "kind": ended,
        "step": tuner.learner.step,
        "epoch": tuner.learner.step // tuner.steps_per_epoch,
        "converged": tuner.converged,
        **({"signal": stop.signal} if ended == "stop" and stop.signal else {}),
    }


def _close_epoch(tuner: Tuner, folder: Path, epoch: int, held: list[TrainingPair], loss: float) -> Record:
    """Validate, keep the weights if they are the best, and tell; epoch 0 is the start."""
    measures = tuner.validate(held)
    if held and not tuner.judges(measures):
        raise InputError(
            f"{tuner.material.dataset.folder}: none of the {len(held)} validation pairs has what chooses the best "
            f"epoch ({tuner.judge}): no label is in both of its maps, or no landmark lies in its image; list other "
            "subjects for validation, or none."
        )
    best = tuner.take(measures) or not held
    if best:
        save_best(tuner, folder, epoch)
    return {
        "kind": "epoch",
        "epoch": epoch,
        "step": tuner.learner.step,
        **({} if math.isnan(loss) else {"training_loss": loss}),
        **measures,
        "best": best,
        "best_so_far": dict(tuner.best),
        "converged": tuner.converged,
    }


def save_best(tuner: Tuner, folder: Path, epoch: int) -> None:
    """Write the model file of this epoch."""
    config = tuner.config
    card = {
        "name": folder.name,
        "started_from": config.initial or "random weights",
        "fine_tuned_on": tuner.material.dataset.name,
        "training_subjects": len(tuner.material.parts["train"].subjects),
        "epoch": epoch,
        "steps": tuner.learner.step,
        "validation": tuner.history[-1:],
        "config": to_dict(config),
    }
    with tuner.learner.average.used_by(tuner.network):
        save_model(folder / MODEL, tuner.network, card)
