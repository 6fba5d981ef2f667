"""A file that another process writes, read line by line as it grows: never waited for, never held open."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

LONGEST_LINE = 1 << 18
_AT_ONCE = 1 << 20
_REMEMBERED = 256


class LineReader:
    """Reads what has been added since it was last asked.

    A file that was cut, replaced or rewritten is read from its beginning once more; `restarts` counts that.

    Args:
        path: The file; it may be missing, now or at any time.
        offset: Where to begin, bytes.
        longest: Bytes of a line that are kept; the rest of a longer one is passed over.
    """

    def __init__(self, path: Path, offset: int = 0, longest: int = LONGEST_LINE) -> None:
        self.path, self.offset, self.restarts = path, offset, 0
        self._longest = longest
        self._rest, self._before = b"", b""
        self._skipping = False  # within a line that was too long

    def read(self, most: int = _AT_ONCE) -> list[str]:
        """Whole lines that are new, without their ends.

        Args:
            most: Bytes to read at once, so that a caller with a screen to draw is not held up.
        """
        try:
            with self.path.open("rb") as file:
                return self._split(self._new(file, most))
        except OSError:  # not there yet, moved away, of a disk that is gone for a moment
            return []

    def finish(self) -> list[str]:
        """All that is left, with a last line that nobody ended."""
        lines: list[str] = []
        before = -1
        while self.offset != before:
            before = self.offset
            lines += self.read()
        if self._rest:
            lines.append(_text(self._rest))
            self._rest = b""
        return lines

    def _new(self, file: Any, most: int) -> bytes:
        start = max(self.offset - len(self._before), 0)
        file.seek(start)
        if self._before and file.read(self.offset - start) != self._before:
            self.offset, self._rest, self._before, self._skipping = 0, b"", b"", False
            self.restarts += 1
        file.seek(0, os.SEEK_END)
        self.offset = min(self.offset, file.tell())
        file.seek(self.offset)
        data: bytes = file.read(most)
        self.offset += len(data)
        self._before = (self._before + data)[-_REMEMBERED:]
        return data

    def _split(self, data: bytes) -> list[str]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines and self._skipping:
            lines, self._skipping = lines[1:], False
        if self._skipping:
            self._rest = b""
        elif len(self._rest) > self._longest:
            lines.append(self._rest)
            self._rest, self._skipping = b"", True
        return [text for line in lines if (text := _text(line[: self._longest]))]


def tail(path: Path, most: int) -> list[str]:
    """The whole lines among the last bytes of a file; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - most, 0))
            lines = file.read(most).split(b"\n")
    except OSError:
        return []
    return [_text(line) for line in (lines if size <= most else lines[1:]) if line.strip()]


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip()


def as_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a line holds; None for any other line."""
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
