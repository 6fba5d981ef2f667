"""What the registering process leaves for the panel, as plain files that it reads in steps; see `exchange`.

| file | what | frame |
|---|---|---|
| `transform_field.mha` | `T(x) - x` on the working grid with one voxel around it, float32 | mm, RAS components |
| `inverse_field.mha` | `T^-1(y) - y` over the moving image, float32 | mm, RAS components |
| `warped.mha`, `jacobian.mha` | as in the run's folder, float32 | |

The working grid loses nothing: between its voxels the transform is linear. The grids are in LPS as all of MetaImage;
the components are in RAS because that is what a grid transform node of MRML holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.files import make_folder
from RobustDIRLib.io.images import sitk_grid
from RobustDIRLib.panelparts.exchange import write
from RobustDIRLib.run_files import INVERSE_FIELD, TRANSFORM_FIELD
from RobustDIRLib.run_files import JACOBIAN_VOXELS as JACOBIAN
from RobustDIRLib.run_files import WARPED_VOXELS as WARPED

_RAS = np.array([-1, -1, 1], dtype=np.float32)
FILES = (TRANSFORM_FIELD, INVERSE_FIELD, WARPED, JACOBIAN)


def write_handover(result: Any, moving: Grid, folder: Path) -> None:
    """Write a registration's results for the panel.

    Args:
        result: A `RegistrationResult`.
        moving: Grid of the moving image.
        folder: Made if it is not there.
    Raises:
        InputError: If a file cannot be written.
    """
    make_folder(folder)
    array, grid = transform_field(result.transform)
    write(folder / TRANSFORM_FIELD, array * _RAS, grid)
    array, grid = inverse_field(result.inverse, moving)
    write(folder / INVERSE_FIELD, array * _RAS, grid)
    write(folder / WARPED, result.warped.array, result.warped.grid)
    write(folder / JACOBIAN, result.jacobian.array, result.jacobian.grid)


def is_registration(transform: sitk.Transform) -> bool:
    """Whether a transform is as our registrations give it: a displacement field, and a linear part after it."""
    own = transform.Downcast()
    if own.GetName() != "CompositeTransform" or own.GetNumberOfTransforms() != 2:
        return False
    linear, displacement = (own.GetNthTransform(k).Downcast() for k in (0, 1))
    return bool(linear.IsLinear()) and displacement.GetName() == "DisplacementFieldTransform"


def transform_field(transform: sitk.Transform) -> tuple[NDArray[np.float32], Grid]:
    """The transform `T(x) = A(x + u(x))` as one field: `T(x) - x`, on u's grid with a voxel more on every side.

    A field that is continued with its border's displacement, as MRML's is, would miss what A does in the outer half of
    the border voxels; one voxel around keeps it.

    Args:
        transform: Of the linear part and the displacement, in that order, as registrations give it.
    Returns:
        Shape `(z, y, x, 3)`, mm, components x, y, z, LPS; and its grid.
    """
    linear, displacement = (transform.Downcast().GetNthTransform(k).Downcast() for k in (0, 1))
    field, grid = _padded(displacement)
    return _moved(_points(grid) + field, linear) - _points(grid), grid


def inverse_field(inverse: sitk.CompositeTransform, moving: Grid) -> tuple[NDArray[np.float32], Grid]:
    """The inverse `T^-1(y) = z + v(z)`, `z = A^-1(y)`, as one field `T^-1(y) - y` over the moving image.

    Args:
        inverse: Of the displacement and the linear part, in that order, as registrations give it.
        moving: Grid of the moving image; it is made coarser where it is finer than v's.
    Returns:
        Shape `(z, y, x, 3)`, mm, components x, y, z, LPS; and its grid.
    """
    displacement, linear = (inverse.GetNthTransform(k).Downcast() for k in (0, 1))
    vectors = displacement.GetDisplacementField()
    grid = _no_finer(moving, sitk_grid(vectors)).padded((1, 1, 1), (1, 1, 1))
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.size)
    resampler.SetOutputSpacing(grid.spacing)
    resampler.SetOutputOrigin(grid.origin)
    resampler.SetOutputDirection([entry for row in grid.direction for entry in row])
    resampler.SetTransform(linear)
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetUseNearestNeighborExtrapolator(True)  # beyond v's grid its border goes on, as in the library's own
    field = sitk.GetArrayFromImage(resampler.Execute(sitk.Cast(vectors, sitk.sitkVectorFloat32)))
    points = _points(grid)
    return field + (_moved(points, linear) - points), grid


def _no_finer(grid: Grid, other: Grid) -> Grid:
    """The grid itself, or one of its borders with voxels about as large as the other's if those are larger."""
    coarse = max(other.spacing)
    z, y, x = (
        max(2, int(round(n * min(1.0, spacing / coarse))))
        for n, spacing in zip(grid.shape, grid.spacing[::-1], strict=True)
    )
    return grid.resized((z, y, x))


def _padded(displacement: sitk.DisplacementFieldTransform) -> tuple[NDArray[np.float32], Grid]:
    vectors = displacement.GetDisplacementField()
    field = sitk.GetArrayFromImage(vectors).astype(np.float32)
    return np.pad(field, ((1, 1), (1, 1), (1, 1), (0, 0)), mode="edge"), sitk_grid(vectors).padded((1, 1, 1), (1, 1, 1))


def _points(grid: Grid) -> NDArray[np.float32]:
    """All voxel centres, `(z, y, x, 3)`, mm, LPS; about the grid's origin double precision, kept in single."""
    z, y, x = (np.arange(n, dtype=np.float64) for n in grid.shape)
    matrix, origin = grid.array_to_mm, grid.origin
    axes = [z[:, None, None], y[:, None], x]
    parts = [sum(matrix[c, k] * axes[k] for k in range(3)) + origin[c] for c in range(3)]
    return np.stack([part.astype(np.float32) for part in parts], axis=-1)


def _moved(points: NDArray[np.float32], linear: sitk.Transform) -> NDArray[np.float32]:
    """Points through an affine transform of ITK."""
    affine = sitk.AffineTransform(linear)
    matrix = np.array(affine.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(affine.GetCenter()), np.array(affine.GetTranslation())
    offset = shift + centre - matrix @ centre
    return np.asarray(points @ matrix.T.astype(np.float32) + offset.astype(np.float32))
