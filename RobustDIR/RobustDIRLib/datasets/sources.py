"""Where an image, a label map or landmarks come from, and how they are read: small values that can be pickled.

Image sources have `path`, `grid()` (from the header alone, where there is one) and `read()`. Landmark sources have
`path` and `read(grid)`, given the grid of the image that the landmarks belong to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import SimpleITK as sitk

from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.files import quiet_itk
from RobustDIRLib.io.images import Image, read_image, read_labels, sitk_grid
from RobustDIRLib.io.landmarks import Landmarks, read_landmarks


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
    """An image in a file, or a folder with one DICOM series."""

    path: Path

    def grid(self) -> Grid:
        """From the header alone where ITK reads one; else from the whole file, which then is checked as well."""
        return _header_grid(self.path) or self.read().grid

    def read(self) -> Image:
        """The image as float32; see `io.images.read_image` for what is refused."""
        return read_image(self.path)


@dataclass(frozen=True)
class LabelFile:
    """A label map or mask in a file."""

    path: Path

    def grid(self) -> Grid:
        """From the header alone where ITK reads one."""
        return _header_grid(self.path) or self.read().grid

    def read(self) -> Image:
        """The label map in whole numbers; see `io.images.read_labels` for what is refused."""
        return read_labels(self.path)


@dataclass(frozen=True)
class LandmarkFile:
    """Landmarks in any format of `io.landmarks`."""

    path: Path

    def read(self, grid: Grid) -> Landmarks:
        """The landmarks, mm, LPS; the grid serves formats in voxels."""
        return read_landmarks(self.path, grid)


def _header_grid(path: Path) -> Grid | None:
    """Grid of a 3D file by its header, or None where only reading it can tell."""
    if not path.is_file():
        return None
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with quiet_itk():
        try:
            reader.ReadImageInformation()
            return sitk_grid(reader) if reader.GetDimension() == 3 else None
        except (RuntimeError, ValueError):  # unknown to ITK or without a sound grid: reading it says why
            return None
