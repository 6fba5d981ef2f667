"""The curve of a training: every record as a JSON line in the run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import read_text, written_atomically


class Diary:
    """Appends records to a file, one JSON object a line.

    Args:
        path: The file; made if needed.
        step: Where the run stands. Lines of later steps, which a run left that was killed after its last checkpoint,
            are taken away: they come once more. -1 for a run that begins anew.
    Raises:
        InputError: If it cannot be written.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        try:
            before = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); choose another folder.") from error
        kept = "".join(f"{line}\n" for line in before.splitlines() if _step_of(line) <= step)
        if kept != before or not path.exists():
            with written_atomically(path) as temporary:
                temporary.write_text(kept, encoding="utf-8")

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


def read_records(path: Path) -> list[dict[str, Any]]:
    """All records of a run.

    Raises:
        InputError: If the file is missing or damaged.
    """
    text = read_text(path)
    try:
        records = [json.loads(line) for line in text.splitlines()]
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); put it back as the run wrote it.") from error
    if not records or not all(isinstance(record, dict) and isinstance(record.get("kind"), str) for record in records):
        raise InputError(f"{path} holds something else than a run's records; put it back as the run wrote it.")
    return records


def refuse_lost_checkpoint(records: Path, checkpoint: Path) -> None:
    """Refuse to begin a run again that had written a checkpoint, by its records: it would write over its model.

    Raises:
        InputError: Names the checkpoint.
    """
    try:
        told = '"kind": "checkpoint"' in records.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if told:
        raise InputError(
            f"{checkpoint} is gone, which the run had written; put it back, or start another run in another folder "
            "from the model that this one has left."
        )


def _step_of(line: str) -> float:
    """The step of a record; beyond all for a line that a kill cut short."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
