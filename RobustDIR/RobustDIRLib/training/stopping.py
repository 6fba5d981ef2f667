"""Asking a run to stop or to wait: by a signal, or by a file that any program can make."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from RobustDIRLib.errors import InputError

_PAUSE = "pause"
_LOOK_SECONDS = 0.2


def waiting(folder: Path, stop: StopRequest, step: int) -> Iterator[dict[str, Any]]:
    """Wait for as long as a file named `pause` is in the run's folder and nobody asks to stop.

    Args:
        folder: Of the run.
        stop: What ends the waiting, too.
        step: At which it waits.
    Yields:
        One record of kind `pause`, if there is anything to wait for.
    """
    pause = folder / _PAUSE
    if pause.is_file() and not stop:
        yield {"kind": "pause", "step": step}
        while pause.is_file() and not stop:
            time.sleep(_LOOK_SECONDS)


class StopRequest:
    """True once SIGTERM or SIGINT came or the stop file exists; handlers are put back at the end of the `with` block.

    Its `signal` is the signal's number, 0 without. A second SIGINT interrupts at once, as usual. Signals can be caught
    in the main thread only; elsewhere the file alone counts. The file is removed at the end, so that the run can be
    resumed.

    Raises:
        InputError: Upon entering, if a folder lies where this file or `pause` would ask.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.signal = file, 0
        self._previous: dict[int, Any] = {}

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def __enter__(self) -> StopRequest:
        for path in (self.file, self.file.with_name(_PAUSE)):
            if path.is_dir():
                raise InputError(f"{path} is a folder, where a file would ask the run to {path.name}; move it away.")
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self.file.is_file():  # a folder is nobody's request
            self.file.unlink(missing_ok=True)

    def __bool__(self) -> bool:
        return bool(self.signal) or self.file.is_file()
