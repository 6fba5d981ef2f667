"""How an evaluation tells of its progress: a bar for people, or JSON lines for programs.

JSON: one object a line, as `runner.history` takes it: `start` (`pairs`), `pair` for every result (`pair`, `pairs`: how
many of them; `case`, `method`, `condition`, `reason` if it failed, `seconds_per_step`), `note` (`message`), `end`
(`failed`: how many of the results did).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from RobustDIRLib.cohort.results import Key
    from RobustDIRLib.cohort.task import Ended

_BAR = 24


class Screen:
    """Progress on the terminal: a bar with the time left; off a terminal, a line a result."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self.total = self.made = 0
        self.begun = time.monotonic()
        self._open = False

    def say(self, sentence: str) -> None:
        """A line of its own."""
        self._clear()
        print(sentence, flush=True)

    def start(self, left: Sequence[Key], kept: Sequence[Key]) -> None:
        """What there is to do."""
        self.total, self.made, self.begun = len(left), 0, time.monotonic()
        finished = f"; {len(kept)} are finished and kept" if kept else ""
        self.say(f"{len(left)} results to make{finished}")
        self._draw()

    def ended(self, event: Ended) -> None:
        """One result more."""
        self.made += 1
        key = event.key
        name = f"{key.case}, {key.method}" + ("" if key.condition.strength is None else f", {key.condition.name}")
        if event.reason:
            self.say(f"failed: {name}: {event.reason}")
        elif not self.live:
            self.say(f"{self._position()}  {name}: {_figures(event)}")
        self._draw()

    def close(self) -> None:
        """Leave the bar's line."""
        self._clear()

    def _position(self) -> str:
        """How far it is, and what is left at the pace so far."""
        if not 0 < self.made < self.total:
            return f"[{self.made}/{self.total}]"
        left = (time.monotonic() - self.begun) / self.made * (self.total - self.made)
        return f"[{self.made}/{self.total}, about {in_words(left)} left]"

    def _draw(self) -> None:
        if not self.live or not self.total:
            return
        full = _BAR * self.made // self.total
        print(f"\r\x1b[K{'#' * full}{'.' * (_BAR - full)} {self._position()}", end="", flush=True)
        self._open = True

    def _clear(self) -> None:
        if self._open:
            print("\r\x1b[K", end="", flush=True)
            self._open = False


class JsonScreen:
    """A line of JSON for every event."""

    def __init__(self) -> None:
        self.total = self.made = self.kept = 0
        self.begun = time.monotonic()

    def say(self, sentence: str) -> None:
        """Something to be read."""
        self._tell("note", message=sentence)

    def start(self, left: Sequence[Key], kept: Sequence[Key]) -> None:
        """What there is to do; what is kept counts as done."""
        self.made = self.kept = len(kept)
        self.total, self.begun = len(left) + len(kept), time.monotonic()
        self._tell("start", step=self.made, steps=self.total)

    def ended(self, event: Ended) -> None:
        """One result more."""
        self.made += 1
        key, seconds = event.key, (time.monotonic() - self.begun) / (self.made - self.kept)
        pace = {"seconds_per_step": seconds} if self.made < self.total else {}
        place = {"pair": self.made, "pairs": self.total, "case": key.case, "method": key.method}
        self._tell(
            "pair", **place, condition=key.condition.name, **({"reason": event.reason} if event.reason else {}), **pace
        )

    def close(self) -> None:
        """Nothing is open."""

    def concluded(self, failed: int) -> None:
        """All is summed up."""
        self._tell("end", step=self.made, failed=failed)

    def _tell(self, kind: str, **values: Any) -> None:
        print(json.dumps({"kind": kind, **values}), flush=True)


def in_words(seconds: float) -> str:
    """A duration for people, as exact as one wants it: `40 s`, `7 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _figures(event: Ended) -> str:
    """The measure that ranks the case, and what it cost."""
    from RobustDIRLib.cohort.showing import in_words, ranking_measure

    name = ranking_measure(event.values)
    found = in_words(event.values, name) + ", " if name else ""
    return f"{found}{event.values['wall_s']:.1f} s"
