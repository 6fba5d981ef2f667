"""Deleting a run: what runs of its kind write and nothing else, and never while someone is at work."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.lock import Rank, locked
from RobustDIRLib.run_files import CHECKPOINT, CONFIG, DEFORMATION_MODEL, EVALUATION, MODEL, RECORDS, SPLIT, SUMMARY
from RobustDIRLib.runner.folders import (
    DEFORMATIONS,
    EVALUATE,
    FINETUNE,
    NOTE,
    OUTPUT,
    PAUSE,
    PRETRAIN,
    RECORDED,
    STOP,
    is_run,
    kind_of,
    read_note,
    read_object,
)
from RobustDIRLib.runner.watching import refuse_busy

# All that runs of a kind write; what else lies in a folder is not the run's to delete.
_OWN = (
    NOTE,
    OUTPUT,
    STOP,
    PAUSE,
    CONFIG,
    RECORDS,
    CHECKPOINT,
    SUMMARY,
    MODEL,
    f"{MODEL}.sha256",
    SPLIT,
    "settings.json",
    "bank.json",
)
_OWN_OF_KIND = {
    PRETRAIN: ("bank",),
    FINETUNE: ("failed_pair.pt",),
    EVALUATE: (
        *(EVALUATION, "results", "candidates", "pairs.csv", "landmarks.csv", "labels.csv", "report.html"),
        *("tables", "figures", "worst"),
    ),
    DEFORMATIONS: (DEFORMATION_MODEL, "pairs", "card.json", "samples.png"),
}  # fmt: skip


def delete_run(folder: Path) -> list[str]:
    """Delete what a run wrote, and the folder if nothing else is in it.

    Returns:
        Names of what is not the run's and was left.
    Raises:
        InputError: If someone is at work there, it is no run, or not all can be deleted.
    """
    if not folder.is_dir() or not is_run(folder):
        raise InputError(f"{folder} holds no run; nothing was deleted.")
    refuse_busy(folder)
    note = None
    with suppress(InputError):
        note = read_note(folder)
    kind = kind_of(folder, note, read_object(folder / CONFIG))
    if kind not in (*RECORDED, *_OWN_OF_KIND):
        raise InputError(f"{folder} is of a kind of run that is not deleted from here; delete it by hand.")
    with locked(folder, Rank.alone()):  # nobody may begin meanwhile
        for path in (folder / name for name in _OWN):
            if path.is_symlink() or not path.is_dir():  # they are files: a folder of such a name is the user's
                _remove(path)
        for name in _OWN_OF_KIND.get(kind, ()):
            _remove(folder / name)
    left = sorted(entry.name for entry in os.scandir(folder))
    if not left:
        folder.rmdir()
    return left


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be deleted ({error.strerror}); close what has it open, and try again."
        ) from error
