"""Random search over learning rate and regularisation (section 2.2.3), by Optuna; it goes on where it was cut off.

The trials are worked through here, or as tasks of Dask. All that is known of them is in the folder's journal: a trial
whose process has died is begun again with its settings, from its last checkpoint.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from RobustDIRLib.clusters import Errands, Place, Say, failure, opened, tell_client
from RobustDIRLib.configuration import read_json, to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.config import FinetuneConfig, TuneConfig
from RobustDIRLib.finetuning.loop import finetune
from RobustDIRLib.finetuning.split import keep_people
from RobustDIRLib.finetuning.tuner import quality
from RobustDIRLib.finetuning.tuning_journal import (
    at_work,
    free_place,
    load_optuna,
    number_of,
    open_study,
    take_up_again,
)
from RobustDIRLib.finetuning.tuning_table import Record, sum_up
from RobustDIRLib.io.files import is_full, make_folder, write_json
from RobustDIRLib.run_files import CONFIG

SETTINGS = "tune.json"
_SEEDS = 2**32  # as many as Optuna's sampler takes
_HERE = Place()
Tell = Callable[[Record], None]


def _say_nothing(sentence: str) -> None:
    """Nobody to tell."""


def tune(
    base: FinetuneConfig, config: TuneConfig, folder: Path, tell: Tell, place: Place = _HERE, say: Say = _say_nothing
) -> Record:
    """Fine-tune with settings drawn at random until so many trials are done, and sum up.

    The folder holds a journal of all trials and the run of each. The same command again goes on; several at once, on
    machines that share the folder, share the trials.

    Args:
        base: What every run has in common.
        config: The search.
        folder: Of the search; made if needed.
        tell: Is told of every record of every run, with `trial`.
        place: Where the runs are, several at once there.
        say: Told what the user should know of a cluster.
    Returns:
        The best trial: `trial`, `value` (Dice, or minus TRE or loss), `learning_rate`, `gradient`, `file`; nothing if
        the search was stopped before a trial was over. The one that was at work then is gone on with another time.
    Raises:
        InputError: If Optuna is not there, the folder holds another search, or no trial came to its end.
        ConnectionError: If the cluster has gone, or a run ends all processes it is given to.
    """
    optuna = load_optuna()
    make_folder(folder)
    _check_same(base, config, folder)
    base = keep_people(base, folder, "trial_*")
    study = open_study(optuna, config, folder)
    if not study.get_trials() and (lost := len(list(folder.glob(f"trial_*/{CONFIG}")))):
        say(f"the journal in {folder} knows nothing of the {lost} runs that lie there; others are made beside them.")
    take_up_again(optuna, study, folder)
    left = config.trials - len(study.get_trials(states=_over(optuna)))
    jobs = min(place.jobs, max(left, 1))
    try:
        if left > 0 and (jobs > 1 or place.far):
            _spread(_Search(base, config, folder.absolute()), left, replace(place, jobs=jobs), tell, say)
        elif left > 0:
            enough = optuna.study.MaxTrialsCallback(config.trials, states=_over(optuna))
            with _told():
                study.optimize(lambda trial: _run(optuna, trial, base, config, folder, tell), callbacks=[enough])
    except (_Stopped, _Enough):
        return sum_up(optuna, study, folder) if study.get_trials(states=_over(optuna)) else {}
    return sum_up(optuna, study, folder)


def _over(optuna: Any) -> tuple[Any, Any]:
    return optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED


@dataclass(frozen=True)
class _Search:
    """What all runs of a search have in common."""

    base: FinetuneConfig
    config: TuneConfig
    folder: Path


def _spread(search: _Search, count: int, place: Place, tell: Tell, say: Say) -> None:
    """Hand so many trials to the processes of a place, and hear of them until all are over.

    Raises:
        InputError: If a run cannot be done.
        ConnectionError: If nobody is left to do them.
    """
    with opened(place, search.base.threads or 1, None, say) as client:
        errands = Errands(client)
        names = [f"trial-{uuid.uuid4().hex}" for _ in range(count)]
        pending = {name: errands.submit(name, _on_worker, search, name, errands.topic) for name in names}
        while pending:
            told = errands.hear()
            if isinstance(told, dict):
                tell(told)
            elif told.status == "finished":
                pending.pop(told.key)
            else:
                raise _ended(failure(told))


def _ended(error: BaseException) -> BaseException:
    from distributed import KilledWorker

    if not isinstance(error, KilledWorker):
        return error
    return ConnectionError(
        "a run ended every process it was given to, which often means that memory ran out; what is finished is kept, "
        "and the same command goes on from there, better with fewer at once"
    )


def _on_worker(search: _Search, name: str, topic: str) -> None:
    """One trial, on a worker; one that this task had begun on another worker is gone on with.

    Args:
        search: Which.
        name: Of the task, which the trial remembers.
        topic: Under which records are told.
    Raises:
        InputError: If the worker does not see the folder, or the run cannot be done.
    """
    from distributed import get_worker

    worker, optuna = get_worker(), load_optuna()
    if not (search.folder / SETTINGS).is_file():
        raise InputError(f"the worker {worker.address} does not see {search.folder}; name a folder that all share.")

    def tell(record: Record) -> None:
        if not tell_client(worker, topic, record):
            raise _TrialDropped

    def run(trial: Any) -> float:
        trial.set_user_attr("task", name)
        return _run(optuna, trial, search.base, search.config, search.folder, tell)

    study = open_study(optuna, search.config, search.folder)
    take_up_again(optuna, study, search.folder, name)
    with _told(), suppress(_Enough):
        study.optimize(run, n_trials=1)


class _Full(BaseException):
    """The disk is full: to Optuna, too, a trial whose process has died, so that the next command goes on with it."""


class _Stopped(BaseException):
    """The user has stopped a run: its trial is not over, and the next command goes on with it."""


@contextmanager
def _told() -> Iterator[None]:
    """Makes a full disk bad input again once Optuna has let go."""
    try:
        yield
    except _Full as full:
        raise InputError(str(full)) from full


class _Enough(BaseException):
    """As many trials as asked for are over or at work, some of them in other processes that share the folder."""


class _TrialDropped(BaseException):
    """Nobody waits for the trial any more; to Optuna it is one whose process has died, and the next command goes on."""


def _check_same(base: FinetuneConfig, config: TuneConfig, folder: Path) -> None:
    """A folder is of one search: its settings are kept, and others refused; more trials are not."""
    now = {"base": to_dict(base), "search": {**to_dict(config), "trials": 0}}
    file = folder / SETTINGS
    if file.exists():
        if read_json(file) != now:
            raise InputError(
                f"{folder} holds a search with other settings: give those of {file}, or name another folder"
            )
        return
    write_json(file, now)


def _run(optuna: Any, trial: Any, base: FinetuneConfig, config: TuneConfig, folder: Path, tell: Tell) -> float:
    """One trial: the best validation quality of its run."""
    _drop_surplus(optuna, trial, config, folder)
    place = free_place(trial, trial.study.get_trials(deepcopy=False), folder)
    # Draws depend on the seed and the run's number alone: no two processes draw alike, whenever they begin.
    trial.study.sampler = optuna.samplers.RandomSampler(seed=(config.seed + number_of(place)) % _SEEDS)
    rate = trial.suggest_float("learning_rate", *config.learning_rate, log=True)
    weight = trial.suggest_float("gradient", *config.gradient)
    trial.set_user_attr("folder", place.name)
    run = replace(base, optimizer=replace(base.optimizer, learning_rate=rate), loss=replace(base.loss, gradient=weight))
    best, judge = -math.inf, "loss"
    for record in _records(run, place):
        tell({"trial": trial.number, **record})
        judge = record.get("judge", judge)
        if record["kind"] == "stop":
            raise _Stopped
        if record["kind"] != "epoch":
            continue
        value = quality(record, judge)
        if value is not None:
            best = max(best, value)
            trial.report(value, record["epoch"])
        if trial.should_prune():
            raise optuna.TrialPruned
    return best


def _drop_surplus(optuna: Any, trial: Any, config: TuneConfig, folder: Path) -> None:
    """Begin no trial beyond those asked for, whoever does the others."""
    others = [one for one in trial.study.get_trials(deepcopy=False) if one.number != trial.number]
    over = sum(one.state in _over(optuna) for one in others)
    running = [one for one in others if one.state is optuna.trial.TrialState.RUNNING]
    if over + sum(at_work(one, folder) for one in running) >= config.trials:
        trial.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        raise _Enough


def _records(run: FinetuneConfig, place: Path) -> Iterator[Record]:
    try:
        yield from finetune(run, place, resume=(place / CONFIG).is_file())
    except InputError as error:
        if is_full(error):
            raise _Full(str(error)) from error
        raise
