"""The rivals by name, and the packages they come in. Nothing optional is imported here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from RobustDIRLib.baselines import ants, convexadam, elastix, simpleitk
from RobustDIRLib.baselines.method import Method
from RobustDIRLib.baselines.optional import require, version


@dataclass(frozen=True)
class Rival:
    """A rival in one setting.

    Attributes:
        build: Makes the method.
        distribution: The package it comes in, by the name that pip knows.
    """

    build: Callable[[], Method]
    distribution: str


RIVALS = {
    "elastix": Rival(elastix.Elastix, "itk-elastix"),
    "elastix-quick": Rival(elastix.quick, "itk-elastix"),
    "ants": Rival(ants.Ants, "antspyx"),
    "ants-quick": Rival(ants.quick, "antspyx"),
    "convexadam": Rival(convexadam.ConvexAdam, "convexAdam"),
    "convexadam-quick": Rival(convexadam.quick, "convexAdam"),
    "bspline": Rival(simpleitk.BSpline, "SimpleITK"),
    "bspline-quick": Rival(simpleitk.quick_bspline, "SimpleITK"),
    "demons": Rival(simpleitk.Demons, "SimpleITK"),
    "demons-quick": Rival(simpleitk.quick_demons, "SimpleITK"),
}


def find_rival(name: str) -> Method:
    """The rival of a name.

    Args:
        name: One of `RIVALS`.
    Raises:
        InputError: If its package is not installed.
    """
    require(RIVALS[name].distribution, name)
    return RIVALS[name].build()


def versions() -> dict[str, str]:
    """Versions of the rivals' packages that are installed, for a record of what was compared."""
    found = {rival.distribution: version(rival.distribution) for rival in RIVALS.values()}
    return {name: number for name, number in found.items() if number is not None}
