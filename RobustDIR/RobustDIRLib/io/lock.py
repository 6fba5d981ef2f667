"""One run at a time in the folder of a registration, an evaluation or a training.

The ranks of one run under `torchrun` share the folder.

Every process at work keeps an entry, a small file that it touches again and again, in a hidden folder. It first writes
its own and then looks at the others', so that of two that start together at least one sees the other. An entry whose
process is gone is taken away: on this machine the system is asked, of another machine's the entry's age tells.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from RobustDIRLib.configuration import from_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import missing_folders, remove_empty, write_json
from RobustDIRLib.io.processes import process_exists, start_of

HOME = ".running"
_BEAT_S, _DEAD_AFTER_S = 15.0, 180.0
_ATTEMPTS = 20
_PREFIX = "robustdir-"
_SCRATCH = re.compile(_PREFIX + "[a-z0-9_]{8}")  # as `mkdtemp` names them


@dataclass(frozen=True)
class Rank:
    """This process among those of one run.

    Attributes:
        rank: Counted from 0.
        world: How many there are.
        run: What tells this run from others; all its ranks have the same.
    """

    rank: int = 0
    world: int = 1
    run: str = ""

    @classmethod
    def alone(cls) -> Rank:
        """A run of its own."""
        return cls(run=uuid.uuid4().hex)

    @classmethod
    def here(cls) -> Rank:
        """From the variables that `torchrun` sets; a process alone is a run of its own.

        Raises:
            InputError: If they make no sense.
        """
        texts = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
        try:
            rank, world = (int(text) for text in texts)
        except ValueError:
            rank, world = -1, 0
        if not 0 <= rank < world:
            raise InputError(f"RANK {texts[0]} and WORLD_SIZE {texts[1]} do not fit; start the ranks by torchrun.")
        if world == 1:
            return cls.alone()
        names = ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "SLURM_JOB_ID")
        return cls(rank, world, "|".join([*(os.environ.get(name, "") for name in names), str(world)]))


@dataclass(frozen=True)
class LockHolder:
    """A process at work."""

    run: str
    rank: int
    host: str
    pid: int
    started: str
    scratch: str
    settled: bool = False


@contextmanager
def locked(folder: Path, rank: Rank) -> Iterator[Path]:
    """Hold a folder for as long as a run is at work in it.

    Args:
        folder: Of the run; made if needed.
        rank: This process.
    Yields:
        A folder for temporary files on the system's own disk; it is removed afterwards, by the next run at the latest.
    Raises:
        InputError: If another run is at work there.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file where a folder is needed; give another name.")
    home = folder / HOME
    scratch = Path(tempfile.mkdtemp(prefix=_PREFIX))
    entry = LockHolder(rank.run, rank.rank, socket.gethostname(), os.getpid(), start_of(os.getpid()), str(scratch))
    path = home / f"{uuid.uuid4().hex}.json"
    over, made = threading.Event(), missing_folders(home)
    try:
        _settle(home, path, entry)
        beat = threading.Thread(target=_keep_young, args=(path, over), daemon=True)
        beat.start()
        yield scratch
    finally:
        over.set()
        path.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
        remove_empty((home, *made))  # a run that was refused leaves none behind


def holders(folder: Path) -> list[LockHolder]:
    """Who is at work in a folder, here or on another machine; nothing is changed there."""
    found = []
    for path in (folder / HOME).glob("[!.]*.json"):
        entry = _read(path)
        if entry is None:
            continue
        here = entry.host == socket.gethostname()
        age = 0.0 if here else _age(path, _time_by(folder / HOME))
        if age is not None and not _is_dead(entry, age):
            found.append(entry)
    return found


def _time_by(home: Path) -> float:
    """As `_time_of`; of a folder that cannot be written to, this machine's time."""
    try:
        return _time_of(home)
    except OSError:
        return time.time()


def _settle(home: Path, path: Path, entry: LockHolder) -> None:
    """Write the entry and find no other; where two come together, step back for a moment and try again."""
    for _ in range(_ATTEMPTS):
        _enter(path, entry)
        others = [other for other in _living(home) if other != entry and _excludes(other, entry)]
        if not others:
            write_json(path, asdict(replace(entry, settled=True)))
            return
        path.unlink(missing_ok=True)
        if any(other.settled for other in others):
            break
        time.sleep(random.uniform(0.05, 0.5))
    other = others[0]
    raise InputError(
        f"{home.parent}: another run is at work in this folder (process {other.pid} on {other.host}); wait until it is "
        f"done, or give another folder."
    )


def _excludes(other: LockHolder, mine: LockHolder) -> bool:
    """Whether two processes may not work together: those of unlike runs, and two that are the same rank of one."""
    return other.run != mine.run or other.rank == mine.rank


def _enter(path: Path, entry: LockHolder) -> None:
    """Write the entry into its folder, which a run that ends this very moment may take away in between."""
    for attempt in range(_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{path.parent.parent} cannot be written to ({error.strerror}); choose another."
            ) from error
        try:
            write_json(path, asdict(entry))
        except InputError:
            if path.parent.is_dir() or attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def _living(home: Path) -> list[LockHolder]:
    """Entries of processes at work; those of the dead are taken away, with what they left on this machine's disk."""
    now = _time_of(home)
    living = []
    for path in sorted(home.glob("[!.]*.json")):
        entry, age = _read(path), _age(path, now)
        if entry is None or age is None:
            continue
        if _is_dead(entry, age):
            path.unlink(missing_ok=True)
            # An entry is a file like any other, which came with a copied folder perhaps: it has nothing else removed.
            if entry.host == socket.gethostname() and _SCRATCH.fullmatch(Path(entry.scratch).name):
                shutil.rmtree(entry.scratch, ignore_errors=True)
        else:
            living.append(entry)
    return living


def _read(path: Path) -> LockHolder | None:
    """An entry; None if it is gone by now or is none."""
    try:
        return from_dict(LockHolder, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # InputError and JSON's errors are ValueErrors
        return None


def _time_of(home: Path) -> float:
    """The time by the clock that dates the folder's files, which may be a server's."""
    with tempfile.NamedTemporaryFile(dir=home, prefix=".now-") as file:
        return os.stat(file.name).st_mtime


def _age(path: Path, now: float) -> float | None:
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return None


def _is_dead(entry: LockHolder, age: float) -> bool:
    if entry.host != socket.gethostname():
        return age > _DEAD_AFTER_S
    return not process_exists(entry.pid) or start_of(entry.pid) != entry.started


def _keep_young(path: Path, over: threading.Event) -> None:
    while not over.wait(_BEAT_S):
        try:
            os.utime(path)
        except OSError:  # the disk is away for a moment, or the entry was taken; the run itself will find out
            continue
