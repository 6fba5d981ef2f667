"""The journal of a random search: Optuna's record of all trials, from which a search goes on where it was cut off."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.finetuning.config import TuneConfig
from RobustDIRLib.io.lock import holders
from RobustDIRLib.run_files import CONFIG

JOURNAL = "journal.log"
_GIVEN = "fixed_params"  # what Optuna notes of a trial that is begun again
_BEGINNING_S = 1.0  # from its line in the journal to the lock of its folder a trial takes less


def load_optuna() -> Any:
    """The package, told to be quiet.

    Raises:
        InputError: If it is not there.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError("the random search needs Optuna: pip install 'robustdir[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


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


def open_study(optuna: Any, config: TuneConfig, folder: Path) -> Any:
    """The search as its journal tells it.

    Raises:
        InputError: If the journal is damaged, or cannot be read or written.
    """
    try:
        _mend_journal(optuna, folder / JOURNAL)
        return _opened_study(optuna, config, folder)
    except OSError as error:
        raise InputError(
            f"{folder / JOURNAL} cannot be written ({error.strerror}); free some space, or choose another folder."
        ) from error
    # Optuna's reader looks at no type: words of JSON that are none of its own make it raise any of these.
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise InputError(f"{folder / JOURNAL} is damaged; begin the search anew in another folder.") from error


def _opened_study(optuna: Any, config: TuneConfig, folder: Path) -> Any:
    backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
    pruner = optuna.pruners.MedianPruner(n_warmup_steps=config.warm_up) if config.prune else optuna.pruners.NopPruner()
    return optuna.create_study(
        study_name="robustdir",
        storage=optuna.storages.JournalStorage(backend),
        sampler=optuna.samplers.RandomSampler(),
        pruner=pruner,
        direction="maximize",
        load_if_exists=True,
    )


def take_up_again(optuna: Any, study: Any, folder: Path, task: str | None = None) -> None:
    """Trials that a kill left behind are begun again with their settings, from their last checkpoint.

    Args:
        optuna: The package.
        study: Of the search.
        folder: Of the search.
        task: Of Dask, whose trial alone is looked for; the others' may be at their very beginning.
    """
    if _left_behind(optuna, study, folder, task) and task is None:  # another command's will soon be seen at work
        time.sleep(_BEGINNING_S)
    for trial in _left_behind(optuna, study, folder, task):
        with suppress(ValueError):  # another process was quicker
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            # One that had not drawn all yet draws anew, by its number: what a run draws depends on that alone.
            params = trial.params if "folder" in trial.user_attrs else {}
            place = free_place(trial, study.get_trials(deepcopy=False), folder)
            study.enqueue_trial(params, user_attrs={"folder": place.name})


def _left_behind(optuna: Any, study: Any, folder: Path, task: str | None) -> list[Any]:
    running = study.get_trials(states=(optuna.trial.TrialState.RUNNING,))
    mine = [trial for trial in running if task is None or trial.user_attrs.get("task") == task]
    return [trial for trial in mine if not at_work(trial, folder)]


def free_place(trial: Any, trials: Sequence[Any], folder: Path) -> Path:
    """Where the run of a trial lies: one that is gone on with keeps its folder.

    A new one is numbered among the new ones, so that a search that was killed has the same runs as one that was not;
    it takes no folder of another trial, nor of a run that the journal does not know of, as after its loss.

    Args:
        trial: Which.
        trials: All of the search.
        folder: Of the search.
    """
    if "folder" in trial.user_attrs:
        return folder / str(trial.user_attrs["folder"])
    others = [one for one in trials if one.number != trial.number]
    taken = {one.user_attrs.get("folder") for one in others}
    first = sum(one.number < trial.number and _GIVEN not in one.system_attrs for one in others)
    places = (folder / _name(number) for number in count(first))
    return next(place for place in places if place.name not in taken and not (place / CONFIG).exists())


def _name(number: int) -> str:
    """Of a run's folder."""
    return f"trial_{number:03d}"


def number_of(place: Path) -> int:
    """The number of a run, by its folder's name."""
    return int(place.name.rpartition("_")[2])


def at_work(trial: Any, folder: Path) -> bool:
    """Whether a process holds the folder of a trial, which it knows before it begins."""
    return "folder" in trial.user_attrs and bool(holders(folder / str(trial.user_attrs["folder"])))
