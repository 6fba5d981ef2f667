"""Stages and warnings of a registration, kept and told as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Told of every stage: at its start without, at its end with the seconds it took."""

    def __call__(self, stage: str, seconds: float | None = None) -> None:
        """Show it."""


class Journal:
    """Stages and warnings of one run, passed on as they come."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.timings: dict[str, float] = {}
        self.warnings: list[str] = []

    def warn(self, sentence: str) -> None:
        """Keep a sentence for the user."""
        self.warnings.append(sentence)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage and tell of it."""
        begun = time.perf_counter()
        if self.progress:
            self.progress(name)
        yield
        self.timings[name] = time.perf_counter() - begun
        if self.progress:
            self.progress(name, self.timings[name])

    def level(self, number: int, count: int) -> None:
        """Tell of a level of the refinement, to whoever wants to hear of it."""
        tell = getattr(self.progress, "level", None)
        if tell is not None:
            tell(number, count)
