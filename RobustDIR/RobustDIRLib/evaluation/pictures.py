"""A picture of a registration: fixed, moving and warped in three planes, and the deformation grid."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from skimage.filters import threshold_otsu

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.planes import (
    BACKGROUND,
    GRID_COLOUR,
    INK,
    OUTLINE_COLOUR,
    PLANES,
    centre_of,
    draw_deformation_grid,
    draw_outline,
    extent,
    grid_step,
    plane_slice,
    show_plane,
)
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import DisplacementField
from RobustDIRLib.io.files import PathLike, check_extension, written_atomically
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.values import display_window

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_EXTENSIONS = (".png", ".pdf", ".svg")


def draw_registration(
    path: str | Path, fixed: Image, moving: Image, warped: Image, field: DisplacementField, *, title: str = ""
) -> None:
    """Write a PNG of `registration_figure`.

    Args:
        path: Ends in `.png`.
        fixed: As the others, see there.
        moving: See there.
        warped: See there.
        field: See there.
        title: One line above.
    Raises:
        InputError: If matplotlib is missing, a grid differs or the file cannot be written.
    """
    write_figure(path, registration_figure(fixed, moving, warped, field, title=title))


def write_figure(path: PathLike, figure: Figure) -> None:
    """Write a figure of matplotlib, by a temporary name.

    Raises:
        InputError: If the extension is none of `FIGURE_EXTENSIONS` or the file cannot be written.
    """
    check_extension(path, FIGURE_EXTENSIONS, "a picture")
    with written_atomically(path) as temporary:
        figure.savefig(temporary, facecolor=figure.get_facecolor())


def registration_figure(
    fixed: Image, moving: Image, warped: Image, field: DisplacementField, *, title: str = ""
) -> Figure:
    """Three planes by four columns: fixed, moving, warped, and warped with the deformation grid.

    The grid is a regular one on the moving image, carried along with it: where its lines crowd, tissue is compressed.
    The fixed image's outline lies over moving and warped.

    Args:
        fixed: Any grid.
        moving: Any grid; shown where it lies in space, as resampled on the fixed grid.
        warped: On the fixed grid.
        field: On the fixed grid, mm, LPS, from fixed to moving points.
        title: One line above.
    Returns:
        A figure of matplotlib that belongs to no window; notebooks show it.
    Raises:
        InputError: If matplotlib is missing, or a grid differs.
    """
    for name, grid in (("warped image", warped.grid), ("displacement field", field.grid)):
        if not grid.close_to(fixed.grid):
            raise InputError(f"the {name} lies on another grid than the fixed image; resample it first.")
    figure = _figure(fixed.grid, title)
    before = resample(moving, fixed.grid)
    centre = centre_of(fixed)
    ranges = [display_window(image.array) for image in (fixed, before, warped)]
    level = float(threshold_otsu(np.clip(fixed.array, *ranges[0])))
    for row, plane in enumerate(PLANES):
        slices = [plane_slice(image.array, fixed.grid, plane, centre) for image in (fixed, before, warped, warped)]
        axes = [figure.axes[4 * row + column] for column in range(4)]
        for ax, values, (low, high) in zip(axes, slices, [*ranges, ranges[2]], strict=True):
            show_plane(ax, values, plane, fixed.grid, vmin=low, vmax=high)
        for ax in axes[1:3]:
            draw_outline(ax, slices[0], plane, fixed.grid, level)
        draw_deformation_grid(axes[3], field, plane, centre)
    _draw_legend(figure, fixed.grid)
    return figure


@cache
def _figure_class() -> type[Figure]:
    """matplotlib's Figure, which notebooks show by themselves only where pyplot made it."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise InputError("pictures need matplotlib; install it with: pip install 'robustdir[report]'") from error

    class Picture(Figure):
        def _repr_png_(self) -> bytes:
            stream = io.BytesIO()
            self.savefig(stream, format="png", facecolor=self.get_facecolor())
            return stream.getvalue()

    return Picture


def _figure(grid: Grid, title: str) -> Figure:
    """Empty axes, as high as the planes need so that millimetres are as long down as across."""
    heights, width = zip(*[extent(grid, plane) for plane in PLANES], strict=True)
    wide = 12.0
    high = wide / 4 / max(width) * sum(heights) + 1.5
    size = wide, float(np.clip(high, 5, 24))
    figure = _figure_class()(figsize=size, dpi=110, facecolor=BACKGROUND, layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0.04, 1, 0.96))  # type: ignore[union-attr, call-arg]
    figure.subplots(3, 4, gridspec_kw={"height_ratios": heights})
    if title:
        figure.suptitle(title, color=INK, fontsize=12)
    for ax, head in zip(figure.axes[:4], ("fixed", "moving", "warped", "deformation grid"), strict=True):
        ax.set_title(head, color=INK, fontsize=13)
    for ax, plane in zip(figure.axes[::4], PLANES, strict=True):
        ax.set_ylabel(plane.name, color=INK, fontsize=13)
    return figure


def _draw_legend(figure: Figure, grid: Grid) -> None:
    from matplotlib.lines import Line2D

    words = {
        OUTLINE_COLOUR: "outline of the fixed image",
        GRID_COLOUR: f"regular grid of the moving image, {grid_step(grid):.3g} mm apart, carried along with it",
    }
    lines = [Line2D([], [], color=colour, label=label) for colour, label in words.items()]
    figure.legend(handles=lines, loc="lower center", ncols=2, frameon=False, labelcolor=INK, fontsize=10)
