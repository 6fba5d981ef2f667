"""How an evaluation tells of its progress: a bar for people, or JSON lines for programs.

JSON: one object a line, as `runner.history` takes it: `start` (`pairs`), `pair` for every result (`pair`, `pairs`: how
many of them; `case`, `method`, `condition`, `reason` if it failed, `seconds_per_step`), `note` (`message`), `end`
(`failed`: how many of the results did).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from RobustDIRLib.cohort.clock import Clock
    from RobustDIRLib.cohort.results import Key
    from RobustDIRLib.cohort.work import Ended

_BAR = 24


class Screen:
    """Progress on the terminal: a bar with the time left; off a terminal, a line a result."""

    def __init__(self) -> None:
        ranks, rank = os.environ.get("WORLD_SIZE", "1"), os.environ.get("RANK", "0")
        self.prefix = "" if ranks == "1" else f"rank {rank}: "
        self.live = sys.stdout.isatty() and not self.prefix
        self.total = self.made = 0
        self.clock: Any = None
        self._open = False

    def say(self, sentence: str) -> None:
        """A line of its own."""
        self._clear()
        print(self.prefix + sentence, flush=True)

    def start(self, left: Sequence[Key], kept: Iterable[tuple[Key, float]], jobs: int) -> None:
        """What there is to do."""
        earlier = list(kept)
        self.total, self.made, self.clock = len(left), 0, _clock(left, earlier, jobs)
        finished = f"; {len(earlier)} are finished and kept" if earlier else ""
        self.say(f"{len(left)} results to make{finished}")
        self._draw()

    def ended(self, event: Ended) -> None:
        """One result more."""
        self.made += 1
        self.clock.tick(event.key, event.seconds)
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
        from RobustDIRLib.cohort.clock import in_words

        left = self.clock.left()
        time_left = f", about {in_words(left)} left" if left is not None and self.made < self.total else ""
        return f"[{self.made}/{self.total}{time_left}]"

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
        self.total = self.made = 0
        self.clock: Any = None

    def say(self, sentence: str) -> None:
        """Something to be read."""
        self._tell("note", message=sentence)

    def start(self, left: Sequence[Key], kept: Iterable[tuple[Key, float]], jobs: int) -> None:
        """What there is to do; what is kept counts as done."""
        earlier = list(kept)
        self.made, self.total, self.clock = len(earlier), len(left) + len(earlier), _clock(left, earlier, jobs)
        self._tell("start", step=self.made, steps=self.total)

    def ended(self, event: Ended) -> None:
        """One result more."""
        self.made += 1
        self.clock.tick(event.key, event.seconds)
        left, key = self.clock.left(), event.key
        pace = {} if left is None or self.made >= self.total else {"seconds_per_step": left / (self.total - self.made)}
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


def _clock(left: Sequence[Key], earlier: Iterable[tuple[Key, float]], jobs: int) -> Clock:
    """Of what is left, knowing what earlier results took."""
    from RobustDIRLib.cohort.clock import Clock

    clock = Clock(left, jobs)
    for key, seconds in earlier:
        clock.learn(key, seconds)
    return clock


def _figures(event: Ended) -> str:
    """The measure that ranks the case, and what it cost."""
    from RobustDIRLib.cohort.worst import in_words, ranking_measure

    name = ranking_measure(event.values)
    found = in_words(event.values, name) + ", " if name else ""
    return f"{found}{event.values['wall_s']:.1f} s"
