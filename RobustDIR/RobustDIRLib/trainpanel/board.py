"""The runs in the runs folder: found, watched and acted upon. No Qt: whoever has a timer calls `look` and `poll`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from RobustDIRLib.errors import InputError
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.run_files import MODEL
from RobustDIRLib.runner import watching
from RobustDIRLib.runner.deleting import delete_run
from RobustDIRLib.runner.registry import Registry, RunEntry, read_run, resume_words
from RobustDIRLib.runner.states import RunState
from RobustDIRLib.runner.watching import WatchedRun


class Board:
    """All runs in a folder. Those at work are attached to, whoever started them.

    Attributes:
        watched: Runs at work, by folder.
    """

    def __init__(self) -> None:
        self.watched: dict[Path, WatchedRun] = {}
        self._registry = Registry([])
        self._listing: Iterator[None] | None = None
        self._ends: dict[Path, tuple[RunState, str]] = {}  # how runs ended, which a full disk does not keep
        self._fresh: dict[Path, RunEntry] = {}  # read since the last list

    @property
    def home(self) -> Path | None:
        """The folder that is looked at."""
        return self._registry.homes[0] if self._registry.homes else None

    def use(self, home: Path) -> None:
        """Look at a folder; runs that are watched elsewhere go on, and are let go."""
        if home != self.home:
            self._registry, self._listing = Registry([home]), None
            self.watched, self._fresh = {}, {}

    @property
    def entries(self) -> Sequence[RunEntry]:
        """All runs, the last one that wrote first; of those that are watched what is known this moment."""
        listed = {entry.folder: entry for entry in self._registry.entries}
        new = {folder: entry for folder, entry in self._fresh.items() if folder not in listed}
        return [self._now(entry) for entry in {**new, **listed, **self._fresh}.values()]

    def entry(self, folder: Path | None) -> RunEntry | None:
        """Of a folder, if it was listed."""
        return next((entry for entry in self.entries if entry.folder == folder), None)

    @property
    def listing(self) -> bool:
        """Whether a list has been begun."""
        return self._listing is not None

    def look(self, seconds: float) -> bool:
        """Go on listing for about so long; whether a list is complete now, and those at work are attached to."""
        until = time.monotonic() + seconds
        self._listing = self._listing or self._registry.listing()
        for _step in self._listing:
            if time.monotonic() > until:
                return False
        self._listing, self._fresh = None, {}
        for entry in self._registry.entries:
            if entry.alive and entry.folder not in self.watched:
                self._attach(entry.folder)
        return True

    def poll(self, seconds: float) -> None:
        """Let the watched runs say what is new, for about so long; those that are over are let go."""
        until = time.monotonic() + seconds
        for folder, run in list(self.watched.items()):
            del self.watched[folder]  # and put behind the others, so that each has its turn
            if run.poll().over:
                self._ends[folder] = (run.state, run.message)
                self._renew(folder)
            else:
                self.watched[folder] = run
            if time.monotonic() > until:
                break

    def start(self, folder: Path, words: Sequence[str]) -> WatchedRun:
        """Start a subcommand of `robustdir` as the run of a folder.

        Raises:
            InputError: If someone is at work there, or it cannot be started.
        """
        run = watching.start(folder, words)
        self._ends.pop(folder, None)
        self.watched[folder] = run
        self._renew(folder)
        return run

    def resume(self, folder: Path) -> WatchedRun:
        """Go on with a run that was stopped or died.

        Raises:
            InputError: If someone is at work there, it is complete, or left nothing to go on from.
        """
        return self.start(folder, resume_words(folder))

    def stop(self, folder: Path) -> None:
        """Ask a run to end; `poll` ends it if it does not.

        Raises:
            InputError: If nobody of this machine is at work there.
        """
        self._at_work(folder).stop()

    def pause(self, folder: Path, wait: bool = True) -> None:
        """Make a run wait after its step, or let it go on.

        Raises:
            InputError: If nobody of this machine is at work there, or runs of its kind cannot wait.
        """
        run = self._at_work(folder)
        if wait:
            run.pause()
        else:
            run.unpause()

    def delete(self, folder: Path) -> list[str]:
        """Delete what a run wrote; names of what was left, since it is not the run's.

        Raises:
            InputError: If someone is at work there, or not all can be deleted.
        """
        left = delete_run(folder)
        self._ends.pop(folder, None)
        self._fresh.pop(folder, None)
        self._listing = None
        self._registry.entries = [entry for entry in self._registry.entries if entry.folder != folder]
        return left

    def can_stop(self, entry: RunEntry) -> bool:
        """Whether it is a run of this machine that has not been asked to stop."""
        return entry.folder in self.watched and entry.state is not RunState.STOPPING

    def can_pause(self, entry: RunEntry) -> bool:
        """Whether it is at work and of a kind that can wait, or waits."""
        return self.can_stop(entry) and self.watched[entry.folder].pausable

    def kill_all(self) -> None:
        """End every run that is watched, at once: for tests, which leave nothing running."""
        for run in self.watched.values():
            run.kill()
        self.watched = {}

    def _now(self, entry: RunEntry) -> RunEntry:
        run = self.watched.get(entry.folder)
        if run is None:
            state, told = self._ends.get(entry.folder, (entry.state, ""))
            return replace(entry, state=state, message=told) if told and not entry.alive else entry
        history = run.history
        best = {name: best.value for name, best in history.best.items()} or entry.best
        left = history.seconds_left if history.seconds_left is not None else entry.seconds_left
        return replace(
            entry,
            state=run.state,
            message=run.message,
            step=history.step or entry.step,
            steps=history.steps or entry.steps,
            epoch=history.epoch or entry.epoch,
            epochs=history.epochs or entry.epochs,
            best=best,
            seconds_left=left,
            alive=True,
            resumable=False,
        )

    def _renew(self, folder: Path) -> None:
        """Read one run anew; a list that is being made began before."""
        self._listing = None
        with suppress(OSError):
            self._fresh[folder] = read_run(folder)

    def _attach(self, folder: Path) -> None:
        with suppress(InputError):  # of another version: it is only shown
            run = watching.attach(folder)
            if run is not None:
                self.watched[folder] = run

    def _at_work(self, folder: Path) -> WatchedRun:
        run = self.watched.get(folder) or watching.attach(folder)
        if run is None:
            raise InputError(_("{folder}: no process of this computer is at work there.").format(folder=folder))
        self.watched[folder] = run
        return run


def model_of(folder: Path) -> Path | None:
    """The model file of a run, if it has one yet."""
    path = folder / MODEL
    return path if path.is_file() else None
