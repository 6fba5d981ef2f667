"""The landmarks that are selected: in pairs to be measured, and those that lie outside their volume."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from RobustDIRLib import mrml
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.landmark_readings import reading_inside
from RobustDIRLib.io.landmarks import pairs_inside
from RobustDIRLib.panel.parameters import Parameters
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.values import Landmarks

_NAMED = 5  # landmarks in a sentence


def _paired(parameters: Parameters) -> tuple[Landmarks, Landmarks]:
    """Both lists of landmarks, mm, LPS, in the world.

    Raises:
        InputError: If one is missing or empty, a point is not placed, or they do not pair.
    """
    first, second = parameters.fixedLandmarks, parameters.movingLandmarks
    if (first is None) != (second is None):
        lacking = "fixed" if first is None else "moving"
        raise InputError(
            _("Select {lacking} landmarks as well, or none at all: landmarks are measured in pairs.").format(
                lacking=lacking
            )
        )
    pair = mrml.points_from_markups(first), mrml.points_from_markups(second)
    counts = [len(points.names) for points in pair]
    if counts[0] != counts[1]:
        raise InputError(
            _(
                "There are {fixed} fixed landmarks and {moving} moving ones: each needs its counterpart, "
                "in the same order."
            ).format(fixed=counts[0], moving=counts[1])
        )
    return pair


def to_measure(parameters: Parameters) -> tuple[Landmarks, Landmarks]:
    """Both lists of landmarks, without pairs of which one lies outside its volume, as the command line takes them.

    Raises:
        InputError: If one is missing or empty, a point is not placed, or they do not pair.
    """
    first, second = _paired(parameters)
    grids = grids_of(parameters)
    kept = np.ones(len(first), bool) if grids is None else pairs_inside(first, second, *grids)
    return first.where(kept), second.where(kept)


def grids_of(parameters: Parameters) -> tuple[Grid, Grid] | None:
    """Where both volumes lie in the world; None if one is missing or holds nothing."""
    fixed, moving = parameters.fixedVolume, parameters.movingVolume
    if fixed is None or moving is None:
        return None
    try:
        return mrml.grid_of_volume(fixed), mrml.grid_of_volume(moving)
    except InputError:
        return None


def outside_warnings(parameters: Parameters) -> Iterator[str]:
    """Landmarks outside their volume, a sentence a side; they guide nothing, and so they stop nothing."""
    for side, grid in zip(("fixed", "moving"), grids_of(parameters) or (), strict=False):
        try:
            points = mrml.points_from_markups(getattr(parameters, f"{side}Landmarks"))
        except InputError:  # none, or not placed: Check says so
            continue
        outside = np.flatnonzero(~grid.contains(points.points))
        if len(outside):
            named = ", ".join(points.names[k] for k in outside[:_NAMED]) + (", …" if len(outside) > _NAMED else "")
            other = reading_inside(points.points, grid) if 2 * len(outside) > len(points) else ""
            yield (
                _(
                    "{outside} of {count} {side} landmarks lie outside the {side} volume ({named}) and are not "
                    "measured: check that they belong to it{hint}."
                ).format(
                    outside=len(outside),
                    count=len(points),
                    side=side,
                    named=named,
                    hint=_("; they would lie inside it {reading}").format(reading=other) if other else "",
                )
            )
