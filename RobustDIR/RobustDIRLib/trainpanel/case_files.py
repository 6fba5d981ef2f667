"""A case on its way into the scene: written by a process of its own, as plain files; see `exchange`.

| file | what | frame |
|---|---|---|
| `fixed.mha`, `moving.mha` | the images as they were read | |
| `fixed_labels.mha`, `moving_labels.mha` | their label maps, if there are any | |
| `transform_field.mha` | `T(x) - x`, float32, from fixed to moving points, of a registered case | mm, RAS components |
| `case.json` | `landmarks`: `names`, `fixed`, `moving`, errors `before` and, registered, `after`; `notes` | mm, LPS |

What has no field of its own, an affine or a B-spline, is sampled about the fixed image; voxels as coarse as the working
grid's show it well, and errors are measured with the transform itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.evaluation.metrics import tre
from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.files import make_folder, write_json
from RobustDIRLib.panelparts.exchange import write

if TYPE_CHECKING:
    from RobustDIRLib.datasets.cases import CaseData

CASE, FIELD = "case.json", "transform_field.mha"
IMAGES = ("fixed", "moving", "fixed_labels", "moving_labels")
_RAS = np.array([-1, -1, 1], dtype=np.float32)
_MOST_VECTORS = 4_000_000  # of a field that is sampled: 48 MB
_MARGIN = 2  # voxels about the fixed image


def write_case(data: CaseData, transform: Any, folder: Path, notes: tuple[str, ...] = ()) -> None:
    """Write a case.

    Args:
        data: Images and truth.
        transform: Of SimpleITK, from fixed to moving points, mm, LPS; None for a case that was not registered.
        folder: Made if it is not there.
        notes: Sentences for whoever looks at it.
    Raises:
        InputError: If a file cannot be written.
    """
    make_folder(folder)
    for name in IMAGES:
        if (image := getattr(data, name)) is not None:
            write(folder / f"{name}.mha", image.array, image.grid)
    if transform is not None:
        write_field(folder, *_field(transform, data.fixed.grid))
    content = {"landmarks": _landmarks(data, transform), "notes": list(notes)}
    write_json(folder / CASE, content)


def write_field(folder: Path, array: NDArray[np.floating], grid: Grid) -> None:
    """Write the displacement of a case, from fixed to moving points.

    Args:
        folder: Of the case.
        array: Shape `(z, y, x, 3)`, mm, components x, y, z, LPS.
        grid: Where it lies; beyond, the scene goes on with its border values.
    Raises:
        InputError: If it cannot be written.
    """
    write(folder / FIELD, array.astype(np.float32) * _RAS, grid)


def _landmarks(data: CaseData, transform: Any) -> dict[str, Any] | None:
    from RobustDIRLib.io.displacements import apply_to_points

    if data.fixed_landmarks is None or data.moving_landmarks is None:
        return None
    fixed, moving = data.fixed_landmarks.points, data.moving_landmarks.points
    return {
        "names": list(data.fixed_landmarks.names),
        "fixed": fixed.tolist(),
        "moving": moving.tolist(),
        "before": _distances(fixed, moving),
        **({} if transform is None else {"after": _distances(apply_to_points(transform, fixed), moving)}),
    }


def _distances(first: Array, second: Array) -> list[float]:
    return [round(float(d), 4) for d in tre(first, second)]


def _field(transform: Any, fixed: Grid) -> tuple[Any, Grid]:
    """The transform as one field `(z, y, x, 3)`, mm, LPS, float32; a registration of ours on its own grid."""
    from RobustDIRLib.io.displacements import sample_transform
    from RobustDIRLib.panelparts.handover import is_registration, transform_field

    if is_registration(transform):
        return transform_field(transform)
    around = fixed.padded((_MARGIN,) * 3, (_MARGIN,) * 3)
    shrink = max(1.0, (np.prod(around.shape, dtype=float) / _MOST_VECTORS) ** (1 / 3))
    z, y, x = (max(2, int(round(n / shrink))) for n in around.shape)
    grid = around.resized((z, y, x))
    return sample_transform(transform, grid).array.astype(np.float32), grid
