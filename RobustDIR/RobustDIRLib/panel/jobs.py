"""A command of the library in a process of its own, watched without waiting: no Qt, no threads.

The process runs in its own process group, since Slicer's `PythonSlicer` is a launcher whose child outlives it: stopping
means stopping the whole tree. What it prints comes through one pipe that is never waited for: lines of JSON with an
`event` are events, all others are log. Whoever has a timer calls `poll`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError

LIBRARY_HOME = Path(__file__).resolve().parents[2]
GRACE_SECONDS = 2.0
OUT_OF_MEMORY = "Memory ran out; close other programs or crop the volumes, and register again."
_CHUNK = 1 << 16
_MOST_LOG_LINES = 2000
_LAST_LINES = 100
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # a console would flash up on Windows


def python_executable() -> str:
    """`PythonSlicer` inside the application, this interpreter outside it."""
    return shutil.which("PythonSlicer") or sys.executable


def library_command(*words: str) -> list[str]:
    """The command line that runs a subcommand of `robustdir` in a process of its own."""
    return [python_executable(), "-m", "RobustDIRLib", *words]


@dataclass
class Polled:
    """What a process has said since it was last asked, and whether it is over.

    Attributes:
        events: JSON objects, in order.
        log: Other lines, in order.
        exit_code: None while it runs; negative if a signal ended it.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    exit_code: int | None = None


class Job:
    """One running process.

    Args:
        command: Program and arguments.
        stop_file: Made to ask the process to end by itself; it is killed if it has not after `GRACE_SECONDS`.
        environment: Added to this process's own.
    Raises:
        InputError: If it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], stop_file: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.stop_file = stop_file
        self.log: list[str] = []
        self._rest = b""
        self._kill_at: float | None = None
        self._open = True
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=_environment(environment or {}),
                **_own_group(),
            )
        except OSError as error:
            raise InputError(
                f"{command[0]} cannot be started ({error.strerror}); reinstall 3D Slicer or RobustDIR."
            ) from error
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    @property
    def process_id(self) -> int:
        """Of the process started, which leads its group."""
        return self._process.pid

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._kill_at is not None

    def poll(self) -> Polled:
        """What has happened since the last call; returns at once."""
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            self._kill_tree()
        ended = self._process.poll()
        polled = self._split(self._read(), ended is not None)
        polled.exit_code = ended
        self.log = [*self.log, *polled.log][-_MOST_LOG_LINES:]
        if ended is not None:
            self._kill_group()  # a launcher ended from outside leaves its child behind
            self._close()
        return polled

    def stop(self) -> None:
        """Ask the process to end; `poll` kills its whole tree if it does not within `GRACE_SECONDS`."""
        if self._kill_at is not None:
            return
        asked = False
        if self.stop_file is not None:
            try:
                self.stop_file.touch()
                asked = True
            except OSError:  # a full disk, a folder taken away: then there is nothing to wait for
                pass
        self._kill_at = time.monotonic() + (GRACE_SECONDS if asked else 0.0)

    def kill(self) -> None:
        """End the whole tree now, and wait for it: for when nobody will poll any more."""
        self._kill_tree()
        with contextlib.suppress(subprocess.TimeoutExpired):  # then it hangs in the kernel, out of reach
            self._process.wait(GRACE_SECONDS)
        self._close()

    def _read(self) -> bytes:
        """All that waits in the pipe."""
        assert self._process.stdout is not None
        data = b""
        while self._open:
            try:
                part = os.read(self._process.stdout.fileno(), _CHUNK)
            except BlockingIOError:
                break
            except OSError:  # a broken pipe says no more than the exit code does
                break
            if not part:
                break
            data += part
        return data

    def _split(self, data: bytes, ended: bool) -> Polled:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if ended and self._rest:
            lines, self._rest = [*lines, self._rest], b""
        polled = Polled()
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip()
            event = _event(text)
            if event is not None:
                polled.events.append(event)
            elif text:
                polled.log.append(text)
        return polled

    def _close(self) -> None:
        if self._open and self._process.stdout is not None:
            self._open = False
            self._process.stdout.close()

    def _kill_tree(self) -> None:
        """The process and all it started."""
        if os.name == "nt" and self._process.poll() is None:
            subprocess.run(
                ["taskkill", "/F", "/T", "/PID", str(self._process.pid)],
                capture_output=True,
                check=False,
                timeout=10,
                creationflags=_NO_WINDOW,
            )
        self._kill_group()

    def _kill_group(self) -> None:
        if os.name == "nt" or not self._open:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left in it
            os.killpg(self._process.pid, signal.SIGKILL)


def _event(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        event = json.loads(text)
    except json.JSONDecodeError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


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


def reason_of_mistake(error: Exception) -> str:
    """One sentence on an error that nobody foresaw; its traceback belongs beside it."""
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"That failed by a mistake in RobustDIR ({words}); please report it, with the application's log."


def reason_of_exit(exit_code: int, log: Sequence[str], said: str = "") -> str:
    """One sentence on why a process ended.

    Args:
        exit_code: Negative if a signal ended it.
        log: Its last lines.
        said: What it gave as the reason itself, if it did; a full disk has many faces, and its own sentence here.
    """
    last = next((line for line in reversed(log) if line.strip()), "")
    if any("No space left" in line or "ENOSPC" in line for line in (said, *log[-_LAST_LINES:])):
        return "The disk of the run folder is full; free some space and register again."
    if said:
        return said
    if last.startswith("MemoryError"):
        return OUT_OF_MEMORY
    if exit_code in (-9, 137, -15, 143):
        return (
            "The registration's process was ended from outside, by someone or because memory ran out; close other "
            "programs and register again."
        )
    return (
        f"The registration's process ended unexpectedly (code {exit_code}{f': {last}' if last else ''}); see the log."
    )
