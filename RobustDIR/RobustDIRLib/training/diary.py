"""The curve of a training: every record as a JSON line in the run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError


class Diary:
    """Appends records to a file, one JSON object a line.

    Args:
        path: The file; made if needed.
        step: Where the run stands. Lines of later steps, which a run left that was killed after its last checkpoint,
            are taken away: they come once more.
    Raises:
        InputError: If it cannot be written.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        try:
            kept = [line for line in _lines(path) if _step_of(line) <= step]
            path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror}); choose another folder.") from error

    def add(self, record: dict[str, Any]) -> None:
        """Write a record, at once.

        Raises:
            InputError: If it cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error.strerror}); free space and resume.") from error


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def _step_of(line: str) -> float:
    """The step of a record; beyond all for a line that a kill cut short."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
