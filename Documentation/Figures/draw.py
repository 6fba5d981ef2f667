"""Draw the schematic figures of the documentation: `python Documentation/Figures/draw.py`; look at them afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon

HERE = Path(__file__).resolve().parent
FIXED, MOVING, MIDDLE, INK = "#1f5a96", "#b4561b", "#4d7a3a", "#333333"


def main() -> None:
    """Draw all of them."""
    matplotlib.rcParams.update({"svg.hashsalt": "robustdir", "svg.fonttype": "path", "font.size": 10})
    for name, draw in (("directions", directions), ("pipeline", pipeline), ("middle", middle)):
        draw().savefig(HERE / f"{name}.svg", metadata={"Date": None})


def blob(scale: float, lean: float) -> np.ndarray:
    """Outline of an organ, the same points in every pose of it; shape `(n, 2)`."""
    angle = np.linspace(0, 2 * np.pi, 181)[:-1]
    radius = scale * (1 + 0.18 * np.cos(2 * angle + 0.4) + 0.1 * np.sin(3 * angle))
    x, y = radius * np.cos(angle), 0.8 * radius * np.sin(angle)
    return np.stack([x + lean * y, y + 0.12 * lean * x**2], axis=1)


def _panel(ax: Axes, outline: np.ndarray, colour: str, title: str) -> None:
    ax.add_patch(Polygon(outline, facecolor=colour, alpha=0.25, edgecolor=colour, linewidth=2))
    ax.set_xlim(-1.7, 1.7)
    ax.set_ylim(-1.5, 1.5)
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0, -1.35, title, color=colour, fontsize=11, ha="center")
    ax.set_axis_off()


def _between(axes: tuple[Axes, Axes], points: tuple[Any, Any], bend: float, colour: str, width: float = 1.8) -> None:
    """An arrow from a point of one panel to a point of another, above both."""
    (a, b), (start, end) = axes, points
    top = max(axes, key=lambda ax: ax.figure.axes.index(ax))  # drawn last
    top.annotate(
        "", xy=end, xycoords=b.transData, xytext=start, textcoords=a.transData, annotation_clip=False,
        arrowprops={
            "arrowstyle": "-|>", "color": colour, "linewidth": width, "connectionstyle": f"arc3,rad={bend}",
            "shrinkA": 5, "shrinkB": 5,
        },
    )  # fmt: skip


def directions() -> Figure:
    """A fixed point and the moving point that the transform takes it to."""
    figure = Figure(figsize=(7.5, 3.4))
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.45})
    fixed, moving = blob(1.0, 0.0), blob(1.15, 0.45)
    _panel(left, fixed, FIXED, "fixed image")
    _panel(right, moving, MOVING, "moving image")
    place = 22
    for ax, outline, colour in ((left, fixed, FIXED), (right, moving, MOVING)):
        ax.plot(*outline[place], "o", color=colour, markersize=7)
    left.annotate("x", fixed[place], (-12, -12), textcoords="offset points", color=FIXED)
    right.annotate("T(x)", moving[place], (8, -12), textcoords="offset points", color=MOVING)
    _between((left, right), (fixed[place], moving[place]), -0.3, INK)
    _between((right, left), (moving[place], fixed[place]), -0.3, "#888888")
    figure.text(0.53, 0.86, "transform: fixed to moving points", ha="center", color=INK)
    figure.text(0.53, 0.38, "inverse: moving to fixed points", ha="center", color="#777777")
    return figure


def _box(ax: Axes, x: float, text: str, colour: str, y: float = 0.5, width: float = 1.5) -> None:
    ax.add_patch(
        FancyBboxPatch((x, y - 0.32), width, 0.64, boxstyle="round,pad=0.04", facecolor=colour + "22", edgecolor=colour)
    )
    ax.text(x + width / 2, y, text, ha="center", va="center", color=INK, fontsize=9)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.2})


def pipeline() -> Figure:
    """The stages of a registration, and what each adds."""
    figure = Figure(figsize=(9.6, 2.6), layout="constrained")
    ax = figure.subplots()
    _box(ax, 0.0, "fixed", FIXED, 0.95, 0.9)
    _box(ax, 0.0, "moving", MOVING, 0.05, 0.9)
    stages = ("one grid,\none range", "linear\nalignment", "network", "refinement", "composition")
    gives = ("", "A", "u and\nits inverse", "better u,\nor the same", "T(x) = A(x + u(x))\nand its inverse")
    for number, (stage, given) in enumerate(zip(stages, gives, strict=True)):
        x = 1.5 + 1.95 * number
        _box(ax, x, stage, MIDDLE if number in (2, 3) else INK)
        ax.text(x + 0.75, -0.25, given, ha="center", va="top", fontsize=8.5, color=INK)
        if number:
            _arrow(ax, (x - 0.4, 0.5), (x - 0.05, 0.5))
    for y in (0.95, 0.05):
        _arrow(ax, (0.96, y), (1.44, 0.5 + 0.3 * (y - 0.5)))
    ax.set_xlim(-0.1, 11)
    ax.set_ylim(-0.9, 1.4)
    ax.set_axis_off()
    return figure


def middle() -> Figure:
    """Fixed and moving image, each moved half the way."""
    figure = Figure(figsize=(9, 3.2))
    axes = figure.subplots(1, 3, gridspec_kw={"wspace": 0.4})
    outlines = [blob(scale, lean) for scale, lean in ((1.0, 0.0), (1.075, 0.22), (1.15, 0.45))]
    names, colours = ("fixed", "middle", "moving"), (FIXED, MIDDLE, MOVING)
    for ax, outline, name, colour in zip(axes, outlines, names, colours, strict=True):
        _panel(ax, outline, colour, name)
        ax.plot(*outline[22], "o", color=colour)
    for number, label, x in ((0, "exp(v/2)", 0.375), (2, "exp(-v/2)", 0.66)):
        _between((axes[number], axes[1]), (outlines[number][22], outlines[1][22]), 0.0, INK, 1.6)
        figure.text(x, 0.7, label, ha="center", fontsize=10, color=INK)
    figure.text(0.5, 0.03, "exchanging the images exchanges the halves: the sign of v changes, and nothing else",
                ha="center", fontsize=9, color=INK)  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
