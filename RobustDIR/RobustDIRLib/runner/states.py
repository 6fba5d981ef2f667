"""Where a run is, judged from what its process, its records and its output say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from RobustDIRLib.runner.reasons import KILLED


class RunState(Enum):
    """Where a run is; the last four are final, and of them all but `ENDED` may be resumed."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ENDED = "ended"
    FAILED = "failed"
    KILLED = "killed"

    @property
    def over(self) -> bool:
        """Whether no process is at work any more."""
        return self in (RunState.STOPPED, RunState.ENDED, RunState.FAILED, RunState.KILLED)


@dataclass(frozen=True)
class Evidence:
    """All that tells where a run is.

    Attributes:
        alive: Whether its process runs.
        asked: Whether it was asked to stop.
        forced: Whether its process was ended: because it did not stop in time, or could not be asked.
        unasked: Whether it could not be asked.
        begun: Whether it has said anything since it was started.
        paused: Whether its last word was that it waits.
        recorded: Whether runs of its kind keep records.
        final: `end` or `stop` if that was its last word.
        complete: Whether its results lie there.
        exit_code: If known.
        problem: The sentence with which it ended, if any.
    """

    alive: bool
    asked: bool = False
    forced: bool = False
    unasked: bool = False
    begun: bool = True
    paused: bool = False
    recorded: bool = True
    final: str = ""
    complete: bool = False
    exit_code: int | None = None
    problem: str = ""


# Ctrl-C and SIGTERM, as a run that heeds them ends, or as they end one that does not.
_INTERRUPTED = (130, 143, -2, -15)


def judge(e: Evidence) -> RunState:
    """The state that the evidence makes most likely."""
    if e.alive:
        if e.asked:
            return RunState.STOPPING
        if not e.begun:
            return RunState.STARTING
        return RunState.PAUSED if e.paused else RunState.RUNNING
    if e.forced:  # what has no checkpoint loses nothing by that
        return RunState.STOPPED if e.asked and (e.unasked or not e.recorded) else RunState.KILLED
    if e.final == "stop" or (e.asked and e.exit_code in _INTERRUPTED):
        return RunState.STOPPED
    if e.asked and e.exit_code in (None, KILLED) and not (e.recorded or e.complete or e.problem):
        return RunState.STOPPED
    if e.exit_code == 0:
        return RunState.ENDED
    if e.exit_code is None and (e.final == "end" or (e.complete and not e.problem)):
        return RunState.ENDED
    if e.problem or (e.exit_code is not None and e.exit_code > 0 and e.exit_code not in (137, 143)):
        return RunState.FAILED
    return RunState.KILLED
