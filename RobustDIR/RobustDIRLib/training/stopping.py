"""Asking a run to stop: by a signal, or by a file that any program can make."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """True once SIGTERM or SIGINT came or the stop file exists; handlers are put back at the end of the `with` block.

    A second SIGINT interrupts at once, as usual. Signals can be caught in the main thread only; elsewhere the file
    alone counts. The file is removed at the end, so that the run can be resumed.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.signalled = file, False
        self._previous: dict[int, Any] = {}

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.signalled and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signalled = True

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
        return self.signalled or self.file.exists()
