"""What a run's records say: how far it is, how good, its curves, how long it still takes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from RobustDIRLib.runner.curves import Curve

# What is drawn, by the kind of record it stands in; the step is the abscissa of all.
DRAWN = {
    "step": ("loss", "learning_rate", "end_point_error"),
    "epoch": ("training_loss", "loss", "dice", "tre_mm", "folding_percent"),
    "validation": ("error", "dice", "folding"),
}
_SAMPLES, _LEAST_SPAN_S = 60, 5.0
_NUMBERS = (int, float)


@dataclass
class Best:
    """The best value of a measure so far, and its epoch or step."""

    value: float
    at: int


class History:
    """Takes records in their order; its memory does not grow with their number.

    Attributes:
        kind: Of the last record; empty before the first.
        step, steps: Done, and to do in all; 0 where unknown. Of a deformation model: pairs.
        epoch, epochs: Likewise.
        best: By measure: `dice` (largest), `tre_mm` (mm, smallest), `error` (of synthetic pairs, voxels, smallest).
        curves: By kind of record and measure, such as `epoch/dice`.
        final: `end` or `stop` once the run has said that it is over.
    """

    def __init__(self) -> None:
        self.kind = self.final = ""
        self.step = self.steps = self.epoch = self.epochs = 0
        self.seconds_per_step: float | None = None
        self.best: dict[str, Best] = {}
        self.curves: dict[str, Curve] = {}
        self.count = 0
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    @property
    def paused(self) -> bool:
        """Whether the run has said that it waits."""
        return self.kind == "pause"

    def add(self, record: Mapping[str, Any], now: float | None = None) -> None:
        """Take a record; values that make no sense are passed over.

        Args:
            record: With a `kind`.
            now: A clock that nobody sets, seconds, of a record that has only just been written.
        """
        kind = record.get("kind")
        if not isinstance(kind, str):
            return
        self.kind, self.count = kind, self.count + 1
        self.final = kind if kind in ("end", "stop") else self.final if kind == "summary" else ""
        for name in ("step", "steps", "epoch", "epochs"):
            if (value := number(record.get(name))) is not None:
                setattr(self, name, int(value))
        if kind == "pair":
            self.step, self.steps = (int(number(record.get(name)) or 0) for name in ("pair", "pairs"))
        self.seconds_per_step = number(record.get("seconds_per_step")) or self.seconds_per_step
        self._judge(kind, record)
        self._draw(kind, record)
        self._clock(kind, now)

    @property
    def fraction(self) -> float:
        """How far it is, from 0 to 1."""
        return min(max(self.step / self.steps, 0.0), 1.0) if self.steps > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """By the pace it was seen at, else by what it says of its last step; None if nothing tells."""
        left = max(self.steps - self.step, 0)
        if self.final or not self.steps:
            return None
        if len(self._samples) > 1:
            (begun, first), (last, step) = self._samples[0], self._samples[-1]
            if step > first and last - begun >= _LEAST_SPAN_S:
                return left * (last - begun) / (step - first)
        return None if self.seconds_per_step is None else left * self.seconds_per_step

    def _judge(self, kind: str, record: Mapping[str, Any]) -> None:
        if kind not in ("epoch", "validation"):
            return
        at = self.epoch if kind == "epoch" else self.step
        self._compare(record, at)
        earlier = record.get("best_so_far")  # what a run's end alone, read without its beginning, does not tell
        if isinstance(earlier, dict):
            self._compare(earlier, int(number(earlier.get("epoch")) or 0))

    def _compare(self, measures: Mapping[str, Any], at: int) -> None:
        for name, sign in (("dice", 1), ("tre_mm", -1), ("error", -1)):
            value, held = number(measures.get(name)), self.best.get(name)
            if value is not None and (held is None or sign * value > sign * held.value):
                self.best[name] = Best(value, at)

    def _draw(self, kind: str, record: Mapping[str, Any]) -> None:
        for name in DRAWN.get(kind, ()):
            if (value := number(record.get(name))) is not None:
                self.curves.setdefault(f"{kind}/{name}", Curve()).add(self.step, value)

    def _clock(self, kind: str, now: float | None) -> None:
        if kind in ("start", "pause"):  # time before it counts for nothing
            self._samples.clear()
        if now is not None and kind in ("step", "epoch", "validation", "pair"):
            self._samples.append((now, self.step))


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if type(value) not in _NUMBERS:  # of JSON, so that no class but these can come, and a truth value is none of them
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
