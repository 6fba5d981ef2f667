"""A run in a folder, started here or found at work: what it is at, its curves, and how it is stopped. No Qt.

Whoever has a timer calls `WatchedRun.poll`. A run goes on when nobody watches it, and is found again by its folder.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import make_folder
from RobustDIRLib.run_files import CONFIG, RECORDS
from RobustDIRLib.runner.folders import (
    OUTPUT,
    PAUSABLE,
    PAUSE,
    RECORDED,
    RESULTS,
    STOP,
    Note,
    amend_note,
    kind_of,
    place_of,
    read_note,
    read_object,
    signature,
    telltale,
    worker_of,
    write_note,
)
from RobustDIRLib.runner.following import Follower
from RobustDIRLib.runner.history import History
from RobustDIRLib.runner.job import Job, Polled
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.runner.lines import LineReader, tail
from RobustDIRLib.runner.reasons import DEAF, KILLED, last_error, reason_of_exit
from RobustDIRLib.runner.states import Evidence, RunState, judge

GRACE_SECONDS = 3.0  # with the time that ending a tree takes, an answer within 5 s
_AGAIN = "resume the run"
_TAIL = 1 << 16


def start(
    folder: Path,
    words: Sequence[str],
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] | None = None,
) -> WatchedRun:
    """Start a subcommand of `robustdir` as the run of a folder.

    Args:
        folder: Of the run; made if needed.
        words: Subcommand and arguments; they name the folder.
        environment: Added to this process's own.
        program: Instead of this library's, what comes before the words.
    Raises:
        InputError: If someone is at work there, or the process cannot be started.
    """
    make_folder(folder)
    refuse_busy(folder)
    for name in (STOP, PAUSE):  # left over, they would end it before it began
        _take_away(folder / name)
    command = library_command(*words) if program is None else [*program, *words]
    output = LineReader(folder / OUTPUT, signature(folder / OUTPUT)[0])
    before = signature(folder / telltale(words[0]))
    stop_file = folder / STOP if words[0] in RECORDED else None
    job = Job(command, stop_file, environment, folder / OUTPUT)
    identity = job.identity
    note = Note(
        identity.words, identity.pid, identity.started, socket.gethostname(), place_of(folder), time.time(),
        output.offset, before,
    )  # fmt: skip
    try:
        write_note(folder, note)
    except BaseException:
        job.kill()
        raise
    return WatchedRun(folder, job, note)


def attach(folder: Path) -> WatchedRun | None:
    """Watch the run of a folder that another process started; None if nobody is at work there.

    Raises:
        InputError: If it was started by a newer version.
    """
    note = read_note(folder)
    if note is not None and note.is_of(folder) and note.identity.alive:
        identity, leads_group = note.identity, True
    else:
        found, _ = worker_of(folder)
        if found is None:
            return None
        identity, leads_group = found, False
        offset = signature(folder / OUTPUT)[0]  # its words go elsewhere
        note = Note(found.words, found.pid, found.started, socket.gethostname(), place_of(folder), 0.0, offset)
    recorded = kind_of(folder, note, read_object(folder / CONFIG)) in RECORDED
    output = LineReader(folder / OUTPUT, note.offset)
    job = Job.attached(identity, folder / STOP if recorded else None, output, leads_group)
    return WatchedRun(folder, job, note)


def refuse_busy(folder: Path) -> None:
    """Refuse a folder in which someone is at work.

    Raises:
        InputError: If so.
    """
    note = None
    with suppress(InputError):  # of a newer version: its lock tells
        note = read_note(folder)
    if note is not None and note.is_of(folder) and note.identity.alive:
        raise InputError(f"{folder}: a run is at work in this folder (process {note.pid}); stop it first.")
    _, entry = worker_of(folder)
    if entry is not None:
        raise InputError(
            f"{folder}: a run is at work in this folder (process {entry.pid} on {entry.host}); stop it first."
        )


class WatchedRun:
    """A run that is watched; made by `start` or `attach`.

    Attributes:
        folder: Of the run.
        kind: Its subcommand; empty if unknown.
        note: Who was started, and when.
        history: What its records say.
        state: Where it was when last polled.
        message: Why it is over, one sentence, or what is wrong with it; else empty.
    """

    def __init__(self, folder: Path, job: Job, note: Note) -> None:
        self.folder, self.note = folder, note
        self.kind = kind_of(folder, note, read_object(folder / CONFIG))
        self.state, self.message = RunState.STARTING, ""
        self._job = job
        self._records = Follower(folder / RECORDS)
        self._live = False  # whether all records of earlier have been read
        self._begun = False

    @property
    def history(self) -> History:
        """What its records, or its words where it keeps none, tell."""
        return self._records.history

    @property
    def log(self) -> list[str]:
        """Last lines of its output."""
        return self._job.log

    @property
    def process_id(self) -> int:
        """Of the process that leads the run."""
        return self._job.process_id

    @property
    def exit_code(self) -> int | None:
        """Once it is over, if this process started it."""
        return self.note.exit_code

    @property
    def pausable(self) -> bool:
        """Whether it can be told to wait."""
        return self.kind in PAUSABLE

    def poll(self) -> RunState:
        """Read what is new, end what did not stop in time, and judge; returns at once."""
        if self.state.over:
            return self.state
        polled = self._job.poll()
        self._hear(polled.events, polled.over)
        self._begun = self._begun or self._has_begun()
        problem = last_error(self.log) if polled.over else ""
        asked = self._asked()
        self.state = judge(self._evidence(polled, asked, problem))
        self.message = self._words(polled.exit_code, problem)
        if polled.over:
            self._close(polled.exit_code, asked)
        return self.state

    def _evidence(self, polled: Polled, asked: bool, problem: str) -> Evidence:
        return Evidence(
            alive=not polled.over,
            asked=asked,
            forced=self._job.forced,
            unasked=self._job.unasked,
            begun=self._begun,
            paused=self.history.paused and (self.folder / PAUSE).exists(),
            recorded=self.kind in RECORDED,
            final=self.history.final if self._begun else "",
            complete=is_complete(self.folder, self.kind, self.note),
            exit_code=polled.exit_code,
            problem=problem,
        )

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Ask it to end after its step, with a checkpoint.

        Args:
            grace: After so many seconds its whole tree is ended by `poll`; infinite leaves it all the time it needs.
        """
        self.note = amend_note(self.folder, self.note, asked=True)
        self._job.stop(grace)

    def kill(self) -> None:
        """End its whole tree at once, and wait for that."""
        self._job.forced = True
        self._job.kill()

    def pause(self) -> None:
        """Make it wait after its step.

        Raises:
            InputError: If runs of its kind cannot, or the folder cannot be written to.
        """
        if not self.pausable:
            raise InputError(f"{self.folder}: a run of {self.kind or 'this kind'} cannot wait; stop it, and resume it.")
        try:
            (self.folder / PAUSE).touch()
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written to ({error.strerror}); stop the run instead.") from error

    def unpause(self) -> None:
        """Let it go on.

        Raises:
            InputError: If the folder cannot be written to.
        """
        try:
            (self.folder / PAUSE).unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written to ({error.strerror}); stop the run instead.") from error

    def _hear(self, events: Sequence[Mapping[str, object]], over: bool) -> None:
        now = time.monotonic() if self._live else None  # those of earlier all come at once
        if self.kind in RECORDED:
            events = self._records.read(now, rest=over)
        else:
            for event in events:
                self.history.add(event, now)
        self._live = self._live or len(events) == 0

    def _has_begun(self) -> bool:
        if self.kind in RECORDED:
            return self.history.count > 0 and signature(self.folder / RECORDS) != self.note.before
        return bool(self.log or self.history.count)

    def _asked(self) -> bool:
        return self._job.stopping or self.note.asked or (self.kind in RECORDED and (self.folder / STOP).exists())

    def _words(self, exit_code: int | None, problem: str) -> str:
        if not self.folder.is_dir():
            return f"{self.folder} was moved or deleted while the run was at work; put it back and {_AGAIN}."
        if self.state is RunState.FAILED:
            return reason_of_exit(exit_code or 1, self.log, problem, _AGAIN)
        if self.state is RunState.KILLED and self._job.forced:
            return DEAF
        if self.state is RunState.KILLED:
            return reason_of_exit(KILLED, self.log, problem, _AGAIN)
        return ""

    def _close(self, exit_code: int | None, asked: bool) -> None:
        for name in (STOP, PAUSE):  # a run that was ended left them, and they would stop the next
            with suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
        self.note = amend_note(self.folder, self.note, exit_code=exit_code, asked=asked)


def _take_away(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # a folder of that name, or one that may not be written to
        raise InputError(f"{path} cannot be taken away ({error.strerror}); move it elsewhere.") from error


def is_complete(folder: Path, kind: str, note: Note | None) -> bool:
    """Whether the results of a run that keeps no records lie in its folder, and not those of an earlier one."""
    if kind not in RESULTS:
        return False
    found = signature(folder / RESULTS[kind])
    return found[0] > 0 and (note is None or found != note.before)


def last_words(folder: Path, note: Note | None) -> list[str]:
    """Last lines of a run's output, of the last time it was started alone."""
    size = signature(folder / OUTPUT)[0] - (note.offset if note is not None else 0)
    return tail(folder / OUTPUT, min(size, _TAIL)) if size > 0 else []
