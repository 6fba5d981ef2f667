"""Random search over learning rate and regularisation (section 2.2.3), by Optuna; it goes on where it was cut off.

The trials are worked through here, or as tasks of Dask. All that is known of them is in the folder's journal: a trial
whose process has died is begun again with its settings, from its last checkpoint.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from RobustDIRLib.clusters import Errands, Place, Say, failure, opened, tell_client
from RobustDIRLib.configuration import read_json, refuse_seed, to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.finetuning.loop import finetune, quality
from RobustDIRLib.io.files import is_full, make_folder, write_json, written_atomically
from RobustDIRLib.run_files import MODEL, RECORDS
from RobustDIRLib.training.checkpoints import NAME

JOURNAL, SETTINGS, TABLE, PICTURE, BEST = "journal.log", "tune.json", "trials.csv", "trials.png", "best.json"
_HERE = Place()
Record = dict[str, Any]
Tell = Callable[[Record], None]


def _say_nothing(sentence: str) -> None:
    """Nobody to tell."""


@dataclass(frozen=True)
class TuneConfig:
    """A search; the ranges are the paper's.

    Attributes:
        trials: How many runs, 17 in the paper.
        learning_rate: Range, drawn evenly over its logarithm.
        gradient: Range of the weight of Eq. 3.
        warm_up: Epochs before a run may be given up for being worse than the median of those before it.
        prune: Whether runs may be given up.
        seed: Of the draws.
    """

    trials: int = 17
    learning_rate: tuple[float, float] = (5e-5, 1e-3)
    gradient: tuple[float, float] = (0.0, 10.0)
    warm_up: int = 5
    prune: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trials < 1 or self.warm_up < 0:
            raise ValueError("trials must be at least 1 and warm_up not negative")
        refuse_seed(self.seed)
        if not 0 < self.learning_rate[0] <= self.learning_rate[1] or not 0 <= self.gradient[0] <= self.gradient[1]:
            raise ValueError("learning_rate and gradient hold a lower and an upper bound, learning rates above 0")


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
        The best trial: `trial`, `value` (Dice, or minus TRE or loss), `learning_rate`, `gradient`, `file`.
    Raises:
        InputError: If Optuna is not there, the folder holds another search, or no trial came to its end.
        ConnectionError: If the cluster has gone, or a run ends all processes it is given to.
    """
    optuna = _optuna()
    make_folder(folder)
    _check_same(base, config, folder)
    study = _study(optuna, config, folder, _begun(folder))
    _take_up_again(optuna, study, folder)
    left = config.trials - len(study.get_trials(states=_over(optuna)))
    jobs = min(place.jobs, max(left, 1))
    if left > 0 and (jobs > 1 or place.far):
        _spread(_Search(base, config, folder.absolute()), left, replace(place, jobs=jobs), tell, say)
    elif left > 0:
        enough = optuna.study.MaxTrialsCallback(config.trials, states=_over(optuna))
        with _told():
            study.optimize(lambda trial: _run(optuna, trial, base, config, folder, tell), callbacks=[enough])
    return _sum_up(optuna, study, folder)


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
        errands, begun = Errands(client), _begun(search.folder)
        pending = {}
        for number in range(count):
            name = f"trial-{uuid.uuid4().hex}"
            pending[name] = errands.submit(name, _on_worker, search, begun + number, name, errands.topic)
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


def _on_worker(search: _Search, seed: int, name: str, topic: str) -> None:
    """One trial, on a worker; one that this task had begun on another worker is gone on with.

    Args:
        search: Which.
        seed: Added to that of the draws, so that no two processes draw alike.
        name: Of the task, which the trial remembers.
        topic: Under which records are told.
    Raises:
        InputError: If the worker does not see the folder, or the run cannot be done.
    """
    from distributed import get_worker

    worker, optuna = get_worker(), _optuna()
    if not (search.folder / SETTINGS).is_file():
        raise InputError(f"the worker {worker.address} does not see {search.folder}; name a folder that all share.")

    def tell(record: Record) -> None:
        if not tell_client(worker, topic, record):
            raise _TrialDropped

    def run(trial: Any) -> float:
        trial.set_user_attr("task", name)
        return _run(optuna, trial, search.base, search.config, search.folder, tell)

    study = _study(optuna, search.config, search.folder, seed)
    _take_up_again(optuna, study, search.folder, name)
    with _told():
        study.optimize(run, n_trials=1)


class _Full(BaseException):
    """The disk is full: to Optuna, too, a trial whose process has died, so that the next command goes on with it."""


@contextmanager
def _told() -> Iterator[None]:
    """Makes a full disk bad input again once Optuna has let go."""
    try:
        yield
    except _Full as full:
        raise InputError(str(full)) from full


class _TrialDropped(BaseException):
    """Nobody waits for the trial any more; to Optuna it is one whose process has died, and the next command goes on."""


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise InputError("the random search needs Optuna: pip install 'robustdir[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


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


def _mend_journal(optuna: Any, path: Path) -> None:
    """Take away half a line with which a kill or a full disk ended the journal: nothing after it could be read."""
    if not path.exists() or path.read_bytes()[-1:] in (b"", b"\n"):
        return
    lock = optuna.storages.journal.JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    finally:
        lock.release()


def _study(optuna: Any, config: TuneConfig, folder: Path, seed: int) -> Any:
    """The search as its journal tells it.

    Raises:
        InputError: If the journal is damaged.
    """
    _mend_journal(optuna, folder / JOURNAL)
    try:
        return _opened_study(optuna, config, folder, seed)
    except json.JSONDecodeError as error:
        raise InputError(f"{folder / JOURNAL} is damaged; begin the search anew in another folder.") from error


def _opened_study(optuna: Any, config: TuneConfig, folder: Path, seed: int) -> Any:
    backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
    pruner = optuna.pruners.MedianPruner(n_warmup_steps=config.warm_up) if config.prune else optuna.pruners.NopPruner()
    sampler = optuna.samplers.RandomSampler(seed=config.seed + seed)
    return optuna.create_study(
        study_name="robustdir",
        storage=optuna.storages.JournalStorage(backend),
        sampler=sampler,
        pruner=pruner,
        direction="maximize",
        load_if_exists=True,
    )


def _begun(folder: Path) -> int:
    """How many trials were begun: a search that goes on must not draw the same settings again."""
    return len(list(folder.glob("trial_*")))


def _take_up_again(optuna: Any, study: Any, folder: Path, task: str | None = None) -> None:
    """Trials that a kill left behind are begun again with their settings, from their last checkpoint.

    Args:
        optuna: The package.
        study: Of the search.
        folder: Of the search.
        task: Of Dask, whose trial alone is looked for; the others' may be at their very beginning.
    """
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        place = _place(trial, folder)
        if (task is not None and trial.user_attrs.get("task") != task) or _at_work(place):
            continue
        with suppress(ValueError):  # another process was quicker
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            if trial.params:
                study.enqueue_trial(trial.params, user_attrs={"folder": place.name})


def _place(trial: Any, folder: Path) -> Path:
    """Where the run of a trial lies: one that is gone on with keeps its folder."""
    return folder / str(trial.user_attrs.get("folder", f"trial_{trial.number:03d}"))


def _at_work(place: Path) -> bool:
    """Whether a process holds the folder of a trial."""
    from RobustDIRLib.io.lock import Rank, locked

    if not place.exists():
        return False
    try:
        with locked(place, Rank.alone()):
            return False
    except InputError:
        return True


def _run(optuna: Any, trial: Any, base: FinetuneConfig, config: TuneConfig, folder: Path, tell: Tell) -> float:
    """One trial: the best validation quality of its run."""
    rate = trial.suggest_float("learning_rate", *config.learning_rate, log=True)
    weight = trial.suggest_float("gradient", *config.gradient)
    place = _place(trial, folder)
    trial.set_user_attr("folder", place.name)
    run = replace(base, optimizer=replace(base.optimizer, learning_rate=rate), loss=replace(base.loss, gradient=weight))
    best, judge = -math.inf, "loss"
    begun = (place / NAME).exists()
    for name in () if begun else (MODEL, RECORDS):  # of a trial that was killed before its first checkpoint
        (place / name).unlink(missing_ok=True)
    for record in _records(run, place, begun):
        tell({"trial": trial.number, **record})
        judge = record.get("judge", judge)
        if record["kind"] == "stop":
            trial.study.stop()
            raise optuna.TrialPruned
        if record["kind"] != "epoch":
            continue
        value = quality(record, judge)
        if value is not None:
            best = max(best, value)
            trial.report(value, record["epoch"])
        if trial.should_prune():
            raise optuna.TrialPruned
    return best


def _records(run: FinetuneConfig, place: Path, begun: bool) -> Iterator[Record]:
    try:
        yield from finetune(run, place, resume=begun)
    except InputError as error:
        if is_full(error):
            raise _Full(str(error)) from error
        raise


def _rows(optuna: Any, study: Any) -> Iterator[Record]:
    for trial in study.get_trials():
        if trial.state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED):
            values = trial.intermediate_values
            yield {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "learning_rate": trial.params.get("learning_rate"),
                "gradient": trial.params.get("gradient"),
                "value": max(values.values()) if values else None,
                "epochs": max(values, default=0),
                "folder": trial.user_attrs.get("folder"),
            }


def _sum_up(optuna: Any, study: Any, folder: Path) -> Record:
    """Table, picture, and the best trial."""
    rows = list(_rows(optuna, study))
    done = [row for row in rows if row["value"] is not None]
    if not done:
        raise InputError(f"no trial in {folder} came to its end; run the same command again.")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    best = max(done, key=lambda row: row["value"])
    best = {**best, "file": str(folder / str(best["folder"]) / MODEL)}
    with written_atomically(folder / TABLE) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    write_json(folder / BEST, best)
    _draw(done, folder / PICTURE)
    return best


def _draw(rows: list[Record], path: Path) -> None:
    """Quality over learning rate and weight; nothing where matplotlib is not there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(8, 3.6), dpi=100, layout="constrained")
    for ax, (name, title) in zip(
        figure.subplots(1, 2, sharey=True),
        (("learning_rate", "learning rate"), ("gradient", "weight of the gradient term")),
        strict=True,
    ):
        for state, mark in (("complete", "o"), ("pruned", "x")):
            chosen = [row for row in rows if row["state"] == state]
            ax.plot([r[name] for r in chosen], [r["value"] for r in chosen], mark, label=state)
        ax.set_xlabel(title)
    figure.axes[0].set_xscale("log")
    figure.axes[0].set_ylabel("best validation quality")
    figure.axes[1].legend()
    with written_atomically(path) as temporary:
        figure.savefig(temporary)
