"""Loss, Dice and landmark error of one run, or of two, as plots of Slicer that follow the records as they grow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from RobustDIRLib.mrml import Line, Titles, ViewChart
from RobustDIRLib.mrml.plots import COLOURS
from RobustDIRLib.panelparts import views
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.run_files import RECORDS
from RobustDIRLib.runner.curves import Curve, compare
from RobustDIRLib.runner.following import Follower

_LEARNING, _VALIDATION = COLOURS[0], COLOURS[1]
_MOST_CHARTS = 3
_SHARE_SECONDS, _AT_ONCE = 0.02, 1 << 13  # of reading, and bytes of it: some 80 records


class _Drawn(NamedTuple):
    """A curve of a chart: its name in a history, and whether it is of the pairs that are learnt from."""

    curve: str
    learning: bool


class _Chart(NamedTuple):
    title: str
    unit: str
    drawn: tuple[_Drawn, ...]


def _charts() -> tuple[_Chart, ...]:
    """In order of importance; at most three of those with curves are shown."""
    return (
        _Chart(_("Loss"), "", (_Drawn("step/loss", True), _Drawn("epoch/loss", False))),
        _Chart(_("Dice"), "", (_Drawn("epoch/dice", False), _Drawn("validation/dice", False))),
        _Chart(_("Landmark error (TRE)"), "mm", (_Drawn("epoch/tre_mm", False),)),
        _Chart(
            _("Error of synthetic pairs"),
            _("voxels"),
            (_Drawn("step/end_point_error", True), _Drawn("validation/error", False)),
        ),
        _Chart(_("Folding"), "%", (_Drawn("epoch/folding_percent", False),)),
    )


class RunCurves:
    """The plots; they exist while they are shown, and are never saved."""

    def __init__(self) -> None:
        self.shown = False
        self._runs: list[tuple[Path, Follower]] = []
        self._views = [ViewChart(f"RobustDIR curves {k}") for k in range(1, _MOST_CHARTS + 1)]
        self._layout = views.ChartLayout()

    def follow(self, *folders: Path | None) -> None:
        """Follow a run, and another one to compare with; what was read of them is kept."""
        wanted = list(dict.fromkeys(folder for folder in folders if folder is not None))
        if wanted == [folder for folder, _follower in self._runs]:
            return
        known = dict(self._runs)
        self._runs = [(folder, known.get(folder) or Follower(folder / RECORDS)) for folder in wanted]
        self._draw()

    def read(self) -> bool:
        """Take what the runs have recorded since, a part of it if it is much, and draw it; whether there was any."""
        until, new = time.monotonic() + _SHARE_SECONDS, False
        while self._read_on():
            new = True
            if time.monotonic() > until:
                break
        if new:
            self._draw()
        return new

    def _read_on(self) -> bool:
        """Each of the runs a little."""
        read = [follower.read(most=_AT_ONCE) for _folder, follower in self._runs]
        return any(read)

    def show(self) -> None:
        """Change to a layout with plots and draw."""
        self.shown = True
        self._draw()

    def hide(self) -> None:
        """Take the plots away, and go back to the layout of before, unless the user has left theirs already."""
        if not self.shown:
            return
        self.shown = False
        for view in self._views:
            view.remove()
        self._layout.leave()

    def sentence(self) -> str:
        """How two runs stand at the last step that both have reached; empty for one."""
        if len(self._runs) < 2:
            return ""
        (first, one), (second, other) = self._runs
        for chart in _charts()[1:] + _charts()[:1]:
            for name in (drawn.curve for drawn in chart.drawn if not drawn.learning):
                mine, theirs = one.history.curves.get(name), other.history.curves.get(name)
                both = compare(mine, theirs) if mine and theirs else None
                if both is not None and both.steps:
                    said = _("{measure} at step {step:.0f}: {first:.4g} in {one}, {second:.4g} in {other}.").format(
                        measure=chart.title,
                        step=both.steps[-1],
                        first=both.first[-1],
                        second=both.second[-1],
                        one=first.name,
                        other=second.name,
                    )
                    return str(said)
        return str(_("The two runs have no step in common yet."))

    def _draw(self) -> None:
        if not self.shown:
            return
        drawn = [(chart, lines) for chart in _charts() if (lines := self._lines(chart))][:_MOST_CHARTS]
        shown = []
        for view, (chart, lines) in zip(self._views, drawn, strict=False):
            axis = f"{chart.title} ({chart.unit})" if chart.unit else chart.title
            shown.append(view.show(lines, Titles(chart.title, _("Step"), axis)))
        for view in self._views[len(drawn) :]:
            view.remove()
        if shown:
            self._layout.show(shown)

    def _lines(self, chart: _Chart) -> dict[str, Line]:
        lines = {}
        for number, (folder, follower) in enumerate(self._runs):
            for name, learning in chart.drawn:
                curve = follower.history.curves.get(name)
                if curve is not None and curve.points:
                    lines[self._legend(folder, learning)] = _line(curve, learning, dashed=number > 0)
        return lines

    def _legend(self, folder: Path, learning: bool) -> str:
        what = str(_("learning") if learning else _("validation"))
        return f"{folder.name}: {what}" if len(self._runs) > 1 else what


def _line(curve: Curve, learning: bool, dashed: bool) -> Line:
    colour = _LEARNING if learning else _VALIDATION
    return Line(curve.steps, curve.means, colour, marks=len(curve.points) == 1, dashed=dashed)
