"""Segmentations whose segments overlap, as pairs of label maps in which none do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.label_names import numbered_by_name
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.files import PathLike
from RobustDIRLib.io.labels import LabelMap, read_label_maps

Side = tuple[LabelMap, ...]


def read_pairs(moving: Sequence[PathLike], fixed: Sequence[PathLike]) -> tuple[Side, Side]:
    """Label maps of both images, file by file: one map of each, or several where segments of one of both overlap.

    Args:
        moving: Files of the moving image.
        fixed: As many of the fixed image, in the same order, or none.
    Returns:
        Moving and fixed maps; those of one place hold the same structures, under the moving numbers where both have
        names. Each says by `source` which file it is of.
    Raises:
        InputError: If a file cannot be read as a label map, or there are not as many files of both.
    """
    return all_paired([read_label_maps(path) for path in moving], [read_label_maps(path) for path in fixed])


def all_paired(ours: Sequence[Side], theirs: Sequence[Side]) -> tuple[Side, Side]:
    """What `read_pairs` makes of the maps of its files, for maps from memory, too.

    Raises:
        InputError: If there are fixed ones, but not as many.
    """
    if not theirs:
        return sum(ours, ()), ()
    if len(theirs) != len(ours):
        raise InputError(
            f"`fixed_labels`: {len(theirs)} label maps were given for {len(ours)} of the moving image "
            f"(`moving_labels`); give one for each, in the same order."
        )
    pairs = [paired(one, other) for one, other in zip(ours, theirs, strict=True)]
    return sum((one for one, _ in pairs), ()), sum((other for _, other in pairs), ())


def paired(moving: Side, fixed: Side) -> tuple[Side, Side]:
    """The layers of two segmentations, laid anew so that structures of one name lie in one layer on both sides."""
    if len(moving) == len(fixed) == 1:
        return moving, fixed
    names = dict(moving[0].names), dict(fixed[0].names)
    numbers = numbered_by_name(names[1], names[0], _held(fixed), _held(moving))
    old = {n: n for n in _held(fixed) if n not in numbers} | {new: n for n, new in numbers.items()}
    layers: list[_Layer] = []
    for number in sorted(_held(moving) | {numbers.get(n, n) for n in _held(fixed)}):
        here = _where(moving, number)
        there = _where(fixed, old.get(number))
        layer = next((one for one in layers if one.has_room(here, there)), None)
        if layer is None:
            layer = _Layer.empty(moving[0].grid, fixed[0].grid)
            layers.append(layer)
        layer.add(number, here, there)
    called = {numbers.get(n, n): name for n, name in names[1].items()} if names[1] else {}
    sides = [
        (
            LabelMap(one.moving, moving[0].grid, _only(names[0], one.numbers), moving[0].source),
            LabelMap(one.fixed, fixed[0].grid, _only(called, one.numbers), fixed[0].source),
        )
        for one in layers
    ]
    return tuple(one for one, _ in sides), tuple(other for _, other in sides)


@dataclass
class _Layer:
    """A map of each side in which no two structures overlap."""

    moving: NDArray[np.int32]
    fixed: NDArray[np.int32]
    numbers: set[int] = field(default_factory=set)

    @classmethod
    def empty(cls, moving: Grid, fixed: Grid) -> _Layer:
        return cls(np.zeros(moving.shape, np.int32), np.zeros(fixed.shape, np.int32))

    def has_room(self, here: NDArray[np.bool_], there: NDArray[np.bool_]) -> bool:
        return not self.moving[here].any() and not self.fixed[there].any()

    def add(self, number: int, here: NDArray[np.bool_], there: NDArray[np.bool_]) -> None:
        self.moving[here] = number
        self.fixed[there] = number
        self.numbers.add(number)


def _held(side: Side) -> set[int]:
    return {int(number) for one in side for number in np.unique(one.array)} - {0}


def _where(side: Side, number: int | None) -> NDArray[np.bool_]:
    """Where any layer of a side has a number; nowhere for none."""
    if number is None:
        return np.zeros(side[0].grid.shape, dtype=bool)
    return np.asarray(np.logical_or.reduce([one.array == number for one in side]))


def _only(names: dict[int, str], numbers: set[int]) -> dict[int, str]:
    return {number: name for number, name in names.items() if number in numbers}
