"""One process, watched without waiting: no Qt, no threads. Whoever has a timer calls `poll`.

What it prints goes into a file, so that it goes on when whoever started it ends; lines of JSON with an `event` or a
`kind` are events, all others are log.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import check_room, is_full
from RobustDIRLib.runner.launching import launch
from RobustDIRLib.runner.lines import LineReader, as_object
from RobustDIRLib.runner.reasons import exit_code_of
from RobustDIRLib.runner.trees import Identity, Tree

GRACE_SECONDS = 2.0
_KILL_SECONDS = 2.0
_MOST_LOG_LINES = 2000
_LEAST_ROOM = 1 << 16  # bytes; a file system keeps a few blocks to itself


@dataclass
class Polled:
    """What a process has said since it was last asked, and whether it is over.

    Attributes:
        events: JSON objects, in order.
        log: Other lines, in order.
        exit_code: None while it runs, and of a process that another one started; negative if a signal ended it.
        over: Whether it is over; its output is whole then.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    exit_code: int | None = None
    over: bool = False


class Job:
    """One process that this one starts.

    Args:
        command: Program and arguments.
        stop_file: Made to ask the process to end by itself; without one Ctrl-C asks, where there is such a thing.
        environment: Added to this process's own.
        output: File that its output is appended to; a temporary one by default.
    Raises:
        InputError: If it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        stop_file: Path | None = None,
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
    ) -> None:
        self._temporary = None if output else _temporary_file()
        path = output or self._temporary
        assert path is not None
        offset = path.stat().st_size if path.exists() else 0
        try:
            process = launch(command, path, environment)
        except BaseException:
            self._tidy()
            raise
        self._watch(Identity.of(process.pid, tuple(command)), process, stop_file, LineReader(path, offset))

    @classmethod
    def attached(cls, identity: Identity, stop_file: Path | None, output: LineReader, leads_group: bool) -> Job:
        """A process that another one started, such as a Slicer that was quit since.

        Args:
            identity: Its own.
            stop_file: As above.
            output: Reads its output, from where it begins.
            leads_group: Whether it was started as above, in a process group of its own.
        """
        job = cls.__new__(cls)
        job._temporary = None
        job._watch(identity, None, stop_file, output, leads_group)
        return job

    def _watch(
        self,
        identity: Identity,
        process: subprocess.Popen[bytes] | None,
        stop_file: Path | None,
        output: LineReader,
        leads_group: bool = True,
    ) -> None:
        self.identity, self.stop_file, self.output = identity, stop_file, output
        self.log: list[str] = []
        self.forced = self.unasked = False
        self._process, self._tree = process, Tree(identity, leads_group)
        self._kill_at: float | None = None
        self._ended: Polled | None = None

    @property
    def process_id(self) -> int:
        """Of the process started, which leads its group."""
        return self.identity.pid

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._kill_at is not None

    def poll(self) -> Polled:
        """What has happened since the last call; returns at once."""
        if self._ended is not None:
            return Polled(exit_code=self._ended.exit_code, over=True)
        over, exit_code = self._is_over()
        if over:
            self._tree.kill(_KILL_SECONDS)  # a launcher ended from outside leaves its child behind
        elif self._kill_at is not None and time.monotonic() > self._kill_at:
            self.forced = True
            self._tree.kill(_KILL_SECONDS)
        else:
            self._tree.look()
        polled = _sorted(self.output.finish() if over else self.output.read())
        polled.over, polled.exit_code = over, exit_code
        if exit_code and self._disk_is_full():  # then its own words could not be written either
            polled.log.append(f"{os.strerror(errno.ENOSPC)}: {self.output.path.parent}")
        self.log = [*self.log, *polled.log][-_MOST_LOG_LINES:]
        if over:
            self._ended = polled
            self._tidy()
        return polled

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Ask the process to end; `poll` kills its whole tree if it does not within so many seconds."""
        if self._kill_at is None:
            self.unasked = not self._ask()
            self._kill_at = time.monotonic() + (0.0 if self.unasked else grace)

    def kill(self) -> None:
        """End the whole tree now, and wait for it: for when nobody will poll any more."""
        self._tree.kill(_KILL_SECONDS)
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # then it hangs in the kernel, out of reach
                self._process.wait(_KILL_SECONDS)
        self._tidy()

    def _is_over(self) -> tuple[bool, int | None]:
        if self._process is not None:
            code = self._process.poll()
            return code is not None, None if code is None else exit_code_of(code, self.forced)
        return not self.identity.alive, None

    def _disk_is_full(self) -> bool:
        try:
            check_room(self.output.path, _LEAST_ROOM)
        except OSError as error:
            return is_full(error)
        return False

    def _ask(self) -> bool:
        """Whether the process could be asked."""
        if self.stop_file is None:
            return self._interrupt()
        try:
            self.stop_file.touch()
        except OSError:  # a full disk, a folder taken away: then there is nothing to wait for
            return False
        return True

    def _interrupt(self) -> bool:
        """Ctrl-C, as a terminal gives it to all of a group."""
        if os.name != "posix":
            return False
        asked = False
        for process in self._tree.living():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGINT)
                asked = True
        return asked

    def _tidy(self) -> None:
        if self._temporary is not None:
            with contextlib.suppress(OSError):  # on Windows, while whoever writes it is still ending
                self._temporary.unlink(missing_ok=True)


def _temporary_file() -> Path:
    try:
        descriptor, name = tempfile.mkstemp(prefix="robustdir-", suffix=".txt")
    except OSError as error:
        raise InputError(
            f"{tempfile.gettempdir()} cannot take what a process says ({error.strerror}); free some space there."
        ) from error
    os.close(descriptor)
    return Path(name)


def _sorted(lines: Sequence[str]) -> Polled:
    polled = Polled()
    for text in lines:
        event = as_object(text)
        if event is not None and ("event" in event or "kind" in event):
            polled.events.append(event)
        else:
            polled.log.append(text)
    return polled
