"""How a registration tells of its progress: lines for people, or JSON lines for programs.

JSON: one object a line, each with `event`: `stage` (`stage`, `done`, and `seconds` once it is done), `warning` and
`error` (`message`), `level` (`level`, `levels`: of the refinement), `result` (`folder`, `seconds`).
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KINDS = ("text", "json")


class Terminal:
    """One line a stage: its name at once, its seconds when it is done."""

    def __init__(self) -> None:
        self.within = False

    def __call__(self, stage: str, seconds: float | None = None) -> None:
        """Begin a stage, or end it."""
        if seconds is None:
            print(f"{stage:<10}", end=" ", flush=True)
        else:
            print(f"{seconds:5.1f} s", flush=True)
        self.within = seconds is None

    def level(self, number: int, count: int) -> None:
        """A level of the refinement begins."""
        print(f"{number}/{count}", end=" ", flush=True)

    def heed(self) -> None:
        """A terminal asks for an end by Ctrl-C."""

    def failed(self, message: str) -> None:
        """The command's last line says it."""

    def close(self) -> None:
        """End a line that a failure has left open, so that its message has a line of its own."""
        if self.within:
            print(flush=True)


class JsonLines:
    """One JSON object a line.

    Args:
        stop_file: If it is there when a stage begins, the run ends as by Ctrl-C.
    """

    def __init__(self, stop_file: str | os.PathLike[str] | None = None) -> None:
        self.stop_file = None if stop_file is None else Path(stop_file)

    def __call__(self, stage: str, seconds: float | None = None) -> None:
        """Tell of a stage's beginning or end.

        Raises:
            KeyboardInterrupt: If the stop file is there.
        """
        self.heed()
        done = {} if seconds is None else {"seconds": round(seconds, 3)}
        self.tell("stage", stage=stage, done=seconds is not None, **done)

    def heed(self) -> None:
        """End the run if that was asked for.

        Raises:
            KeyboardInterrupt: If the stop file is there.
        """
        if self.stop_file is not None and self.stop_file.exists():
            raise KeyboardInterrupt

    def level(self, number: int, count: int) -> None:
        """Tell of a level of the refinement."""
        self.tell("level", level=number, levels=count)

    def failed(self, message: str) -> None:
        """Tell of a failure."""
        self.tell("error", message=message)

    def close(self) -> None:
        """Every line is whole."""

    def tell(self, event: str, **values: Any) -> None:
        """Print one event."""
        print(json.dumps({"event": event, **values}), flush=True)


@contextmanager
def keeping(keep_file: str | os.PathLike[str] | None, progress: Terminal | JsonLines) -> Iterator[Callable[[], bool]]:
    """How a refinement is told to end with what it has: by a file, or by SIGTERM from its beginning on.

    Args:
        keep_file: Once it is there, it is enough; None for no such file.
        progress: Heeded as well, so that a refinement can be broken off altogether.
    Returns:
        Whether it is enough. Before it is first asked SIGTERM is what it was.
    """
    asked = threading.Event()
    usable = os.name == "posix" and threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if usable else None

    def enough() -> bool:
        if usable and signal.getsignal(signal.SIGTERM) is before:
            signal.signal(signal.SIGTERM, lambda *_: asked.set())
        progress.heed()
        return asked.is_set() or (keep_file is not None and Path(keep_file).exists())

    try:
        yield enough
    finally:
        if usable:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, as batch systems send it, end a run as Ctrl-C does: no process is left behind, no file half done."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
