"""Pictures of the landmarks' errors: their cumulative curve, and where the worst of them lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.evaluation.planes import PLANES, centre_at, place_in_plane, plane_slice, show_plane
from RobustDIRLib.geometry import Array
from RobustDIRLib.io.images import Image
from RobustDIRLib.report.pair.picture import Picture, as_png, new_figure
from RobustDIRLib.values import display_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HALF_WINDOW_MM = 35.0
_WORST_WIDTH_INCH = 5.8  # so that table, curve and this picture share a page
_LINES = {"before": ("Before", ":", "0.45"), "linear": ("Linear alignment", "--", "0.3"), "after": ("After", "-", "0")}


@dataclass(frozen=True)
class Worst:
    """The landmark with the largest error.

    Attributes:
        name: Of the landmark.
        error: TRE, mm.
        fixed: The landmark in the fixed image, mm, LPS.
        moving: The same place in the moving image.
        mapped: Where the transform leads from `fixed`; `error` away from `moving`.
    """

    name: str
    error: float
    fixed: Array
    moving: Array
    mapped: Array


def curve_picture(landmarks: Sequence[Mapping[str, Any]], limit: float | None) -> Picture:
    """Share of the landmarks by their error, before, after the linear alignment, and after registration.

    Args:
        landmarks: Of `run.json`, each with `before_mm`, `linear_mm`, `after_mm`.
        limit: Tolerated largest error, mm, if one is set.
    """
    figure = new_figure(2.7)
    ax = figure.subplots()
    for key, (title, style, grey) in _LINES.items():
        known = [value for one in landmarks if (value := one[f"{key}_mm"]) is not None]
        if not known:
            continue
        errors, shares = cumulative(known)
        ax.step(errors, shares, where="post", linestyle=style, color=grey, linewidth=1.6, label=title)
    if limit is not None:
        ax.axvline(limit, color="#b35900", linewidth=1.0)
        ax.annotate(f"tolerance {limit:.3g} mm", (limit, 3), (3, 0), textcoords="offset points", fontsize=8)
    ax.set(xlabel="TRE, mm", ylabel="landmarks, %", ylim=(0, 102))
    ax.set_xlim(left=0)
    ax.grid(color="0.88", linewidth=0.6)
    ax.legend(loc="lower right", fontsize=8, frameon=True)
    ax.spines[["top", "right"]].set_visible(False)
    return Picture(
        as_png(figure),
        "Cumulative curve",
        f"Cumulative curves of the TRE of {len(landmarks)} landmarks before, after linear alignment and after "
        f"registration; the table below has the figures.",
        "Share of the landmarks whose error is at most the value below. Dotted: as the images lie; dashed: after the "
        "linear alignment; solid: after registration.",
    )


def cumulative(errors: Sequence[float]) -> tuple[Array, Array]:
    """Errors in rising order from 0, and the percentage of them that is at most as large."""
    ordered = np.sort(np.asarray(errors, dtype=np.float64))
    shares = 100 * np.arange(len(ordered) + 1) / len(ordered)
    return np.concatenate([[0.0], ordered]), shares


def worst_picture(worst: Worst, fixed: Image, moving: Image) -> Picture:
    """The worst landmark in the fixed image, and in the moving one with the place where the transform leads.

    Args:
        worst: Which it is.
        fixed: On its own grid.
        moving: On its own grid.
    """
    figure = new_figure((_WORST_WIDTH_INCH - 0.3) / 3 * 2 + 0.3, _WORST_WIDTH_INCH)
    axes = figure.subplots(2, 3, squeeze=False)
    half = max(_HALF_WINDOW_MM, 1.5 * worst.error)
    for row, (image, point) in enumerate(((fixed, worst.fixed), (moving, worst.moving))):
        _draw_row(axes[row], image, point, half)
    for ax, plane in zip(axes[1], PLANES, strict=True):
        _mark(ax, place_in_plane(moving.grid, plane, worst.mapped), "x")
    for ax, plane in zip(axes[0], PLANES, strict=True):
        ax.set_title(plane.name, fontsize=9)
    for ax, title in zip(axes[:, 0], ("fixed", "moving"), strict=True):
        ax.set_ylabel(title, fontsize=9)
    return Picture(
        as_png(figure),
        "The landmark with the largest error",
        f"Planes through landmark {worst.name} in the fixed and in the moving image, with marks at the landmark and at "
        f"the place the transform leads to.",
        f"Landmark {worst.name}, TRE {worst.error:.2f} mm. Upright cross: the landmark as it was placed in either "
        f"image. Slanting cross: where the transform leads from the fixed landmark, seen from across the plane.",
    )


def _draw_row(axes: NDArray[Any], image: Image, point: Array, half: float) -> None:
    low, high = display_window(image.array)
    centre = centre_at(image.grid, point)
    for ax, plane in zip(axes, PLANES, strict=True):
        values = plane_slice(image.array, image.grid, plane, centre)
        show_plane(ax, values, plane, image.grid, vmin=low, vmax=high)
        x, y = place_in_plane(image.grid, plane, point)
        ax.set_xlim(x - half, x + half)
        ax.set_ylim((y - half, y + half) if plane.row_axis == 0 else (y + half, y - half))
        ax.set_facecolor("black")
        _mark(ax, (x, y), "+")


def _mark(ax: Axes, place: tuple[float, float], marker: str) -> None:
    for colour, width in (("black", 3.2), ("white", 1.4)):
        ax.plot(*place, marker=marker, markersize=13, markeredgewidth=width, color=colour, clip_on=True)
