"""Where runs are put: a folder of the user's, kept in the application's settings, with a new folder for each run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import make_folder
from RobustDIRLib.panelparts.settings import keep_setting, kept_setting
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.trainpanel.dataset_files import tame

SETTING = "RobustDIRTrain/RunsFolder"
_NAME = "RobustDIR runs"


def runs_home() -> Path:
    """The folder that holds the runs; in the user's documents until the user chooses another. It need not exist."""
    if chosen := kept_setting(SETTING):
        return Path(chosen)
    documents = Path.home() / "Documents"
    return (documents if documents.is_dir() else Path.home()) / _NAME


def set_runs_home(folder: Path) -> None:
    """Put new runs there from now on; those of before stay where they are.

    Raises:
        InputError: If the settings cannot be written.
    """
    keep_setting(SETTING, str(folder.absolute()))


@contextmanager
def new_run(kind: str, title: str = "") -> Iterator[Path]:
    """A folder of `new_run_folder` for a run that is started within: where that fails no folder without a run stays."""
    folder = new_run_folder(kind, title)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def new_run_folder(kind: str, title: str = "") -> Path:
    """An empty folder for a run, made, whose name says when it began, what it is and of what.

    Args:
        kind: Subcommand, such as `finetune`.
        title: For people, such as the data set's name; what no file system takes is left out.
    Raises:
        InputError: If it cannot be made.
    """
    home = runs_home()
    make_folder(home)
    words = "-".join(part for part in (time.strftime("%Y-%m-%d-%H%M%S"), kind, tame(title)) if part)
    for number in range(1, 1000):
        folder = home / (words if number == 1 else f"{words}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(
                _("{folder} cannot be made ({reason}); choose another runs folder.").format(
                    folder=folder, reason=error.strerror
                )
            ) from error
        return folder
    raise InputError(_("{home} has no free name for a run; choose another runs folder.").format(home=home))
