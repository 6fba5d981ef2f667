"""A process by more than its number, and all that it started: alive or not, and ended together."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from RobustDIRLib.io.processes import start_of

_LOOK_EVERY_S = 2.0
_PAUSE_S = 0.01
_PARENTS_STAY = os.name == "nt"


@dataclass(frozen=True)
class Identity:
    """What tells a process from all others.

    Attributes:
        pid: Its number.
        started: When it began, as `io.processes.start_of` says.
        words: Its command.
    """

    pid: int
    started: str
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, pid: int, words: tuple[str, ...] = ()) -> Identity:
        """That of a process that runs now."""
        return cls(pid, start_of(pid), words)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs: by number, beginning, and command."""
        return bool(self.started) and start_of(self.pid) == self.started and self._same_command()

    def _same_command(self) -> bool:
        """Whether the command fits; a launcher, or the interpreter of a script, may have put words of its own first."""
        arguments = self.words[1:]
        now = command_of(self.pid)
        return not arguments or not now or _ends_so(now, arguments)


def command_of(pid: int) -> list[str]:
    """The command line of a process; empty where it is gone or does not say."""
    import psutil

    try:
        return [str(word) for word in psutil.Process(pid).cmdline()]
    except (psutil.Error, OSError):
        return []


class Tree:
    """A process and its descendants.

    `PythonSlicer` is a launcher, `torchrun` too: their children do the work and outlive them. Those that were seen
    while their parents lived are remembered; of the others the process group tells, and on Windows their command.

    Args:
        leader: The process that all others come from.
        leads_group: Whether it was started in a process group of its own.
    """

    def __init__(self, leader: Identity, leads_group: bool) -> None:
        self.leader = leader
        self._leads_group = leads_group
        self._seen: dict[int, Any] = {}
        self._looked = float("-inf")

    def look(self) -> None:
        """Take note of descendants, every other second at most: for as long as anyone polls."""
        if time.monotonic() - self._looked >= _LOOK_EVERY_S:
            self._note()
            self._looked = time.monotonic()

    def living(self) -> list[Any]:
        """Those that run, as psutil has them; the leader first."""
        self._note()
        return [process for process in self._seen.values() if _runs(process)]

    def kill(self, seconds: float) -> bool:
        """End all of it at once, and wait for that.

        Args:
            seconds: To wait at most.
        Returns:
            Whether nothing is left; a process can hang in the kernel, out of reach.
        """
        import psutil

        until = time.monotonic() + seconds
        while left := self.living():
            if time.monotonic() > until:
                return False
            for process in left:
                try:
                    process.kill()  # psutil looks once more whether it is still the same
                except psutil.Error:
                    continue
            time.sleep(_PAUSE_S)
        return True

    def _note(self) -> None:
        import psutil

        if self.leader.pid not in self._seen and self.leader.alive:
            self._add(self.leader.pid)
        for process in [p for p in self._seen.values() if _runs(p)]:
            try:
                self._seen.update({child.pid: child for child in process.children(recursive=True)})
            except psutil.Error:
                continue
        for pid in self._left_behind():
            self._add(pid)
        self._seen = {pid: process for pid, process in self._seen.items() if _runs(process)}

    def _add(self, pid: int) -> None:
        import psutil

        try:
            self._seen.setdefault(pid, psutil.Process(pid))
        except psutil.Error:
            return

    def _left_behind(self) -> list[int]:
        """Numbers of those that a leader which is gone may have left: its group, or on Windows what it launched.

        While a group has members, its leader's number is given to no other process.
        """
        leader = self.leader.pid
        # There and no zombie, but not ours: the number was given again.
        if not self._leads_group or (start_of(leader) not in ("", self.leader.started)):
            return []
        return _launched_by(self.leader) if _PARENTS_STAY else _members_of(leader)


def _members_of(leader: int) -> list[int]:
    """Numbers of a process group."""
    import psutil

    return [pid for pid in psutil.pids() if _group_of(pid) == leader]


def _launched_by(leader: Identity) -> list[int]:
    """Numbers of a launcher's children, known by its number, which Windows leaves with them, and by its command.

    The number alone would not do: another process may have had it since, and left children as well.
    """
    import psutil

    numbers = [process.pid for process in psutil.process_iter(["ppid"]) if process.info["ppid"] == leader.pid]
    return [pid for pid in numbers if leader.words[1:] and _ends_so(command_of(pid), leader.words[1:])]


def _ends_so(command: Sequence[str], arguments: Sequence[str]) -> bool:
    return tuple(command[-len(arguments) :]) == tuple(arguments)


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _runs(process: Any) -> bool:
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
