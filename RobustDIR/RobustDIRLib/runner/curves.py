"""Curves of any length in a bounded number of points, for plots."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

MOST_POINTS = 1000


@dataclass
class Point:
    """Neighbouring values taken together.

    Attributes:
        step: The last one.
        mean: Of the values.
        low: The smallest.
        high: The largest.
        count: How many there were.
    """

    step: float
    mean: float
    low: float
    high: float
    count: int = 1

    def take(self, other: Point) -> None:
        """Add what comes after."""
        count = self.count + other.count
        self.mean += (other.mean - self.mean) * other.count / count
        self.step, self.count = other.step, count
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)


class Curve:
    """Values against steps. When it is full, neighbours are taken together, two and two; extremes stay.

    Args:
        most: Points at most; the last one is always the last value's.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self.points: list[Point] = []
        self._most, self._width = max(most, 2), 1

    def add(self, step: float, value: float) -> None:
        """Add the next value; what is no finite number leaves a gap."""
        if not (math.isfinite(step) and math.isfinite(value)):
            return
        point = Point(step, value, value, value)
        if self.points and self.points[-1].count < self._width:
            self.points[-1].take(point)
        else:
            self.points.append(point)
        if len(self.points) > self._most:
            self._halve()

    def _halve(self) -> None:
        self._width *= 2
        for first, second in zip(self.points[::2], self.points[1::2], strict=False):
            first.take(second)
        self.points = self.points[::2]

    @property
    def steps(self) -> list[float]:
        """Of the points."""
        return [point.step for point in self.points]

    @property
    def means(self) -> list[float]:
        """Of the points."""
        return [point.mean for point in self.points]

    def at(self, step: float) -> float | None:
        """The value at a step, linear in between; None outside."""
        return _interpolated(self.steps, self.means, step)


@dataclass(frozen=True)
class Difference:
    """Two runs' curves of one measure, over the steps that both have.

    Attributes:
        steps: Those of both.
        first: Values of the first run.
        second: Values of the second run.
    """

    steps: list[float]
    first: list[float]
    second: list[float]


def compare(first: Curve, second: Curve) -> Difference:
    """Both curves at all steps at which both have a value, exact or in between."""
    steps = sorted({*first.steps, *second.steps})
    values = [(step, first.at(step), second.at(step)) for step in steps]
    both = [(step, a, b) for step, a, b in values if a is not None and b is not None]
    return Difference([s for s, _, _ in both], [a for _, a, _ in both], [b for _, _, b in both])


def _interpolated(steps: Sequence[float], values: Sequence[float], step: float) -> float | None:
    if not steps or not steps[0] <= step <= steps[-1]:
        return None
    right = bisect_left(steps, step)
    if steps[right] == step:
        return values[right]
    share = (step - steps[right - 1]) / (steps[right] - steps[right - 1])
    return values[right - 1] + share * (values[right] - values[right - 1])
