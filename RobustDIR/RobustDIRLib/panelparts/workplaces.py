"""Folders of the panel's own under the application's temporary one: made, taken away, and cleared of what a crash left.

A folder bears the number of the process that made it, so that another 3D Slicer's work is never taken for a leftover.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.processes import process_exists
from RobustDIRLib.panelparts.exchange import delete_in_steps
from RobustDIRLib.panelparts.words import _

_NAME = re.compile(r"RobustDIR-(?:run|work)-(?:(\d+)-)?.+")


def new_workplace(parent: Path) -> Path:
    """An empty folder.

    Raises:
        InputError: If it cannot be made.
    """
    try:
        return Path(tempfile.mkdtemp(dir=parent, prefix=f"RobustDIR-run-{os.getpid()}-"))
    except OSError as error:
        raise InputError(
            _(
                "{parent} cannot take the panel's files ({reason}); free some space there, or choose "
                "another temporary folder in the application settings."
            ).format(parent=parent, reason=error.strerror)
        ) from error


def remove_workplace(folder: Path) -> None:
    """Delete such a folder with all that is in it; any other is left alone."""
    if _NAME.fullmatch(folder.name):
        shutil.rmtree(folder, ignore_errors=True)


def remove_in_steps(folder: Path) -> Iterator[None]:
    """As `remove_workplace`, some megabytes between two yields."""
    if _NAME.fullmatch(folder.name):
        for path in [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]:
            yield from delete_in_steps(path)
        remove_workplace(folder)


def purge(parent: Path) -> None:
    """Delete the folders of processes that are no more: of a 3D Slicer that crashed or was killed."""
    for folder in parent.glob("RobustDIR-*"):
        found = _NAME.fullmatch(folder.name)
        if found and folder.is_dir() and not folder.is_symlink() and not (found[1] and process_exists(int(found[1]))):
            remove_workplace(folder)
