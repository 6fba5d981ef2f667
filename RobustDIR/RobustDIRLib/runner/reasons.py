"""Why a process ended, in one sentence."""

from __future__ import annotations

import os
from collections.abc import Sequence

from RobustDIRLib.io.files import FULL_DISK

AGAIN = "register again"
TRY_AGAIN = "try again"  # of what has no folder of a run
OUT_OF_MEMORY = "Memory ran out; close other programs or crop the volumes, and register again."
DEAF = "It did not stop in time and was ended; it can be resumed from its last checkpoint."
OURS = "robustdir: "
KILLED = -9  # exit code of what SIGKILL ended
# Exit codes of Windows: a console that was closed, the end of a session, no memory, no room for its pages.
_ENDED_BY_WINDOWS = (0xC000013A, 0x40010004, 0xC0000017, 0xC000012D)
_LAST_LINES = 100
_FULL = ("ENOSPC", *map(os.strerror, FULL_DISK))
_CURE = "free some space"


def last_error(log: Sequence[str]) -> str:
    """The last sentence with which a command of the library ended, or the last line of a traceback; else empty."""
    for number, line in reversed(list(enumerate(log[-_LAST_LINES:]))):
        if line.startswith(OURS):
            return line.removeprefix(OURS)
        if line.startswith("Traceback"):
            rest = [entry.strip() for entry in log[-_LAST_LINES:][number:] if entry.strip()]
            return f"It failed by a mistake in RobustDIR ({rest[-1]}); please report it, with the log."
    return ""


def reason_of_mistake(error: Exception) -> str:
    """One sentence on an error that nobody foresaw; its traceback belongs beside it."""
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"That failed by a mistake in RobustDIR ({words}); please report it, with the application's log."


def exit_code_of(code: int, forced: bool) -> int:
    """An exit code as POSIX has it: negative if the process did not end by itself.

    Args:
        code: As the system tells it; Windows knows no signals, and says 15 of what psutil ended.
        forced: Whether it was ended by whoever asks.
    """
    return KILLED if code in _ENDED_BY_WINDOWS or (forced and code > 0 and os.name == "nt") else code


def reason_of_exit(exit_code: int, log: Sequence[str], said: str = "", again: str = AGAIN) -> str:
    """One sentence on why a process ended.

    Args:
        exit_code: Negative if a signal ended it.
        log: Its last lines.
        said: What it gave as the reason itself, if it did. A full disk has many faces, and a sentence of its own
            here where the reason does not tell of it.
        again: What to do once the cause is mended.
    """
    last = next((line for line in reversed(log) if line.strip()), "")
    if _CURE in said:
        return said
    if any(face in line for face in _FULL for line in (said, *log[-_LAST_LINES:])):
        return f"The disk{'' if again == TRY_AGAIN else ' of the run folder'} is full; {_CURE} and {again}."
    if last.startswith("MemoryError"):
        return OUT_OF_MEMORY if again == AGAIN else f"Memory ran out; close other programs and {again}."
    if said:
        return said
    if exit_code in (KILLED, 137, -15, 143):
        return (
            f"The process was ended from outside, by someone or for want of memory; close other programs and {again}."
        )
    return f"The process ended unexpectedly (code {exit_code}{f': {last}' if last else ''}); see the log."
