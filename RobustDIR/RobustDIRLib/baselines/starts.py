"""What every method is measured against: the images as they lie, and the linear alignment from which all of them start."""

from __future__ import annotations

from dataclasses import dataclass

import SimpleITK as sitk

from RobustDIRLib.baselines.method import Outcome, Pair
from RobustDIRLib.registration.alignment import align
from RobustDIRLib.registration.preprocessing import find_preset, normalise, prepare_mask


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
class Linear:
    """The linear alignment alone, from which our own and every rival start."""

    name: str = "linear"

    def prepare(self) -> None:
        """Nothing to do."""

    def register(self, pair: Pair, threads: int) -> Outcome:
        """The alignment of `robustdir register` with its default `--alignment automatic`, and its inverse."""
        preset = find_preset(pair.preset)
        images = ((pair.fixed, pair.fixed_mask, "fixed"), (pair.moving, pair.moving_mask, "moving"))
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
        scaled = [normalise(i, preset, prepare_mask(mask, i, name, _silent)) for i, mask, name in images]
        transform = align(*scaled).transform
        return Outcome(transform, transform.GetInverse())


def _silent(sentence: str) -> None:
    """A word of warning that nobody is there to read."""
