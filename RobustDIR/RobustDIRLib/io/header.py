"""What the header of a file says, whatever its format, and the one way from there to voxels on a grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid, rectangular
from RobustDIRLib.io.files import PathLike
from RobustDIRLib.io.payload import Payload, enough_memory, read_payload
from RobustDIRLib.io.remarks import tell

_MOST_VOXELS = 2**31  # along a side
_TOLD = 1e-3  # voxels by which a corner may move without a word
_APART = 0.1  # voxels by which it may where a header gives the size of a voxel twice


@dataclass(frozen=True)
class Header:
    """A header that holds together; nothing of the voxels is read yet, but where a library reads both at once (MINC).

    Attributes:
        path: The file that the user named.
        sides: Numbers along each axis of the array, the fastest first.
        spatial: Which of these axes are x, y and z.
        matrix: Shape `(3, 4)`; takes indices x, y, z to mm, LPS.
        payload: Where the numbers are; or the voxels themselves, shape `(z, y, x)`, once they are read.
        slope: What a stored number is multiplied by.
        intercept: What is added to it then.
        notes: Sentences the user should read.
        intent: NIfTI's code of what the numbers are; None in other formats.
        keys: What programs add of their own, by keys in lower case (NRRD; of NIfTI the name of the intent).
    """

    path: Path
    sides: tuple[int, ...]
    spatial: tuple[int, int, int]
    matrix: Array
    payload: Payload | NDArray[Any]
    slope: float = 1.0
    intercept: float = 0.0
    notes: tuple[str, ...] = ()
    intent: int | None = None
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        x, y, z = (self.sides[axis] for axis in self.spatial)
        return z, y, x

    @property
    def values(self) -> int:
        """Numbers a voxel."""
        return math.prod(self.sides) // math.prod(self.shape)

    @property
    def step(self) -> float:
        """Difference of neighbouring values that whole numbers are scaled to; 0 if nothing is scaled."""
        return 0.0 if self.slope == 1 else abs(self.slope)

    def grid(self) -> tuple[Grid, tuple[str, ...]]:
        """The grid of the voxels, and what the user should know of the file.

        Raises:
            InputError: If the axes are skewed beyond rounding, or a number is not finite or a spacing zero.
        """
        grid, notes = placed_grid(self.path, self.shape, self.matrix)
        return grid, (*self.notes, *notes)

    def refuse_several_values(self) -> None:
        """Refuses what is not one value a voxel in three dimensions.

        Raises:
            InputError: If there are more.
        """
        if self.values == 1:
            return
        if len(self.sides) > 3 and self.spatial == (0, 1, 2) and self.sides[3] > 1:
            raise InputError(
                f"{self.path} is {len(self.sides)}D ({_listed(self.sides)}); give a single 3D volume, one time point "
                "for instance."
            )
        raise InputError(
            f"{self.path} holds {self.values} values a voxel (colours, vectors or time points); give an image with one "
            "real value a voxel."
        )

    def read(self) -> tuple[NDArray[Any], Grid]:
        """The voxels as `array` gives them, and their grid; tells of what the user should know of the file.

        Raises:
            InputError: As `array` and `grid`.
        """
        grid, notes = self.grid()
        array = self.array()
        tell(notes)
        return array, grid

    def array(self) -> NDArray[Any]:
        """The voxels, scaled as the header says, shape `(z, y, x, ...)` with all axes that are not spatial behind.

        Raises:
            InputError: If they are cut short, damaged, or do not fit into memory.
        """
        if not isinstance(self.payload, Payload):
            return self.payload
        numbers = read_payload(self.path, self.payload)
        with enough_memory(self.path), np.errstate(over="ignore", invalid="ignore"):
            numbers = apply_read_scaling(numbers, self.slope, self.intercept)
        last = len(self.sides) - 1
        order = [last - axis for axis in reversed(self.spatial)]
        order += [last - axis for axis in range(last + 1) if axis not in self.spatial]
        return np.asarray(numbers.reshape(self.sides[::-1]).transpose(order))


def check_sides(path: Path, sides: tuple[int, ...]) -> None:
    """Refuses an array that is no volume.

    Raises:
        InputError: If a side is not positive or beyond all memory, or there are fewer than three.
    """
    if not sides or min(sides) < 1 or max(sides) >= _MOST_VOXELS:
        raise InputError(f"{path} has an impossible size ({_listed(sides)} voxels); export it again.")
    if len(sides) < 3:
        raise InputError(
            f"{path} is {len(sides)}D ({_listed(sides)}); give a 3D volume (a DICOM series by its folder)."
        )


def placed_grid(path: PathLike, shape: tuple[int, int, int], matrix: Array) -> tuple[Grid, tuple[str, ...]]:
    """`geometry.rectangular` with the name of the file, or of what else it is, in its refusal.

    Returns:
        The grid, and a sentence if axes were made rectangular.
    Raises:
        InputError: If the axes are skewed beyond rounding, or a number is not finite or a spacing zero.
    """
    try:
        grid, moved = rectangular(shape, matrix)
    except ValueError as error:
        cure = "resample it to a rectangular grid first" if "skewed" in str(error) else "correct its header"
        raise InputError(f"{path} has {error}; {cure}.") from error
    if moved <= _TOLD:
        return grid, ()
    return grid, (f"{path} has slightly skewed axes; made rectangular, which moves corners {moved:.3f} voxels.",)


def refuse_two_sizes(
    path: Path, lengths: Array, spacing: Array, sides: tuple[int, ...], names: tuple[str, str]
) -> None:
    """Refuses voxels of another size by their axes than by their spacing: programs go by the one or by the other.

    Args:
        path: For the message.
        lengths: Of the axes' steps along x, y, z, in the unit of `spacing`.
        spacing: What the header says beside them.
        sides: Voxels along x, y, z; a difference counts where it moves a corner.
        names: What both are called in the header.
    Raises:
        InputError: If a corner would move by more than a tenth of a voxel.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.abs(lengths / spacing - 1) * np.maximum(np.array(sides[:3]) - 1, 1)
    if not off.max() <= _APART:
        sizes = [" x ".join(f"{size:.4g}" for size in one) for one in (lengths, spacing)]
        raise InputError(
            f"{path} has voxels of {sizes[0]} mm by its {names[0]} and of {sizes[1]} mm by its {names[1]}; correct its "
            "header."
        )


def _listed(sides: tuple[int, ...]) -> str:
    return " x ".join(map(str, sides))
