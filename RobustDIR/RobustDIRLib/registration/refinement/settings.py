"""How much is refined: levels, and the qualities a user chooses from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.presets import Preset
from RobustDIRLib.registration.preprocessing import coarseness, meant_for


@dataclass(frozen=True)
class Level:
    """One level of the refinement.

    Attributes:
        factor: Working voxels along a side of one of the level's voxels.
        distance: Between control points, working voxels.
        steps: Of the optimiser, at most.
        rate: Largest change of a step, working voxels; it falls to a fifth towards the end.
        refresh: Steps between two warpings of the images; between them they are taken for linear in the displacement.
        lattices: How many of the eight sub-lattices of voxels stand for all, other ones after each warping.
        stiffness: Weight of the velocity's mean squared gradient against the mean squared local correlation; as a
            preset has it.
    """

    factor: int
    distance: float
    steps: int
    rate: float
    refresh: int
    lattices: int
    stiffness: float = 1.0


@dataclass(frozen=True)
class Quality:
    """What a word on the command line stands for.

    Attributes:
        summary: One line for the help text.
        levels: Of the refinement, at half and at full working resolution; none leaves the network's result as it is.
    """

    summary: str
    levels: tuple[Level, ...]


_MIDDLE = Level(factor=2, distance=4, steps=40, rate=0.6, refresh=4, lattices=8)
_FINE = Level(factor=1, distance=2.5, steps=32, rate=0.6, refresh=4, lattices=2)

_FINEST = 0.5  # of the shortest side of the images' own voxels: no level has finer ones

QUALITIES = {
    "fast": Quality("the network alone", ()),
    "balanced": Quality("and refinement to full resolution", (_MIDDLE, _FINE)),
    "best": Quality("and twice as much of it", (_MIDDLE, replace(_FINE, steps=48, lattices=4))),
}


def find_quality(name: str) -> Quality:
    """The quality of a name.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in QUALITIES:
        raise InputError(f"`quality` {name}: there is no such quality; choose one of {', '.join(QUALITIES)}.")
    return QUALITIES[name]


def chosen_levels(quality: str, refine: bool | None, preset: Preset) -> tuple[Level, ...]:
    """Levels of the refinement.

    Args:
        quality: Name of one of `QUALITIES`.
        refine: True refines at a quality that otherwise would not, False never does; None as the quality has it.
        preset: Says how stiff the images' kind is, and how many steps it is worth.
    Raises:
        InputError: If there is no such quality.
    """
    levels = find_quality(quality).levels
    if refine is not None:
        levels = (levels or QUALITIES["balanced"].levels) if refine else ()
    if not levels:
        return ()
    return tuple(
        replace(level, stiffness=preset.stiffness, steps=round(effort * level.steps), distance=apart * level.distance)
        for level, effort, apart in zip(levels, preset.effort, preset.apart, strict=True)
    )


def fitted_levels(levels: tuple[Level, ...], side: float, grids: Sequence[Grid], meant_for: float) -> tuple[Level, ...]:
    """The levels as they suit the resolution of the images.

    Levels whose voxels are far finer than the images' along every axis are left out: there is nothing to be seen
    there. Thick slices alone leave none out: livers of 1.3 x 1.3 x 5 mm end at 1.23 and 1.30 mm with the level of 0.97
    mm, at 1.31 and 1.42 without. Voxels coarser, by their volume, than the preset means make the rest stiffer, by the
    square of how much they are, as what they say of a place gets less certain. Of two breathing CTs of 5 x 5 x 6 mm
    the network leaves 2.10 and 2.31 mm, refinement as stiff as for 2 mm 2.15 and 2.31 after its first level, four to
    eight times as stiff 2.00 and 2.13, and 1.78 and 1.92 at the end.

    Args:
        levels: To choose from.
        side: Of a working voxel, mm.
        grids: The images' own; the coarser one counts.
        meant_for: The side for which the levels are as stiff as they should be, mm.
    """
    stiffer = max(1.0, coarseness(grids, meant_for)) ** 2
    finest = _FINEST * max(min(grid.spacing) for grid in grids)
    seen = (level for level in levels if level.factor * side >= finest)
    return tuple(replace(level, stiffness=stiffer * level.stiffness) for level in seen)


def levels_for(
    quality: str, refine: bool | None, preset: Preset, working: Grid, own: tuple[Grid, Grid]
) -> tuple[Level, ...]:
    """The levels of `chosen_levels` as they suit a pair.

    Args:
        quality: Name of one of `QUALITIES`.
        refine: As `chosen_levels` has it.
        preset: Of the pair.
        working: Grid of the refinement.
        own: Grids of the fixed and of the moving image.
    """
    levels = chosen_levels(quality, refine, preset)
    return fitted_levels(levels, working.voxel_side, own, meant_for(own[0], preset))


def check_seconds(seconds: float | None) -> None:
    """Refuse a budget that is none.

    Raises:
        InputError: If it is not above 0, or without end.
    """
    if seconds is not None and not 0 < seconds < math.inf:
        raise InputError(f"`refine_seconds` {seconds:g}: give a number of seconds above 0, or do not refine.")
