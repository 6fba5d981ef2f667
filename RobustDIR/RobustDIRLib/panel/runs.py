"""One registration from the panel: inputs into a run folder, the process, results back, a few milliseconds at a time.

No Qt and no MRML: whoever has a timer calls `RegistrationRun.advance`, which works for as long as it may and returns.
Nothing outside the run's folder changes until the caller takes the results of a run that is done.
"""

from __future__ import annotations

import json
import shutil
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.panel.forecast import STAGES, Outlook, StageProgress
from RobustDIRLib.panel.request import HANDOVER, KEEP, RESULT, STOP, RegistrationRequest
from RobustDIRLib.panelparts import exchange
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.panelparts.workplaces import new_workplace, remove_workplace
from RobustDIRLib.run_files import RECORD
from RobustDIRLib.runner.job import Job
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.runner.reasons import reason_of_exit, reason_of_mistake

OUTPUT = "output.txt"
STEP_SECONDS = 0.03
# Bytes on disk per voxel of the fixed image and of the moving one: inputs, results, results for the panel.
_DISK_FIXED, _DISK_MOVING = 60, 20


class RegistrationState(Enum):
    """Where a run is; the last three are final."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass
class Results:
    """What a run that is done leaves.

    Attributes:
        record: Its `run.json`.
        headers: Of every volume, by the name of its file.
        arrays: Their voxels, in the arrays that `allocate` gave.
        folder: The run's own folder, in the form of `robustdir register`.
    """

    record: dict[str, Any]
    headers: dict[str, exchange.VolumeHeader]
    arrays: dict[str, Any]
    folder: Path


Allocate = Callable[[str, exchange.VolumeHeader], NDArray[np.generic]]


def _new_array(_name: str, header: exchange.VolumeHeader) -> NDArray[np.generic]:
    return np.empty(header.shape, header.dtype)


class RegistrationRun:
    """One registration.

    Args:
        request: What to register.
        folder: Empty, of this run alone; see `new_folder`.
        outlook: Forecast, for progress; if there is none, all stages count alike.
        wanted: Names of the files of `handover` to take back.
        allocate: Gives the array a file's voxels are read into, so that they need no copying afterwards.
        finish: Gives steps to be done once all of them are filled.
    """

    def __init__(
        self,
        request: RegistrationRequest,
        folder: Path,
        outlook: Outlook | None,
        wanted: tuple[str, ...],
        allocate: Allocate = _new_array,
        finish: Callable[[], Iterator[None]] = lambda: iter(()),
    ) -> None:
        self.state, self.message, self.folder = RegistrationState.RUNNING, "", folder
        self.log: list[str] = []
        self.warnings: list[str] = []
        self.took: dict[str, float] = {}
        self.results: Results | None = None
        self._request, self._wanted, self._allocate, self._finish = request, wanted, allocate, finish
        self._progress = StageProgress(outlook.stages if outlook else dict.fromkeys(STAGES, 1.0))
        self._stopping = False
        self._job: Job | None = None
        self._work = self._steps()
        self._enter("hand over")

    @property
    def stage(self) -> str:
        """What it is at, one of `forecast.STAGES`."""
        return self._progress.stage

    @property
    def can_keep(self) -> bool:
        """Whether it refines a result that could be kept as it is, and was not asked to yet."""
        return self.stage == "refine" and not self._stopping and not (self.folder / KEEP).exists()

    def keep(self) -> None:
        """Ask it to end the refinement and go on with the best result so far.

        Raises:
            InputError: If it cannot be asked.
        """
        if not self.can_keep:
            return
        try:
            (self.folder / KEEP).touch()
        except OSError as error:
            raise InputError(
                _("{folder} cannot be written to ({reason}); free some space, or wait for the refinement.").format(
                    folder=self.folder, reason=error.strerror
                )
            ) from error

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop and has not ended yet."""
        return self._stopping and self.state is RegistrationState.RUNNING

    @property
    def fraction(self) -> float:
        """How far it is by its forecast, from 0 to 1."""
        return 1.0 if self.state is RegistrationState.DONE else self._progress.fraction(time.monotonic())

    @property
    def seconds_left(self) -> float:
        """By its forecast."""
        return self._progress.left(time.monotonic())

    @property
    def process_id(self) -> int | None:
        """Of the registering process, once there is one."""
        return self._job.process_id if self._job else None

    def advance(self, seconds: float = STEP_SECONDS) -> RegistrationState:
        """Go on for about so long, less if there is only waiting to do."""
        until = time.monotonic() + seconds
        while self.state is RegistrationState.RUNNING:
            try:
                waiting = next(self._work)
            except StopIteration:
                self._end(RegistrationState.DONE)
                break
            except InputError as error:
                self._end(RegistrationState.FAILED, str(error))
                break
            except Exception as error:  # a mistake of ours: a sentence for the panel, the traceback for its log
                self._end(RegistrationState.FAILED, reason_of_mistake(error))
                self.log = [*self.log, *traceback.format_exc().splitlines()]
                break
            if self._stopping and (self._job is None or not waiting):
                self._end(RegistrationState.STOPPED)
            if waiting or time.monotonic() > until:
                break
        return self.state

    def stop(self) -> None:
        """Ask it to end; `advance` until it has."""
        self._stopping = True
        if self._job is not None:
            self._job.stop()

    def kill(self) -> None:
        """End it now: for when nobody will advance it any more."""
        self._stopping = True
        if self.state is RegistrationState.RUNNING:
            self._end(RegistrationState.STOPPED)

    def _end(self, state: RegistrationState, message: str = "") -> None:
        self._work.close()
        if self._job is not None:
            if state is not RegistrationState.DONE:
                self._job.kill()
            self.log = list(self._job.log)
        self.state, self.message = state, message
        if state is not RegistrationState.DONE:
            remove_workplace(self.folder)

    def _steps(self) -> Generator[bool, None, None]:
        """The work; yields whether there is only waiting to do."""
        for _step in self._request.written(self.folder):
            yield False
        self._enter("start")
        command = library_command(*self._request.words(self.folder))
        self._job = Job(command, stop_file=self.folder / STOP, output=self.folder / OUTPUT)
        exit_code = None
        while exit_code is None:
            polled = self._job.poll()
            for event in polled.events:
                self._hear(event)
            self.log, exit_code = self._job.log, polled.exit_code
            if exit_code is None:
                yield True
        if self._stopping:
            yield False  # and `advance` ends it
        if exit_code:
            raise InputError(reason_of_exit(exit_code, self._job.log, self.message))
        self._enter("take over")
        yield from self._take_over()

    def _hear(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "stage" and not event["done"]:
            self._enter(event["stage"])
        elif kind == "warning":
            self.warnings.append(event["message"])
        elif kind == "error":
            self.message = event["message"]

    def _enter(self, stage: str) -> None:
        now = time.monotonic()
        if self._progress.began:
            self.took[self._progress.stage] = now - self._progress.began
        self._progress.enter(stage, now)

    def _take_over(self) -> Iterator[bool]:
        results = Results(_read_record(self.folder / RESULT / RECORD), {}, {}, self.folder / RESULT)
        for name in self._wanted:
            path = self.folder / HANDOVER / name
            header = exchange.read_header(path)
            array = self._allocate(name, header)
            yield False
            for _step in exchange.read_in_steps(path, header, array):
                yield False
            results.headers[name], results.arrays[name] = header, array
        for _step in self._finish():
            yield False
        self._enter("take over")
        self.results = results


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            _("{path} cannot be read ({error}); register again.").format(path=path, error=error)
        ) from error
    return record


def new_folder(parent: Path, fixed: Grid, moving: Grid) -> Path:
    """An empty folder for one run.

    Args:
        parent: The application's folder for temporary files.
        fixed: Grid of the fixed image, for the room the run will take.
        moving: Grid of the moving image.
    Raises:
        InputError: If it cannot be made there, or the disk has too little room.
    """
    needed = _DISK_FIXED * int(np.prod(fixed.shape)) + _DISK_MOVING * int(np.prod(moving.shape))
    try:
        free = shutil.disk_usage(parent).free
    except OSError:  # what is wrong with the folder is told when it is used
        free = needed
    if free < needed:
        raise InputError(
            _(
                "The disk of {parent} is full: the registration needs {needed:.0f} MiB for its files and "
                "{free:.0f} MiB are free; free some space, or choose another temporary folder in the "
                "application settings."
            ).format(parent=parent, needed=needed / 2**20, free=free / 2**20)
        )
    return new_workplace(parent)
