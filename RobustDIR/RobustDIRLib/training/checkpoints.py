"""Checkpoints: all a run needs to go on, written so that a kill at any moment leaves a loadable file."""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.archives import check_archive
from RobustDIRLib.io.files import reason_not_written
from RobustDIRLib.run_files import CHECKPOINT

FORMAT = "robustdir-checkpoint-1"
NAME = CHECKPOINT
# What a state holds by these names: of every run, and of some.
_ALWAYS = {"network": dict, "weights": dict, "average": dict, "optimizer": dict, "scaler": dict, "step": int,
           "skipped": int, "average_updates": int}  # fmt: skip
_SOMETIMES = {"config": dict, "finetune": dict, "history": list, "best": dict, "checksums": dict, "alignments": list,
              "data": dict}  # fmt: skip


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a run's state: tensors, numbers, text and containers of them only.

    To a temporary name in the same folder, flushed to disk, then renamed. The name is always the same, so that a run
    that is killed often leaves one half-written file at most.

    Raises:
        InputError: If it cannot be written; the one before stays.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        if (reason := reason_not_written(error, temporary)) is None:
            raise
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written ({reason}); free some space and resume.") from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a run's state; nothing in the file is executed.

    Raises:
        InputError: If the file is missing, truncated, or is no checkpoint of ours.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path of the checkpoint")
    if not path.is_file():
        raise InputError(f"{path} is no file; give the checkpoint.pt of a run's folder.")
    check_archive(path, "a checkpoint")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not a readable checkpoint (truncated or foreign): use another file") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError(f"{path} is not a checkpoint of RobustDIR: use the checkpoint.pt of a run's folder")
    kinds = {**_ALWAYS, **{name: kind for name, kind in _SOMETIMES.items() if name in state}}
    if wrong := [name for name, kind in kinds.items() if not isinstance(state.get(name), kind)]:
        raise InputError(f"{path} is not a whole checkpoint ({', '.join(wrong)}): use the one that the run wrote")
    return state
