"""A picture of a registration: fixed, moving and warped in three planes, and the deformation grid.

Planes are shown as radiologists do: the patient's right on the picture's left, anterior and superior up. On an oblique
grid a plane is the grid's own, named after the body plane it is nearest to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment
from skimage.filters import threshold_otsu

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import DisplacementField
from RobustDIRLib.io.files import written_atomically
from RobustDIRLib.io.images import Image, resample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_VOXELS = 8
MOST_LINES = 40
_BACKGROUND, _INK, _OUTLINE, _GRID = "#101418", "#e8eaed", "#ffb000", "#4dd0e1"


@dataclass(frozen=True)
class Plane:
    """A plane through an image as it is drawn: rows down, columns to the right.

    Attributes:
        name: Nearest body plane.
        fixed_axis: Body axis across the plane: 0 z (to superior), 1 y (to posterior), 2 x (to left).
        row_axis: Body axis along the rows; superior is drawn up, posterior down.
        column_axis: Body axis along the columns.
        letters: At the left, right, top and bottom border.
    """

    name: str
    fixed_axis: int
    row_axis: int
    column_axis: int
    letters: tuple[str, str, str, str]


PLANES = (
    Plane("axial", 0, 1, 2, ("R", "L", "A", "P")),
    Plane("coronal", 1, 0, 2, ("R", "L", "S", "I")),
    Plane("sagittal", 2, 0, 1, ("A", "P", "S", "I")),
)


@dataclass(frozen=True)
class BodyAxes:
    """Which array axis of a grid runs nearest to superior, posterior and left, and which way.

    Attributes:
        axes: Array axis for each of superior, posterior, left.
        signs: 1 where the index grows towards it, -1 where it falls.
    """

    axes: tuple[int, int, int]
    signs: tuple[int, int, int]

    @classmethod
    def of(cls, grid: Grid) -> BodyAxes:
        """The assignment that turns the grid the least."""
        direction = np.asarray(grid.direction)
        _, columns = linear_sum_assignment(-np.abs(direction))
        signs = [1 if direction[row, column] > 0 else -1 for row, column in enumerate(columns)]
        z, y, x = (int(2 - column) for column in columns[::-1])
        return cls((z, y, x), (signs[2], signs[1], signs[0]))

    def view(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array of the grid, further axes last, with axes to superior, posterior and left; no copy."""
        further = range(3, array.ndim)
        steps = tuple(slice(None, None, sign) for sign in self.signs)
        return array.transpose(*self.axes, *further)[steps]


def draw_registration(
    path: str | Path, fixed: Image, moving: Image, warped: Image, field: DisplacementField, *, title: str = ""
) -> None:
    """Write a PNG: three planes by four columns, fixed, moving, warped, and warped with the deformation grid.

    The grid is a regular one on the moving image, carried along with it: where its lines crowd, tissue is compressed.
    The fixed image's outline lies over moving and warped.

    Args:
        path: Ends in `.png`.
        fixed: Any grid.
        moving: Any grid; shown where it lies in space, as resampled on the fixed grid.
        warped: On the fixed grid.
        field: On the fixed grid, mm, LPS, from fixed to moving points.
        title: One line above.
    Raises:
        InputError: If matplotlib is missing, a grid differs or the file cannot be written.
    """
    for name, grid in (("warped image", warped.grid), ("displacement field", field.grid)):
        if not grid.close_to(fixed.grid):
            raise InputError(f"the {name} lies on another grid than the fixed image; resample it first.")
    figure = _figure(fixed.grid, title)
    before = resample(moving, fixed.grid)
    centre = _centre(fixed)
    ranges = [_range(image.array) for image in (fixed, before, warped)]
    level = float(threshold_otsu(np.clip(fixed.array, *ranges[0])))
    for row, plane in enumerate(PLANES):
        slices = [_slice(image.array, fixed.grid, plane, centre) for image in (fixed, before, warped, warped)]
        axes = [figure.axes[4 * row + column] for column in range(4)]
        for ax, values, limits in zip(axes, slices, [*ranges, ranges[2]], strict=True):
            _show(ax, values, plane, fixed.grid, limits)
        for ax in axes[1:3]:
            _draw_outline(ax, slices[0], plane, fixed.grid, level)
        _draw_grid(axes[3], field, plane, centre)
    _draw_legend(figure, fixed.grid)
    with written_atomically(path) as temporary:
        figure.savefig(temporary, facecolor=figure.get_facecolor())


def _figure(grid: Grid, title: str) -> Figure:
    """Empty axes, as high as the planes need so that millimetres are as long down as across."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise InputError("pictures need matplotlib; install it with: pip install 'robustdir[report]'") from error
    heights, width = zip(*[_extent(grid, plane) for plane in PLANES], strict=True)
    wide = 12.0
    high = wide / 4 / max(width) * sum(heights) + 1.5
    figure = Figure(figsize=(wide, float(np.clip(high, 5, 24))), dpi=110, facecolor=_BACKGROUND, layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0.04, 1, 0.96))  # type: ignore[union-attr, call-arg]
    figure.subplots(3, 4, gridspec_kw={"height_ratios": heights})
    if title:
        figure.suptitle(title, color=_INK, fontsize=12)
    for ax, head in zip(figure.axes[:4], ("fixed", "moving", "warped", "deformation grid"), strict=True):
        ax.set_title(head, color=_INK, fontsize=13)
    for ax, plane in zip(figure.axes[::4], PLANES, strict=True):
        ax.set_ylabel(plane.name, color=_INK, fontsize=13)
    return figure


def _spacing(grid: Grid) -> NDArray[np.float64]:
    """Voxel spacing to superior, posterior, left, mm."""
    return np.asarray(grid.spacing)[::-1][list(BodyAxes.of(grid).axes)]


def _extent(grid: Grid, plane: Plane) -> tuple[float, float]:
    """Height and width of a plane, mm."""
    sizes = _spacing(grid) * np.asarray(grid.shape)[list(BodyAxes.of(grid).axes)]
    return float(sizes[plane.row_axis]), float(sizes[plane.column_axis])


def _centre(image: Image) -> tuple[int, int, int]:
    """Voxel amid what is bright, counted to superior, posterior, left; off the midline, where there is more to see."""
    seen = BodyAxes.of(image.grid).view(image.array)[::2, ::2, ::2]
    where = np.nonzero(seen > threshold_otsu(seen))
    z, y, x = (int(np.quantile(places, q)) * 2 for places, q in zip(where, (0.5, 0.5, 0.62), strict=True))
    return z, y, x


def _slice(array: NDArray[Any], grid: Grid, plane: Plane, centre: tuple[int, int, int]) -> NDArray[Any]:
    """Values of a plane along its row and column axes, further axes last."""
    return BodyAxes.of(grid).view(array).take(centre[plane.fixed_axis], plane.fixed_axis)


def _range(array: NDArray[Any]) -> tuple[float, float]:
    low, high = np.percentile(array[::2, ::2, ::2], (0.5, 99.7))
    return float(low), float(max(high, low + 1e-6))


def _show(ax: Axes, values: NDArray[Any], plane: Plane, grid: Grid, limits: tuple[float, float]) -> None:
    height, width = _extent(grid, plane)
    if plane.row_axis == 0:  # superior is up
        ax.imshow(values, "gray", vmin=limits[0], vmax=limits[1], extent=(0, width, 0, height), origin="lower")
    else:
        ax.imshow(values, "gray", vmin=limits[0], vmax=limits[1], extent=(0, width, height, 0), origin="upper")
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    box = {"facecolor": _BACKGROUND, "edgecolor": "none", "alpha": 0.6, "pad": 1.5}
    sides = ((0.03, 0.5, "left", "center"), (0.97, 0.5, "right", "center"))
    ends = ((0.5, 0.97, "center", "top"), (0.5, 0.03, "center", "bottom"))
    for letter, (x, y, ha, va) in zip(plane.letters, (*sides, *ends), strict=True):
        ax.text(x, y, letter, {"ha": ha, "va": va}, transform=ax.transAxes, color=_INK, fontsize=10, bbox=box)


def _millimetres(shape: tuple[int, ...], plane: Plane, grid: Grid) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where rows and columns of a plane lie along its axes, mm from its first corner."""
    spacing = _spacing(grid)
    rows = (np.arange(shape[0]) + 0.5) * spacing[plane.row_axis]
    columns = (np.arange(shape[1]) + 0.5) * spacing[plane.column_axis]
    return rows, columns


def _draw_outline(ax: Axes, values: NDArray[Any], plane: Plane, grid: Grid, level: float) -> None:
    smooth = gaussian_filter(values.astype(np.float32), 1.0)
    if smooth.min() < level < smooth.max():
        rows, columns = _millimetres(values.shape, plane, grid)
        ax.contour(columns, rows, smooth, levels=[level], colors=_OUTLINE, linewidths=0.7)


def grid_step(grid: Grid) -> float:
    """Distance of the deformation grid's lines, mm: about eight of the smallest voxels, wider on large images."""
    finest, longest = min(grid.spacing), float(max(np.multiply(grid.size, grid.spacing)))
    return finest * LINE_VOXELS * max(1, int(np.ceil(longest / (finest * LINE_VOXELS * MOST_LINES))))


def moving_coordinates(
    field: DisplacementField, plane: Plane, centre: tuple[int, int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the points of a plane come to lie in the moving image, along the plane's own axes.

    Args:
        field: Any grid.
        plane: One of `PLANES`.
        centre: Voxel the plane goes through, counted to superior, posterior, left.
    Returns:
        Along rows and along columns, each of the plane's shape, mm from its first corner.
    """
    body = BodyAxes.of(field.grid)
    voxels = _slice(field.array, field.grid, plane, centre) @ field.grid.mm_to_array.T  # along the grid's z, y, x
    rows, columns = _millimetres(voxels.shape, plane, field.grid)
    moved = [
        along + voxels[..., body.axes[axis]] * body.signs[axis] * _spacing(field.grid)[axis]
        for axis, along in ((plane.row_axis, rows[:, None]), (plane.column_axis, columns[None]))
    ]
    return moved[0], moved[1]


def _draw_grid(ax: Axes, field: DisplacementField, plane: Plane, centre: tuple[int, int, int]) -> None:
    """Lines where the moving image's coordinate is a multiple of the step."""
    step = grid_step(field.grid)
    for moved in moving_coordinates(field, plane, centre):
        rows, columns = _millimetres(moved.shape, plane, field.grid)
        levels = np.arange(np.ceil(moved.min() / step), np.floor(moved.max() / step) + 1) * step
        if levels.size:
            ax.contour(columns, rows, moved, levels=levels, colors=_GRID, linewidths=0.6, linestyles="solid")


def _draw_legend(figure: Figure, grid: Grid) -> None:
    from matplotlib.lines import Line2D

    words = {
        _OUTLINE: "outline of the fixed image",
        _GRID: f"regular grid of the moving image, {grid_step(grid):.3g} mm apart, carried along with it",
    }
    lines = [Line2D([], [], color=colour, label=label) for colour, label in words.items()]
    figure.legend(handles=lines, loc="lower center", ncols=2, frameon=False, labelcolor=_INK, fontsize=10)
