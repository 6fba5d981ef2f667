"""What every registration method gives and takes, our own and its rivals alike.

A method takes two images as they are and gives one transform from fixed to moving points, mm, LPS. `registry` knows
them by name. Packages of rivals are optional: they are looked for there and imported by `prepare`, so that a cohort
learns of a missing one before its first pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import SimpleITK as sitk

from RobustDIRLib.presets import DEFAULT
from RobustDIRLib.values import Image


@dataclass(frozen=True)
class Pair:
    """Two images to be registered, as they were read.

    Attributes:
        fixed: Any grid, original intensities.
        moving: Any grid, original intensities.
        fixed_mask: Where to look in the fixed image, above 0 inside; any grid.
        moving_mask: The same for the moving image.
        preset: Name of one of `preprocessing.PRESETS`.
        spacing: Side of a working voxel, mm, for every method alike; None takes what `robustdir register` would.
    """

    fixed: Image
    moving: Image
    fixed_mask: Image | None = None
    moving_mask: Image | None = None
    preset: str = DEFAULT
    spacing: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What a method found.

    Attributes:
        transform: Fixed point to moving point, mm, LPS, everything in one: the moving image is resampled once.
        inverse: Moving point to fixed point, mm, LPS; None where the method gives none.
        notes: Warnings of the registration, a sentence each.
    """

    transform: sitk.Transform
    inverse: sitk.Transform | None = None
    notes: tuple[str, ...] = ()


class Method(Protocol):
    """A way to register. It can be pickled, to be run in a process of its own (`timing.measured`)."""

    @property
    def name(self) -> str:
        """What it is asked for by."""

    def prepare(self) -> None:
        """Import its packages, load its weights: what is done once and not timed.

        Raises:
            InputError: If a package or the weights are missing.
        """

    def register(self, pair: Pair, threads: int) -> Outcome:
        """Register one pair.

        Args:
            pair: Two images, any grids.
            threads: To compute with. Results repeat for equal numbers of threads.
        Raises:
            InputError: If the pair cannot be registered by this method.
        """


@runtime_checkable
class Placeable(Protocol):
    """A method that can compute elsewhere than on the CPU; those that cannot lack this."""

    def on(self, device: str) -> Method:
        """The same method on a device, as `robustdir register --device` names it."""
