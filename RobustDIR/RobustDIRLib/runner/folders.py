"""What the folder of a run holds: names of its files, what kind of run they are of, and who works there.

A run that was started by the runner has a `process.json` beside its own files, and its output in `output.txt`. A run
from a terminal has neither; its lock tells of its process.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from RobustDIRLib.configuration import from_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import write_json
from RobustDIRLib.io.lock import HOME, LockHolder, holders
from RobustDIRLib.run_files import CONFIG, DEFORMATION_MODEL, EVALUATION, RECORDS, SUMMARY
from RobustDIRLib.runner.trees import Identity, command_of

FORMAT = "robustdir-process-1"
NOTE, OUTPUT, STOP, PAUSE = "process.json", "output.txt", "stop", "pause"
PRETRAIN, FINETUNE, EVALUATE, DEFORMATIONS, REGISTER = (
    *("pretrain", "finetune", "evaluate", "deformation-model", "register"),
)
# What says that a run is complete, of those that keep no records.
RESULTS = {EVALUATE: SUMMARY, DEFORMATIONS: DEFORMATION_MODEL, REGISTER: CONFIG}
RECORDED = (PRETRAIN, FINETUNE)  # that keep records, heed the stop file, and are resumed from a checkpoint
PAUSABLE = RECORDED  # that wait for as long as the pause file is there


def telltale(kind: str) -> str:
    """The file by which a run of a kind shows that it has begun, or that it is complete."""
    return RESULTS.get(kind, RECORDS)


@dataclass(frozen=True)
class Note:
    """Who was started in a folder.

    Attributes:
        words: The command line.
        pid, started: Its process, as `trees.Identity` has them.
        host: The machine.
        place: Device and number of the folder: a copy of it is another folder, and nobody works there.
        began: By the clock, seconds since 1970; shown, never reckoned with.
        offset: Where its output begins in `output.txt`, bytes.
        before: Size and time of its `telltale` before it began.
        exit_code: Once it is over, if anyone saw that.
        asked: Whether it was asked to stop.
        format: Of the file.
    """

    words: tuple[str, ...]
    pid: int
    started: str
    host: str
    place: tuple[int, int]
    began: float
    offset: int = 0
    before: tuple[int, int] = (0, 0)
    exit_code: int | None = None
    asked: bool = False
    format: str = FORMAT

    @property
    def identity(self) -> Identity:
        """Of the process."""
        return Identity(self.pid, self.started, self.words)

    def is_of(self, folder: Path) -> bool:
        """Whether it was written for this very folder, wherever that has been moved.

        Whether it was on this machine is told by its process: the names of laptops change from network to network.
        """
        return self.place == place_of(folder)

    @property
    def command(self) -> str:
        """The subcommand of `robustdir`; empty for another program."""
        words = list(self.words)
        at = words.index("RobustDIRLib") + 1 if "RobustDIRLib" in words[:-1] else 0
        return words[at] if at else ""

    @property
    def began_at(self) -> datetime:
        """Local time at which it began."""
        return datetime.fromtimestamp(self.began)


def place_of(folder: Path) -> tuple[int, int]:
    """Device and number of a folder; zeros if it is gone."""
    try:
        found = folder.stat()
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def signature(path: Path) -> tuple[int, int]:
    """Size and time of change of a file, which tell whether it is as it was; zeros if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)


def read_note(folder: Path) -> Note | None:
    """The note of a folder; None if there is none, or it is damaged.

    Raises:
        InputError: If it is of a newer version.
    """
    content = read_object(folder / NOTE)
    if content is None:
        return None
    if content.get("format") != FORMAT:
        raise InputError(f"{folder} was started by another version of RobustDIR; watch it there, or update this one.")
    try:
        return from_dict(Note, content)
    except InputError:
        return None


def write_note(folder: Path, note: Note) -> None:
    """Leave a note.

    Raises:
        InputError: If it cannot be written.
    """
    write_json(folder / NOTE, asdict(note))


def amend_note(folder: Path, note: Note, **changes: Any) -> Note:
    """The note with changes, in the folder as well if that is still there and nobody has begun anew in it."""
    changed = replace(note, **changes)
    try:
        held = read_note(folder)
        if held is not None and (held.pid, held.started) == (note.pid, note.started):
            write_note(folder, changed)
    except InputError:  # moved away, full, of a newer version: it is known here, at least
        return changed
    return changed


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object that a file holds; None if it is not there, damaged, or something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def kind_of(folder: Path, note: Note | None, config: Mapping[str, Any] | None) -> str:
    """The subcommand that a folder is the run of; empty if it is none, or of a kind that is not known yet."""
    if note is not None and note.command:
        return note.command
    if (folder / EVALUATION).is_file():
        return EVALUATE
    if (folder / DEFORMATION_MODEL).is_file():
        return DEFORMATIONS
    settings = config or {}
    if "banks" in settings:
        return PRETRAIN
    if "dataset" in settings and "judge" in settings:
        return FINETUNE
    return REGISTER if "measures" in settings else ""


def is_run(folder: Path) -> bool:
    """Whether a folder looks like that of a run, of any version."""
    found = {entry.name for entry in os.scandir(folder)}
    return bool(found & {NOTE, EVALUATION, DEFORMATION_MODEL, HOME}) or (CONFIG in found and len(found) > 1)


def worker_of(folder: Path) -> tuple[Identity | None, LockHolder | None]:
    """Who holds the lock of a folder.

    Returns:
        The process, if it is one of this machine whose command names this folder; and the lock's entry, whoever it is.
    """
    entries = sorted(holders(folder), key=lambda entry: entry.rank)
    for entry in entries:
        if entry.host == socket.gethostname() and (words := _words_naming(folder, entry.pid)):
            return Identity(entry.pid, entry.started, words), entry
    return None, entries[0] if entries else None


def _words_naming(folder: Path, pid: int) -> tuple[str, ...]:
    """The command of a process if one of its words is this folder; a copied lock names a process of another one."""
    import psutil

    words = command_of(pid)
    try:
        home = Path(psutil.Process(pid).cwd())
    except (psutil.Error, OSError):
        return ()
    places = [home / word.rpartition("=")[2] for word in words if word]
    return tuple(words) if any(_is_same(place, folder) for place in places) else ()


def _is_same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except (OSError, ValueError):
        return False
