"""A folder of this process alone, that goes with it; what processes left that could not clear up goes then, too."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import tempfile
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, where a killed process's folder stays
    fcntl = None  # type: ignore[assignment]

PREFIX = "slicer-headless-"
_LOCK = "lock"  # the system lets it go when the process ends, however it ends


@functools.cache
def own() -> Path:
    """The folder, made at the first call."""
    _sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    held = _locked(folder)
    atexit.register(_remove, folder, held)
    return folder


def _locked(folder: Path) -> IO[str]:
    """The folder's lock, which has its name only once it is held: others never find it free."""
    beginning = folder / f"{_LOCK}.new"
    held = beginning.open("w")
    if fcntl:
        fcntl.flock(held, fcntl.LOCK_EX)
        beginning.rename(folder / _LOCK)
    return held


def _remove(folder: Path, held: IO[str]) -> None:
    held.close()
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(temporary: Path) -> None:
    for lock in temporary.glob(f"{PREFIX}*/{_LOCK}") if fcntl else ():
        with contextlib.suppress(OSError), lock.open("r+") as held:  # held elsewhere, or another user's
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
