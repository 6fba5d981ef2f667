"""The records of a run as they grow, whoever writes them: what its history is now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from RobustDIRLib.runner.history import History
from RobustDIRLib.runner.lines import LineReader, as_object

_AT_ONCE = 1 << 16  # bytes: some 500 records, which take two hundredths of a second


class Follower:
    """Reads records into a history; one that was rewritten, as by a run that was resumed, is read anew.

    Args:
        path: A `records.jsonl`; it may be missing, now or at any time.
    """

    def __init__(self, path: Path) -> None:
        self.history = History()
        self._reader = LineReader(path)

    def read(self, now: float | None = None, *, rest: bool = False, most: int = _AT_ONCE) -> list[dict[str, Any]]:
        """Take what is new, not too much at once.

        Args:
            now: A clock that nobody sets, seconds, if what is new has only just been written.
            rest: Take all there is, with a last line that nobody ended: nobody writes any more.
            most: Bytes to take otherwise.
        Returns:
            The records that were new.
        """
        restarts = self._reader.restarts
        lines = self._reader.finish() if rest else self._reader.read(most)
        if self._reader.restarts != restarts:
            self.history = History()
        records = [record for line in lines if (record := as_object(line)) is not None]
        for record in records:
            self.history.add(record, now)
        return records
