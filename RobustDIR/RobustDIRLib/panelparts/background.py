"""A short piece of work in a process of its own, with its input written in steps first; one at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.workplaces import new_workplace, remove_in_steps, remove_workplace
from RobustDIRLib.runner.job import Job
from RobustDIRLib.runner.reasons import TRY_AGAIN, last_error, reason_of_exit, reason_of_mistake

_POLL_MILLISECONDS = 50
_TICK_SECONDS = 0.03
_OUTPUT = "output.txt"


class Background:
    """Watches the work by a timer.

    Args:
        finished: Called with the process's events and, if it failed, why in one sentence.
        heard: Called with events as they come, if given.
    """

    def __init__(
        self,
        finished: Callable[[list[dict[str, Any]], str], None],
        heard: Callable[[list[dict[str, Any]]], None] | None = None,
    ) -> None:
        self._finished, self._heard = finished, heard
        self._steps: Iterator[None] | None = None
        self._after: Iterator[None] | None = None
        self._finishing = False  # the steps are those after the command
        self._said = ""  # why the command failed
        self._leftovers: list[Iterator[None]] = []  # what deletes the folders of earlier work
        self._command: Sequence[str] = ()
        self._job: Job | None = None
        self._folder: Path | None = None
        self._events: list[dict[str, Any]] = []
        self._timer = widgets.timer(_POLL_MILLISECONDS, self._tick)

    @property
    def busy(self) -> bool:
        """Whether work is going on."""
        return self._steps is not None or self._job is not None

    def new_folder(self, parent: Path) -> Path:
        """An empty folder, deleted when the work is over.

        Raises:
            InputError: If it cannot be made.
        """
        self._folder = new_workplace(parent)
        return self._folder

    def start(self, steps: Iterator[None], command: Sequence[str], after: Iterator[None] | None = None) -> None:
        """Do the steps, then run the command and, if it ends well, do what is to be done after it."""
        self._steps, self._command, self._after, self._events = steps, command, after, []
        self._timer.start()

    def stop(self) -> None:
        """End the work without a word."""
        self._timer.stop()
        if self._job is not None:
            self._job.kill()
        self._clear()
        for left in self._leftovers:
            for _step in left:
                pass
        self._leftovers = []

    def _tick(self) -> None:
        try:
            self._advance()
        except InputError as error:
            self._end(str(error))
        except Exception as error:  # a mistake of ours, no memory: no process goes on with half of it
            logging.exception("RobustDIR: a step in the background failed")
            self._end(reason_of_mistake(error))

    def _advance(self) -> None:
        if self._steps is not None:
            until = time.monotonic() + _TICK_SECONDS
            while self._steps is not None and time.monotonic() < until:
                if next(self._steps, self) is self:
                    self._steps_done()
            return
        if self._job is None:
            self._tidy()
            return
        polled = self._job.poll()
        self._events += polled.events
        if polled.events and self._heard is not None:
            self._heard(polled.events)
        if polled.exit_code is None:
            return
        self._said = self._problem(polled.exit_code)
        after = None if self._said else self._after
        # What is made of its words waits for the next tick: reading them may have filled this one.
        self._steps, self._job, self._finishing = after or iter(()), None, True

    def _steps_done(self) -> None:
        self._steps = None
        if self._finishing:
            self._end(self._said)
        else:
            self._job = Job(self._command, output=self._output())

    def _output(self) -> Path | None:
        return None if self._folder is None else self._folder / _OUTPUT

    def _problem(self, exit_code: int) -> str:
        assert self._job is not None
        said = next((event["message"] for event in self._events if event.get("event") == "error"), "")
        if exit_code == 0:
            return ""
        return reason_of_exit(exit_code, self._job.log, said or last_error(self._job.log), TRY_AGAIN)

    def _end(self, problem: str) -> None:
        events, folder = self._events, self._folder
        if self._job is not None:
            self._job.kill()
        self._steps = self._after = self._job = self._folder = None
        self._finishing = False
        try:
            self._finished(events, problem)
        finally:
            if folder is not None:
                self._leftovers.append(remove_in_steps(folder))

    def _tidy(self) -> None:
        """Delete what earlier work has left, which may be large, for as long as a tick may take."""
        until = time.monotonic() + _TICK_SECONDS
        while self._leftovers and time.monotonic() < until:
            if next(self._leftovers[0], self) is self:
                del self._leftovers[0]
        if not self._leftovers:
            self._timer.stop()

    def _clear(self) -> None:
        self._steps = self._after = self._job = None
        self._finishing = False
        if self._folder is not None:
            remove_workplace(self._folder)
        self._folder = None
