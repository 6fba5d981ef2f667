"""Asking a run to stop: by a signal, or by a file that any program can make."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """True once SIGTERM or SIGINT came or the stop file exists; handlers are put back at the end of the `with` block.

    Its `signal` is the signal's number, 0 without. A second SIGINT interrupts at once, as usual. Signals can be caught
    in the main thread only; elsewhere the file alone counts. The file is removed at the end, so that the run can be
    resumed.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.signal = file, 0
        self._previous: dict[int, Any] = {}

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self.file.unlink(missing_ok=True)

    def __bool__(self) -> bool:
        return bool(self.signal) or self.file.exists()
