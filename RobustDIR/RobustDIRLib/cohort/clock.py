"""How long a run will still take, from what its results took so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from RobustDIRLib.cohort.results import Key


class Clock:
    """Time left: methods differ a hundredfold, so each is reckoned by its own mean.

    Args:
        left: Results still to be made.
        jobs: How many are made at once.
    """

    def __init__(self, left: Iterable[Key], jobs: int) -> None:
        self._left = Counter(key.method for key in left)
        self._seconds: Counter[str] = Counter()
        self._made: Counter[str] = Counter()
        self._jobs = jobs

    def learn(self, key: Key, seconds: float) -> None:
        """Take in what a result took, now or in an earlier run."""
        self._made[key.method] += 1
        self._seconds[key.method] += seconds  # type: ignore[assignment]

    def tick(self, key: Key, seconds: float) -> None:
        """A result has been made."""
        self.learn(key, seconds)
        self._left[key.method] -= 1

    def left(self) -> float | None:
        """Seconds; None while nothing is known of any method. Of a method not yet met the mean of the others stands."""
        made = sum(self._made.values())
        if not made:
            return None
        mean = sum(self._seconds.values()) / made
        each = {m: self._seconds[m] / self._made[m] if self._made[m] else mean for m in self._left}
        return sum(count * each[method] for method, count in self._left.items()) / self._jobs


def in_words(seconds: float) -> str:
    """A duration for people, as exact as one wants it: `40 s`, `7 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
