"""How a command of the library is started: which Python, where it finds the library, in a process group of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError

LIBRARY_HOME = Path(__file__).resolve().parents[2]
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # a console would flash up on Windows


def python_executable() -> str:
    """`PythonSlicer` inside the application, this interpreter outside it."""
    return shutil.which("PythonSlicer") or sys.executable


def library_command(*words: str) -> list[str]:
    """The command line that runs a subcommand of `robustdir` in a process of its own."""
    return [python_executable(), "-m", "RobustDIRLib", *words]


def launch(
    command: Sequence[str], output: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one if need be: it leads a group of its own and holds no pipe.

    Args:
        command: Program and arguments.
        output: File to which standard output and error are appended.
        environment: Added to this process's own.
    Raises:
        InputError: If it cannot be started, or the file not be written.
    """
    try:
        file = output.open("ab")
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}); choose another folder.") from error
    try:
        with file, _heeding_interrupts():
            return subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=_environment(environment or {}),
                **_own_group(),
            )
    except OSError as error:
        raise InputError(
            f"{command[0]} cannot be started ({error.strerror}); reinstall 3D Slicer or RobustDIR."
        ) from error


@contextmanager
def _heeding_interrupts() -> Iterator[None]:
    """Lets a new process heed Ctrl-C where this one, started in the background of a script, does not."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, with the library to be found and output that is neither buffered nor re-encoded."""
    paths = [str(LIBRARY_HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        **added,
    }


def _own_group() -> dict[str, Any]:
    if os.name != "nt":
        return {"start_new_session": True}
    return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | _NO_WINDOW}
