"""What every registration method gives and takes, our own and its rivals alike, and how a method is asked for by name.

A method takes two images as they are and gives one transform from fixed to moving points, mm, LPS. Packages of rivals
are optional: they are looked for by `find_method` and imported by `prepare`, so that a cohort learns of a missing one
before its first pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import SimpleITK as sitk

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.images import Image
from RobustDIRLib.model_store import find_model, list_models

STARTS = ("none", "linear")
QUALITIES = ("fast", "balanced", "best")  # of `register`; named here since loading them would load torch


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
    preset: str = "generic"
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


def list_methods() -> list[str]:
    """Names of all methods: the starts, our own models at every quality, the rivals.

    A model's own name is `register` with its default quality; `NAME-fast` and `NAME-best` are the others.
    """
    from RobustDIRLib.baselines.rivals import RIVALS

    models = [entry.name for entry in list_models()]
    others = [f"{name}-{quality}" for name in models for quality in QUALITIES if f"{name}-{quality}" not in models]
    return [*STARTS, *models, *others, *RIVALS]


def find_method(name: str, device: str = "auto") -> Method:
    """The method of a name.

    Args:
        name: One of `list_methods`, or the path of a model file.
        device: Where a network runs, as `robustdir register --device`; methods that know only the CPU ignore it.
    Raises:
        InputError: If there is none of that name (names all there are), or the package it comes in is not installed.
    """
    from RobustDIRLib.baselines.rivals import RIVALS, find_rival

    if name in STARTS:
        from RobustDIRLib.baselines.starts import Linear, Untouched

        return Untouched() if name == "none" else Linear()
    if name in RIVALS:
        return find_rival(name, device)
    if name not in list_methods() and not _is_path(name):
        raise InputError(
            f"`methods` {name}: there is no such method; choose of {', '.join(list_methods())}, or give a model file."
        )
    from RobustDIRLib.baselines.ours import OwnModel

    model, _, quality = name.rpartition("-")
    models = [entry.name for entry in list_models()]
    if name not in models and model in models and quality in QUALITIES:
        return OwnModel(name, find_model(model), device, quality)
    return OwnModel(name, find_model(name), device)


def _is_path(name: str) -> bool:
    return Path(name).exists() or Path(name).suffix in (".pt", ".pth") or Path(name).name != name
