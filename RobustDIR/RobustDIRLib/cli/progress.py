"""How a registration tells of its progress: lines for people, or JSON lines for programs.

JSON: one object a line, each with `event`: `stage` (`stage`, `done`, and `seconds` once it is done), `warning` and
`error` (`message`), `result` (`folder`, `seconds`).
"""

from __future__ import annotations

import json
import os
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
        if self.stop_file is not None and self.stop_file.exists():
            raise KeyboardInterrupt
        done = {} if seconds is None else {"seconds": round(seconds, 3)}
        self.tell("stage", stage=stage, done=seconds is not None, **done)

    def tell(self, event: str, **values: Any) -> None:
        """Print one event."""
        print(json.dumps({"event": event, **values}), flush=True)
