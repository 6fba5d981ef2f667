"""What methods are measured against: the images as they lie, and the linear alignment that all of them start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import SimpleITK as sitk

from RobustDIRLib.baselines.aligned import aligned
from RobustDIRLib.baselines.method import Method, Outcome, Pair


@dataclass(frozen=True)
class Untouched:
    """The images as they lie."""

    name: str = "none"

    def prepare(self) -> None:
        """Nothing to do."""

    def register(self, pair: Pair, threads: int) -> Outcome:
        """The identity both ways."""
        return Outcome(sitk.TranslationTransform(3), sitk.TranslationTransform(3))


@dataclass(frozen=True)
class LinearStart:
    """The linear alignment alone, from which our own and every rival start."""

    name: str = "linear"

    def prepare(self) -> None:
        """Nothing to do."""

    def register(self, pair: Pair, threads: int) -> Outcome:
        """The alignment of `robustdir register` with its default `--alignment automatic`, and its inverse."""
        start = aligned(pair, threads)
        transform = start.linear.transform
        return Outcome(transform, transform.GetInverse(), start.notes)


STARTS: dict[str, Callable[[], Method]] = {"none": Untouched, "linear": LinearStart}
