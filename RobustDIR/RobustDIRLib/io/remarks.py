"""What readers remark on files that they can read after all: sentences they log, kept by whoever uses the files."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import get_ident

_LIBRARY = __name__.partition(".")[0]
_log = logging.getLogger(__name__)


class _Ear(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []
        self._thread = get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        sentence = record.getMessage()
        if record.thread == self._thread and sentence not in self.sentences:  # another's registration is another's
            self.sentences.append(sentence)


def tell(notes: Iterable[str]) -> None:
    """Warns of what a reader found."""
    for note in notes:
        _log.warning("%s", note)


@contextmanager
def heard() -> Iterator[list[str]]:
    """Sentences of warning that the library logs within the block, each once, as they come.

    Whoever listens passes them on (`run.json`, the result of an evaluation, the terminal): the standard error output,
    where Python's logging puts them otherwise, stays silent.
    """
    ear, library = _Ear(), logging.getLogger(_LIBRARY)
    library.addHandler(ear)
    try:
        yield ear.sentences
    finally:
        library.removeHandler(ear)
