"""The pictures of a pair's images and transform, as planes side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from RobustDIRLib.evaluation.planes import (
    PLANES,
    Plane,
    Voxel,
    centre_of,
    draw_deformation_grid,
    draw_outline,
    extent,
    grid_step,
    millimetres,
    plane_slice,
    show_plane,
)
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import DisplacementField
from RobustDIRLib.io.images import Image
from RobustDIRLib.report.pair.picture import WIDTH_INCH, Picture, as_png, new_figure
from RobustDIRLib.values import display_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HALF_PAGE_INCH, NEARLY_HALF_INCH = 4.2, 5.6  # a picture up to the second is shrunk to the first: two share a page then
_SQUARES = 9  # of the checkerboard along the longest side
_MAP = "cividis"  # brightness rises with the value, so that it can be read in grey


@dataclass(frozen=True)
class Scene:
    """What the pictures are of, all on the fixed grid.

    Attributes:
        warped: Moving image after registration.
        fixed: None where it is lost.
        before: Moving image where it lies in space, resampled; None where it is lost.
        field: Displacement, mm, LPS; None where it is lost.
        jacobian: Determinant; None where it is lost.
    """

    warped: Image
    fixed: Image | None
    before: Image | None
    field: DisplacementField | None
    jacobian: Image | None

    @property
    def grid(self) -> Grid:
        """The fixed grid."""
        return self.warped.grid

    @property
    def centre(self) -> Voxel:
        """Where the planes cross, counted to superior, posterior, left."""
        return centre_of(self.fixed or self.warped)


def images_picture(scene: Scene) -> Picture:
    """Fixed, moving as it lies, and warped, side by side in three planes, with the fixed image's outline."""
    shown = {"fixed": scene.fixed, "moving, before": scene.before, "warped, after": scene.warped}
    columns = {title: image for title, image in shown.items() if image is not None}
    figure, axes = _planes(scene.grid, list(columns))
    centre = scene.centre
    for column, image in enumerate(columns.values()):
        low, high = display_window(image.array)
        for row, plane in enumerate(PLANES):
            show_plane(
                axes[row, column],
                plane_slice(image.array, scene.grid, plane, centre),
                plane,
                scene.grid,
                vmin=low,
                vmax=high,
            )
    if scene.fixed is not None:
        _outlines(axes[:, 1:], scene.fixed, centre)
    alt = f"Axial, coronal and sagittal planes of the images: {', '.join(columns)}."
    caption = "Planes through the middle of what is bright in the fixed image." + (
        " The line on moving and warped is the outline of the fixed image: after registration it should run along the "
        "same edges."
        if scene.fixed is not None
        else " The fixed image is not available."
    )
    return Picture(as_png(figure), "Before and after", alt, caption)


def _outlines(axes: NDArray[Any], fixed: Image, centre: Voxel) -> None:
    level = float(threshold_otsu(np.clip(fixed.array, *display_window(fixed.array))))
    for row, plane in enumerate(PLANES):
        values = plane_slice(fixed.array, fixed.grid, plane, centre)
        for ax in axes[row]:
            draw_outline(ax, values, plane, fixed.grid, level)


def agreement_picture(scene: Scene) -> Picture | None:
    """Checkerboards of fixed and moving before and after, and the deformation grid on the warped image.

    None where neither the fixed image nor the displacement is there.
    """
    shown = {"checkerboard, before": scene.before, "checkerboard, after": scene.warped}
    boards = {title: image for title, image in shown.items() if image is not None and scene.fixed is not None}
    columns = [*boards, *(["deformation grid"] if scene.field is not None else [])]
    if not columns:
        return None
    figure, axes = _planes(scene.grid, columns)
    centre = scene.centre
    for row, plane in enumerate(PLANES):
        for column, image in enumerate(boards.values()):
            _show_board(axes[row, column], (scene.fixed or scene.warped, image), plane, centre)
        if scene.field is not None:
            show_plane(axes[row, -1], _unit(scene.warped, plane, centre), plane, scene.grid, vmin=0, vmax=1.3)
            draw_deformation_grid(axes[row, -1], scene.field, plane, centre)
    alt = f"Axial, coronal and sagittal planes: {', '.join(columns)}."
    return Picture(as_png(figure), "Agreement and deformation", alt, _agreement_caption(scene, bool(boards)))


def _show_board(ax: Axes, images: tuple[Image, Image], plane: Plane, centre: Voxel) -> None:
    first, second = (_unit(image, plane, centre) for image in images)
    grid = images[0].grid
    show_plane(ax, checkerboard(first, second, plane, grid), plane, grid, vmin=0, vmax=1)


def _agreement_caption(scene: Scene, boards: bool) -> str:
    words = (
        ["Squares show the fixed image and the other one by turns: edges should run on across them."] if boards else []
    )
    if scene.field is not None:
        words.append(
            f"The grid is a regular one on the moving image, {grid_step(scene.grid):.3g} mm apart, carried along with "
            f"it: where its lines crowd, tissue is compressed; where they cross, the transform folds."
        )
    return " ".join(words)


def _unit(image: Image, plane: Plane, centre: Voxel) -> NDArray[np.float64]:
    """A plane's values from 0 (black) to 1 (white)."""
    low, high = display_window(image.array)
    values = plane_slice(image.array, image.grid, plane, centre).astype(np.float64)
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def checkerboard(
    first: NDArray[np.floating], second: NDArray[np.floating], plane: Plane, grid: Grid
) -> NDArray[np.floating]:
    """Squares of two images by turns, as high as wide in mm, the first image's at the plane's first corner."""
    side = max(extent(grid, plane)) / _SQUARES
    rows, columns = (np.floor(places / side).astype(int) for places in millimetres(first.shape, plane, grid))
    return np.where((rows[:, None] + columns[None]) % 2 == 0, first, second)


def transform_picture(scene: Scene) -> Picture | None:
    """The fixed image beside maps of the Jacobian determinant and of the displacement's length.

    None where neither is there.
    """
    maps = {"Jacobian determinant": _jacobian_map(scene), "displacement": _length_map(scene)}
    drawn = {title: one for title, one in maps.items() if one is not None}
    if not drawn:
        return None
    anatomy = "fixed" if scene.fixed else "warped"
    figure, axes = _planes(scene.grid, [anatomy, *drawn], extra=0.55)
    image, centre = scene.fixed or scene.warped, scene.centre
    for row, plane in enumerate(PLANES):
        show_plane(axes[row, 0], _unit(image, plane, centre), plane, scene.grid, vmin=0, vmax=1)
        for column, one in enumerate(drawn.values(), start=1):
            _show_map(axes[row, column], one, plane, scene.grid, centre)
    _outlines(axes[:, 1:], image, centre)
    for column, one in enumerate(drawn.values(), start=1):
        _scale(figure, axes[:, column], one)
    return Picture(
        as_png(figure),
        "Jacobian map and displacement",
        f"Axial, coronal and sagittal planes of the {anatomy} image beside maps of: {', '.join(drawn)}.",
        (_JACOBIAN_WORDS if "Jacobian determinant" in drawn else "")
        + f"The outline is that of the {anatomy} image. Maps end at their 99.5th percentile.",
    )


_JACOBIAN_WORDS = (
    "Jacobian determinant: above 1 (bright) the moving image is larger at this place than the fixed one, below 1 "
    "(dark) smaller. Where it is hatched the determinant is at or below 0: the transform folds. "
)


@dataclass(frozen=True)
class _Map:
    """Values on the fixed grid and how they are coloured."""

    values: NDArray[np.floating]
    norm: Any
    ticks: tuple[float, ...]
    unit: str
    folds: NDArray[np.bool_] | None = None


def _jacobian_map(scene: Scene) -> _Map | None:
    from matplotlib.colors import LogNorm

    if scene.jacobian is None:
        return None
    values = scene.jacobian.array
    positive = values[values > 0]
    reach = float(np.exp(np.percentile(np.abs(np.log(positive)), 99.5))) if positive.size else 2.0
    reach = max(reach, 1.1)
    ticks = (1 / reach, reach**-0.5, 1.0, reach**0.5, reach)
    shown = np.where(values > 0, values, 1 / reach)
    return _Map(shown, LogNorm(1 / reach, reach, clip=True), ticks, "moving volume by fixed", values <= 0)


def _length_map(scene: Scene) -> _Map | None:
    from matplotlib.colors import Normalize

    if scene.field is None:
        return None
    length = np.linalg.norm(scene.field.array, axis=-1)
    high = max(float(np.percentile(length, 99.5)), 1e-3)
    return _Map(length, Normalize(0, high), (0, high / 2, high), "mm")


def _show_map(ax: Axes, one: _Map, plane: Plane, grid: Grid, centre: Voxel) -> None:
    show_plane(ax, plane_slice(one.values, grid, plane, centre), plane, grid, cmap=_MAP, norm=one.norm)
    if one.folds is None:
        return
    folds = plane_slice(one.folds, grid, plane, centre).astype(np.float64)
    if folds.any():
        rows, columns = millimetres(folds.shape, plane, grid)
        ax.contourf(columns, rows, folds, levels=[0.5, 1.5], colors="none", hatches=["xxxxx"])
        ax.contour(columns, rows, folds, levels=[0.5], colors="white", linewidths=1.0)


def _scale(figure: Figure, axes: NDArray[Any], one: _Map) -> None:
    drawn = axes[0].get_images()[0]
    bar = figure.colorbar(drawn, ax=list(axes), location="bottom", fraction=0.04, pad=0.01, aspect=30)
    bar.minorticks_off()
    bar.set_ticks(list(one.ticks), labels=[f"{tick:.2g}" if tick < 10 else f"{tick:.0f}" for tick in one.ticks])
    bar.ax.tick_params(labelsize=7)
    bar.set_label(one.unit, fontsize=8)


def _planes(grid: Grid, columns: list[str], extra: float = 0.0) -> tuple[Figure, NDArray[Any]]:
    """Axes of three planes by columns, as high as the planes need (and some inches more), with their titles."""
    heights, widths = zip(*[extent(grid, plane) for plane in PLANES], strict=True)
    high = (WIDTH_INCH - 0.3) / max(len(columns), 2) / max(widths) * sum(heights) + 0.3 + extra
    shrink = HALF_PAGE_INCH / high if HALF_PAGE_INCH < high <= NEARLY_HALF_INCH else 1.0
    figure = new_figure(high * shrink, WIDTH_INCH * shrink)
    axes = figure.subplots(3, len(columns), squeeze=False, gridspec_kw={"height_ratios": heights})
    for ax, title in zip(axes[0], columns, strict=True):
        ax.set_title(title, fontsize=9)
    for ax, plane in zip(axes[:, 0], PLANES, strict=True):
        ax.set_ylabel(plane.name, fontsize=9)
    return figure, axes
