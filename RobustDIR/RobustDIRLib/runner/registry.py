"""The runs that lie in some folders: what they are, where they are, how good, and how to go on with them."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.lock import HOME
from RobustDIRLib.run_files import (
    CHECKPOINT,
    CONFIG,
    EVALUATION,
    RECORDS,
    SUMMARY,
)
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
    Note,
    is_run,
    kind_of,
    place_of,
    read_note,
    read_object,
    signature,
    telltale,
    worker_of,
)
from RobustDIRLib.runner.history import History
from RobustDIRLib.runner.lines import as_object, tail
from RobustDIRLib.runner.reasons import DEAF, KILLED, last_error, reason_of_exit
from RobustDIRLib.runner.states import Evidence, RunState, judge
from RobustDIRLib.runner.watching import is_complete, last_words, refuse_busy

_SHORT_TAIL, _TAIL = 1 << 13, 1 << 16
# As our loops begin a line; another form of it is read like any other.
_STEP, _EPOCH, _BEST = '{"kind": "step",', '{"kind": "epoch"', '"best_so_far"'
_WATCHED = (NOTE, OUTPUT, CONFIG, RECORDS, SUMMARY, STOP, PAUSE, HOME, CHECKPOINT)


@dataclass(frozen=True)
class RunEntry:
    """A run as a table shows it.

    Attributes:
        folder: Of the run.
        kind: Its subcommand; empty if it is not known.
        state: Where it is.
        began: Seconds since 1970; None if nothing tells.
        changed: When it last wrote, seconds since 1970.
        step, steps, epoch, epochs: Done, and in all; 0 where unknown.
        best: Best value by measure, as `History.best` has it.
        seconds_left: While it runs, if anything tells.
        message: Why it is over, or what is wrong with it.
        alive: Whether someone is at work there, on this machine or another one.
        resumable: Whether `resume_words` gives what goes on with it.
    """

    folder: Path
    kind: str
    state: RunState
    began: float | None = None
    changed: float = 0.0
    step: int = 0
    steps: int = 0
    epoch: int = 0
    epochs: int = 0
    best: dict[str, float] = field(default_factory=dict)
    seconds_left: float | None = None
    message: str = ""
    alive: bool = False
    resumable: bool = False

    @property
    def began_at(self) -> datetime | None:
        """Local time at which it began."""
        try:
            return None if self.began is None else datetime.fromtimestamp(self.began)
        except (ValueError, OSError, OverflowError):  # a clock that was years away
            return None


class Registry:
    """Finds runs; what has not changed since is not read again.

    Args:
        homes: Folders that are runs or hold runs.

    Attributes:
        entries: As they were last listed.
    """

    def __init__(self, homes: Iterable[Path]) -> None:
        self.homes = list(homes)
        self.entries: Sequence[RunEntry] = ()
        self._known: dict[Path, tuple[Any, RunEntry]] = {}

    def list(self) -> Sequence[RunEntry]:
        """All runs, the last one that wrote first; folders that cannot be read are passed over."""
        for _ in self.listing():
            pass
        return self.entries

    def listing(self) -> Iterator[None]:
        """As `list`, a folder between two yields; `entries` changes at the end."""
        known: dict[Path, tuple[Any, RunEntry]] = {}
        for folder in dict.fromkeys(folder for home in self.homes for folder in _folders(home)):
            with suppress(OSError):  # deleted this very moment, or may not be read
                if is_run(folder):
                    known[folder] = self._entry(folder)
            yield
        self._known = known
        found = [entry for _, entry in known.values()]
        self.entries = sorted(found, key=lambda entry: (-entry.changed, str(entry.folder)))

    def _entry(self, folder: Path) -> tuple[Any, RunEntry]:
        marks = (place_of(folder), *(signature(folder / name) for name in _WATCHED))
        held = self._known.get(folder)
        return held if held and held[0] == marks and not held[1].alive else (marks, read_run(folder))


def _folders(home: Path) -> Sequence[Path]:
    """The folder itself, and those in it."""
    try:
        inner = sorted(Path(entry.path) for entry in os.scandir(home) if entry.is_dir() and entry.name[0] != ".")
    except OSError:
        return ()
    return home, *inner


def read_run(folder: Path) -> RunEntry:
    """What a folder says of its run, by the ends of its files."""
    newer, note = "", None
    try:
        note = read_note(folder)
    except InputError as error:
        newer = str(error)
    config = read_object(folder / CONFIG)
    kind = kind_of(folder, note, config)
    history = _history(folder)
    alive, ours = _is_alive(folder, note)
    words = [] if alive else last_words(folder, note)
    problem = last_error(words)
    evidence = _evidence(folder, kind, note, history, alive, problem)
    state = judge(evidence)
    entry = RunEntry(
        folder, kind, state, _began(folder, note), _changed(folder), history.step, history.steps, history.epoch,
        history.epochs or _epochs(config), {name: best.value for name, best in history.best.items()},
        None if state.over else history.seconds_left, alive=alive,
    )  # fmt: skip
    trouble = _trouble(folder, config, kind, ours or not alive)
    entry = replace(entry, message=newer or trouble or _message(state, evidence, words))
    return replace(entry, resumable=not newer and _resumable(entry, note))


def _history(folder: Path) -> History:
    """What the end of the records tells: of steps the last alone, of epochs too where it knows the best so far.

    A run that keeps no records tells it by its output.
    """
    path = folder / (RECORDS if (folder / RECORDS).exists() else OUTPUT)
    history, lines = History(), tail(path, _SHORT_TAIL)
    if path.name == RECORDS and not any(line.startswith(_EPOCH) and _BEST in line for line in lines):
        lines = tail(path, _TAIL)
    kept: dict[str, int] = {}
    for number, line in enumerate(lines):
        if line.startswith(_STEP) or (line.startswith(_EPOCH) and _BEST in line):
            kept[line[: len(_STEP)]] = number
    for number, line in enumerate(lines):
        if kept.get(line[: len(_STEP)], number) <= number and (record := as_object(line)) is not None:
            history.add(record)
    return history


def _is_alive(folder: Path, note: Note | None) -> tuple[bool, bool]:
    """Whether someone is at work there, and whether it is a process of this machine that works on this folder."""
    if note is not None and note.exit_code is None and note.is_of(folder) and note.identity.alive:
        return True, True
    if not (folder / HOME).is_dir():
        return False, False
    identity, entry = worker_of(folder)
    return entry is not None, identity is not None


def _evidence(folder: Path, kind: str, note: Note | None, history: History, alive: bool, problem: str) -> Evidence:
    changed = note is None or signature(folder / telltale(kind)) != note.before
    recorded = kind in RECORDED
    return Evidence(
        alive=alive,
        asked=bool(note and note.asked) or (recorded and (folder / STOP).exists()),
        begun=changed or not recorded,
        paused=history.paused and (folder / PAUSE).exists(),
        recorded=recorded,
        final=history.final if changed else "",
        complete=is_complete(folder, kind, note),
        exit_code=note.exit_code if note else None,
        problem=problem,
    )


def _message(state: RunState, evidence: Evidence, words: Sequence[str]) -> str:
    again = "resume the run"
    if state is RunState.FAILED:
        return reason_of_exit(evidence.exit_code or 1, words, evidence.problem, again)
    if state is RunState.KILLED:
        return DEAF if evidence.asked else reason_of_exit(KILLED, (), again=again)
    return ""


def _trouble(folder: Path, config: dict[str, Any] | None, kind: str, known: bool) -> str:
    if not known:
        return "Another machine, or a process of another folder, holds its lock."
    if (folder / CONFIG).exists() and config is None:
        return f"{folder / CONFIG} is damaged."
    return "" if kind else "Its kind is not known to this version of RobustDIR."


def _resumable(entry: RunEntry, note: Note | None) -> bool:
    if entry.alive or not entry.state.over or entry.state is RunState.ENDED:
        return False
    if entry.kind in RECORDED:
        return (entry.folder / CONFIG).is_file()  # one that ended before its first checkpoint begins again
    return entry.kind in (EVALUATE, DEFORMATIONS, "study", "tune") and bool(_said_again(entry.folder, note))


def resume_words(folder: Path) -> list[str]:
    """Subcommand and arguments that go on with a run, for `watching.start`.

    Raises:
        InputError: If someone is at work there, it is complete, or there is nothing to go on from.
    """
    refuse_busy(folder)
    note, entry = read_note(folder), read_run(folder)
    if entry.state is RunState.ENDED:
        raise InputError(f"{folder}: the run has come to its end; start another one with its model.")
    if not entry.resumable:
        raise InputError(f"{folder}: the run left nothing to go on from; start it again in another folder.")
    if entry.kind == FINETUNE:
        return ["finetune", "--output", str(folder.absolute()), "--resume"]
    if entry.kind == PRETRAIN:
        return ["pretrain", str((folder / CONFIG).absolute()), "--output", str(folder.absolute()), "--resume"]
    return _said_again(folder, note)


def _said_again(folder: Path, note: Note | None) -> list[str]:
    """The words that it was started with; empty if they are not known, or name another folder, as of one that moved."""
    if note is not None:
        words = list(note.words)
        words = words[words.index("RobustDIRLib") + 1 :] if "RobustDIRLib" in words else []
    else:
        command = (read_object(folder / EVALUATION) or {}).get("command")
        words = shlex.split(command.splitlines()[-1])[1:] if isinstance(command, str) and command.strip() else []
    named = [word for word in words if Path(word.rpartition("=")[2]).absolute() == folder.absolute()]
    return words if named else []


def _began(folder: Path, note: Note | None) -> float | None:
    if note is not None and math.isfinite(note.began) and note.began > 0:
        return note.began
    changed = signature(folder / CONFIG)[1]
    return changed / 1e9 if changed else None


def _changed(folder: Path) -> float:
    return max(signature(folder / name)[1] for name in (RECORDS, OUTPUT, SUMMARY, CONFIG, NOTE)) / 1e9


def _epochs(config: dict[str, Any] | None) -> int:
    found = (config or {}).get("epochs")
    return found if isinstance(found, int) else 0
