"""Where an image, a label map or landmarks come from, and how they are read: small values that can be pickled.

Image sources have `path`, `grid()` (from the header alone, where there is one) and `read()`. Landmark sources have
`path` and `read(grid)`, given the grid of the image that the landmarks belong to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.files import existing_file, read_text
from RobustDIRLib.io.images import Image, header_grid, read_image
from RobustDIRLib.io.labels import LabelMap, read_labels, read_mask
from RobustDIRLib.io.landmarks import Landmarks, read_landmarks
from RobustDIRLib.io.text_points import numbered_lines, numbers


class ImageSource(Protocol):
    """An image that can be read."""

    @property
    def path(self) -> Path:
        """File, or folder of a DICOM series."""

    def grid(self) -> Grid:
        """Its grid, mm, LPS."""

    def read(self) -> Image:
        """The image, checked."""


class LandmarkSource(Protocol):
    """Landmarks that can be read."""

    @property
    def path(self) -> Path:
        """The file."""

    def read(self, grid: Grid) -> Landmarks:
        """The landmarks, mm, LPS.

        Args:
            grid: Of the image that they belong to.
        """


@dataclass(frozen=True)
class ImageFile:
    """An image in a file, or a folder with one DICOM series.

    Attributes:
        path: The file or folder.
        fill_nan: What NaN voxels become; see `io.images.read_image`.
    """

    path: Path
    fill_nan: float | None = None

    def grid(self) -> Grid:
        """From the header alone where the format has one; else from the whole file, which then is checked as well."""
        return header_grid(self.path) or self.read().grid

    def read(self) -> Image:
        """The image as float32; see `io.images.read_image` for what is refused."""
        return read_image(self.path, fill_nan=self.fill_nan)


@dataclass(frozen=True)
class RawVolume:
    """A volume in a file without header: little-endian signed 16-bit voxels, x fastest, then y, then z.

    Attributes:
        path: The file.
        layout: Grid that its set publishes; nothing in the file tells it.
        offset: What is added to a voxel to have HU.
        window: HU to which voxels are clipped: from padding outside the field of view to broken voxels.
    """

    path: Path
    layout: Grid
    offset: float
    window: tuple[float, float]

    def grid(self) -> Grid:
        """The published grid, once the file is known to hold as many voxels.

        Raises:
            InputError: If the file is missing or of another length.
        """
        found, needed = existing_file(self.path).stat().st_size, 2 * int(np.prod(self.layout.shape))
        if found != needed:
            sides = " x ".join(map(str, self.layout.size))
            raise InputError(
                f"{self.path} has {found} bytes where {needed} are needed for {sides} voxels of 16 bits; download or "
                "unpack it again."
            )
        return self.layout

    def read(self) -> Image:
        """The volume in HU, float32.

        Raises:
            InputError: If the file is missing, of another length, or all its voxels are equal.
        """
        grid = self.grid()
        array = np.fromfile(self.path, dtype="<i2").reshape(grid.shape).astype(np.float32)
        array += self.offset
        np.clip(array, *self.window, out=array)
        if array.min() == array.max():
            raise InputError(
                f"{self.path} is constant (all voxels are {array.min():g} HU); download or unpack it again."
            )
        return Image(array, grid)


@dataclass(frozen=True)
class LabelFile:
    """A label map or mask in a file."""

    path: Path

    def grid(self) -> Grid:
        """From the header alone where the format has one."""
        try:
            return header_grid(self.path) or self.read().grid
        except InputError:  # segmentations and channels are no scalar volumes; of others, reading says why
            return self.read().grid

    def read(self) -> LabelMap:
        """The label map in whole numbers; see `io.labels.read_labels` for what is refused."""
        return read_labels(self.path)

    def read_mask(self) -> Image:
        """The mask, 1 inside; see `io.labels.read_mask` for what is refused."""
        return read_mask(self.path)


@dataclass(frozen=True)
class LandmarkFile:
    """Landmarks in any format of `io.landmarks`."""

    path: Path

    def read(self, grid: Grid) -> Landmarks:
        """The landmarks, mm, LPS; the grid serves formats in voxels."""
        return read_landmarks(self.path, grid)


@dataclass(frozen=True)
class VoxelLandmarkFile:
    """Landmarks as Learn2Reg has them: lines `x,y,z` without a header, voxels of the image's grid counted from 0."""

    path: Path

    def read(self, grid: Grid) -> Landmarks:
        """The landmarks, mm, LPS.

        Args:
            grid: Of the image that they belong to.
        Raises:
            InputError: If the file is missing, empty, or a line is not three finite numbers.
        """
        lines = numbered_lines(read_text(self.path))
        if not lines:
            raise InputError(f"{self.path} holds no landmarks; check that it is the file you mean.")
        return Landmarks(grid.points_from_voxels(self._voxels(lines)[:, ::-1]))

    def _voxels(self, lines: list[tuple[int, str]]) -> Array:
        """The numbers of all lines at once, as there may be thousands; line by line only to name a wrong one."""
        texts = [line.split(",") for _, line in lines]
        try:
            voxels = np.array(texts, dtype=np.float64)
        except ValueError:
            voxels = np.empty(0)
        if voxels.shape == (len(lines), 3) and np.isfinite(voxels).all():
            return voxels
        return np.array([numbers(self.path, number, line.split(",")) for number, line in lines])
