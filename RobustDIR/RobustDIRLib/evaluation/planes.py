"""Planes through an image as they are drawn: which voxels, which way up, and the deformation grid on them.

Planes are shown as radiologists do: the patient's right on the picture's left, anterior and superior up. On an oblique
grid a plane is the grid's own, named after the body plane it is nearest to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment
from skimage.filters import threshold_otsu
from skimage.measure import find_contours

from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import DisplacementField
from RobustDIRLib.io.images import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Voxel = tuple[int, int, int]

LINE_VOXELS = 8
MOST_LINES = 40
SHORTEST_OUTLINE = 0.3  # of a plane's shorter side
BACKGROUND, INK, OUTLINE_COLOUR, GRID_COLOUR = "#101418", "#e8eaed", "#ffb000", "#4dd0e1"


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
        return np.asarray(array.transpose(*self.axes, *further)[steps])


def spacing_along(grid: Grid) -> NDArray[np.float64]:
    """Voxel spacing to superior, posterior, left, mm."""
    return np.asarray(grid.spacing)[::-1][list(BodyAxes.of(grid).axes)]


def extent(grid: Grid, plane: Plane) -> tuple[float, float]:
    """Height and width of a plane, mm."""
    sizes = spacing_along(grid) * np.asarray(grid.shape)[list(BodyAxes.of(grid).axes)]
    return float(sizes[plane.row_axis]), float(sizes[plane.column_axis])


def centre_of(image: Image) -> Voxel:
    """Voxel amid what is bright, counted to superior, posterior, left; off the midline, where there is more to see."""
    seen = BodyAxes.of(image.grid).view(image.array)[::2, ::2, ::2]
    where = np.nonzero(seen > threshold_otsu(seen))
    z, y, x = (int(np.quantile(places, q)) * 2 for places, q in zip(where, (0.5, 0.5, 0.62), strict=True))
    return z, y, x


def body_voxel(grid: Grid, point: ArrayLike) -> NDArray[np.float64]:
    """Where a point lies, in voxels counted to superior, posterior, left.

    Args:
        grid: Any.
        point: Shape `(3,)`, mm, LPS.
    """
    body, voxel = BodyAxes.of(grid), grid.voxels_from_points(point)
    pairs = zip(body.axes, body.signs, strict=True)
    return np.array([voxel[axis] if sign > 0 else grid.shape[axis] - 1 - voxel[axis] for axis, sign in pairs])


def centre_at(grid: Grid, point: ArrayLike) -> Voxel:
    """Voxel nearest to a point (mm, LPS), counted to superior, posterior, left; at the border for one beyond it."""
    last = np.asarray(grid.shape)[list(BodyAxes.of(grid).axes)] - 1
    z, y, x = (int(n) for n in np.clip(np.rint(body_voxel(grid, point)), 0, last))
    return z, y, x


def place_in_plane(grid: Grid, plane: Plane, point: ArrayLike) -> tuple[float, float]:
    """Where a point (mm, LPS) is drawn in a plane, seen from across it: along columns and rows, mm from its corner."""
    along = (body_voxel(grid, point) + 0.5) * spacing_along(grid)
    return float(along[plane.column_axis]), float(along[plane.row_axis])


def plane_slice(array: NDArray[Any], grid: Grid, plane: Plane, centre: Voxel) -> NDArray[Any]:
    """Values of a plane along its row and column axes, further axes last."""
    return np.asarray(BodyAxes.of(grid).view(array).take(centre[plane.fixed_axis], plane.fixed_axis))


def show_plane(ax: Axes, values: NDArray[Any], plane: Plane, grid: Grid, **options: Any) -> Any:
    """Draw a plane's values to scale, with the letters of its sides.

    Args:
        ax: Where to.
        values: As `plane_slice` gives them.
        plane: One of `PLANES`.
        grid: Of the image.
        options: Of matplotlib's `imshow`; grey values if it names no `cmap`.
    Returns:
        What `imshow` gives.
    """
    height, width = extent(grid, plane)
    up = plane.row_axis == 0  # superior is up
    sides = (0, width, 0, height) if up else (0, width, height, 0)
    drawn = ax.imshow(values, **{"cmap": "gray", **options}, extent=sides, origin="lower" if up else "upper")
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    _draw_letters(ax, plane)
    return drawn


def _draw_letters(ax: Axes, plane: Plane) -> None:
    box = {"facecolor": BACKGROUND, "edgecolor": "none", "alpha": 0.6, "pad": 1.5}
    sides = ((0.03, 0.5, "left", "center"), (0.97, 0.5, "right", "center"))
    ends = ((0.5, 0.97, "center", "top"), (0.5, 0.03, "center", "bottom"))
    for letter, (x, y, ha, va) in zip(plane.letters, (*sides, *ends), strict=True):
        ax.text(x, y, letter, {"ha": ha, "va": va}, transform=ax.transAxes, color=INK, fontsize="small", bbox=box)


def millimetres(shape: tuple[int, ...], plane: Plane, grid: Grid) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where rows and columns of a plane lie along its axes, mm from its first corner."""
    spacing = spacing_along(grid)
    rows = (np.arange(shape[0]) + 0.5) * spacing[plane.row_axis]
    columns = (np.arange(shape[1]) + 0.5) * spacing[plane.column_axis]
    return rows, columns


def draw_outline(ax: Axes, values: NDArray[Any], plane: Plane, grid: Grid, level: float) -> None:
    """Draw the outline of what is brighter than a level, without specks."""
    smooth = gaussian_filter(values.astype(np.float32), 1.0)
    spacing = spacing_along(grid)[[plane.row_axis, plane.column_axis]]
    for line in find_contours(smooth, level):
        line_mm = (line + 0.5) * spacing
        if np.linalg.norm(np.diff(line_mm, axis=0), axis=1).sum() >= min(extent(grid, plane)) * SHORTEST_OUTLINE:
            ax.plot(line_mm[:, 1], line_mm[:, 0], color=OUTLINE_COLOUR, linewidth=0.7)


def grid_step(grid: Grid) -> float:
    """Distance of the deformation grid's lines, mm: about eight of the smallest voxels, wider on large images."""
    finest, longest = min(grid.spacing), float(max(np.multiply(grid.size, grid.spacing)))
    return finest * LINE_VOXELS * max(1, int(np.ceil(longest / (finest * LINE_VOXELS * MOST_LINES))))


def moving_coordinates(
    field: DisplacementField, plane: Plane, centre: Voxel
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
    voxels = plane_slice(field.array, field.grid, plane, centre) @ field.grid.mm_to_array.T  # along the grid's z, y, x
    rows, columns = millimetres(voxels.shape, plane, field.grid)
    moved = [
        along + voxels[..., body.axes[axis]] * body.signs[axis] * spacing_along(field.grid)[axis]
        for axis, along in ((plane.row_axis, rows[:, None]), (plane.column_axis, columns[None]))
    ]
    return moved[0], moved[1]


def draw_deformation_grid(ax: Axes, field: DisplacementField, plane: Plane, centre: Voxel) -> None:
    """Draw lines where the moving image's coordinate is a multiple of the step."""
    step = grid_step(field.grid)
    for moved in moving_coordinates(field, plane, centre):
        rows, columns = millimetres(moved.shape, plane, field.grid)
        levels = np.arange(np.ceil(moved.min() / step), np.floor(moved.max() / step) + 1) * step
        if levels.size:
            ax.contour(columns, rows, moved, levels=levels, colors=GRID_COLOUR, linewidths=0.6, linestyles="solid")
