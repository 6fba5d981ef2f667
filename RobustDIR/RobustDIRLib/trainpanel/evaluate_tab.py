"""The tab *Evaluate*: models and rivals compared on a data set, case by case, in tables, plots and the views."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import qt

from RobustDIRLib.cohort.files import BEFORE
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measures import BY_NAME, Measure
from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.run_files import SUMMARY
from RobustDIRLib.runner.folders import EVALUATE, signature
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.runner.registry import RunEntry
from RobustDIRLib.trainpanel import evaluated, run_words
from RobustDIRLib.trainpanel.case_look import CaseLook
from RobustDIRLib.trainpanel.evaluated import Evaluated
from RobustDIRLib.trainpanel.evaluation_charts import EvaluationCharts
from RobustDIRLib.trainpanel.evaluation_form import EvaluationForm
from RobustDIRLib.trainpanel.evaluation_tables import EvaluationTables

_TICK_MILLISECONDS = 200
_SHARE_SECONDS = 0.03
_REPORT = "report.html"


class EvaluateTab(Section):
    """Models and rivals compared on a data set.

    Attributes:
        folder: Of the evaluation that is shown; None while none is.
        found: What it found; None until it is read.
    """

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.form, self.charts = EvaluationForm(self), EvaluationCharts()
        self.tables = EvaluationTables(self.ui)
        self.look = CaseLook(self._tell_case)
        self.folder: Path | None = None
        self.found: Evaluated | None = None
        self._seen: Any = None  # of which state of the folder `found` is
        self._reading: Iterator[None] | None = None
        self._errors: dict[str, array[float]] | None = None
        self._evaluations = widgets.Choice(self.ui.evaluationSelector, {}, self._choose)
        self._measures = widgets.Choice(self.ui.measureSelector, {}, lambda _key: self._show_found())
        self._report = Background(self._reported)
        ui = self.ui
        ui.evaluateButton.connect("clicked()", self.start)
        ui.caseTable.connect("cellClicked(int,int)", self.show_case)
        ui.cumulativeButton.connect("toggled(bool)", self._show_cumulative)
        ui.boxesButton.connect("toggled(bool)", self._show_boxes)
        ui.reportEvaluationButton.connect("clicked()", self.report)
        ui.closeCaseButton.connect("clicked()", self.close_case)
        self._timer = widgets.timer(_TICK_MILLISECONDS, self._tick)
        self._timer.start()

    def start(self) -> None:
        """Start an evaluation as a run of its own, and show it."""
        self.panel.say("")
        with self.panel.telling():
            with self.form.request() as (folder, words):
                self.panel.runs.begin(folder, words, watch=False)  # a model may be published meanwhile
            self.show(folder)
        self.panel.update_soon()

    def show(self, folder: Path) -> None:
        """Show an evaluation, as far as it has come."""
        self._set_folder(folder)
        self.update()

    def update(self) -> None:
        """Form, progress, and what was found."""
        self.form.update()
        problem = self.form.problem
        self.ui.evaluateButton.enabled = not problem
        widgets.set_text(self.ui.evaluateNote, problem, widgets.QUIET)
        self.follow()

    def follow(self) -> None:
        """Progress, and what was found: for when nothing but the runs has changed."""
        entries = [entry for entry in self.panel.runs.board.entries if entry.kind == EVALUATE]
        names = {str(entry.folder): entry.folder.name for entry in entries}
        if self.folder is None and entries:
            self._set_folder(entries[0].folder)
        self._evaluations.set_options(names)
        self._evaluations.show(str(self.folder or ""))
        self._show_progress(next((entry for entry in entries if entry.folder == self.folder), None))
        self._show_buttons()

    def _set_folder(self, folder: Path | None) -> None:
        if folder != self.folder:
            self.folder, self.found, self._seen, self._reading, self._errors = folder, None, None, None, None
            self._show_found()

    def _choose(self, key: str) -> None:
        self._set_folder(Path(key))
        self.panel.update_soon()

    def _show_progress(self, entry: RunEntry | None) -> None:
        at_work = entry is not None and entry.alive
        self.ui.evaluationProgressBar.setVisible(at_work)
        if entry is None:
            text, colour = ("" if self.folder is None else _("It has been deleted.")), widgets.QUIET
        else:
            text, colour = run_words.states()[entry.state]
            if at_work and entry.steps:
                self.ui.evaluationProgressBar.setValue(1000 * entry.step // entry.steps)
                left = entry.seconds_left
                told = _("{state}: {step} of {steps} registrations")
                text = told.format(state=text, step=entry.step, steps=entry.steps)
                text += "" if left is None else _(", about {time} left").format(time=run_words.duration(left))
            elif not at_work:
                text = " ".join(filter(None, [text + ".", entry.message, *self._notes()]))
        widgets.set_text(self.ui.evaluationNote, text, colour)

    def _notes(self) -> Sequence[str]:
        if self.found is None:
            return ()
        failed = len(self.found.reasons)
        told = _("{count} registrations failed; point at a cell to see why.").format(count=failed) if failed else ""
        return (_("{cases} cases of {name}.").format(cases=len(self.found.cases), name=self.found.dataset), told)

    def _show_buttons(self) -> None:
        ui, found = self.ui, self.found
        landmarks = found is not None and bool(found.columns("tre_mean_mm"))
        ui.cumulativeButton.enabled = landmarks or ui.cumulativeButton.checked
        ui.boxesButton.enabled = found is not None or ui.boxesButton.checked
        ui.reportEvaluationButton.enabled = found is not None and not self._report.busy
        ui.closeCaseButton.enabled = self.look.shown or self.look.busy
        ui.closeCaseButton.setVisible(self.look.shown or self.look.busy)

    @property
    def measure(self) -> Measure | None:
        """The one that is shown."""
        return BY_NAME.get(self._measures.key)

    def _tick(self) -> None:
        """Read what is new in the folder, a little at a time."""
        if self.folder is None or self.panel.parameters is None:
            return
        try:
            if not self.tables.go_on():
                self._go_on_reading()
        except InputError as error:
            self._reading = None
            widgets.set_text(self.ui.testsNote, str(error), widgets.BAD)

    def _go_on_reading(self) -> None:
        assert self.folder is not None
        seen = signature(self.folder / SUMMARY)
        if self._reading is None and seen[0] and seen != self._seen:
            self._seen = seen
            found, pairs = evaluated.begin(self.folder)
            errors: dict[str, array[float]] = {}
            self._reading = self._read_all(found, pairs, errors)
        until = time.monotonic() + _SHARE_SECONDS
        while self._reading is not None and time.monotonic() < until:
            if next(self._reading, self) is self:
                self._reading = None

    def _read_all(self, found: Evaluated, pairs: Iterator[None], errors: dict[str, array[float]]) -> Iterator[None]:
        yield from pairs
        self.found, self._errors = found, None
        self._measures.set_options({one.name: one.heading for one in found.measures})
        if self._measures.key == "" or found.primary:
            self._measures.show(self._measures.key or found.primary)
        self._show_found()
        self.panel.update_soon()
        yield
        if found.columns("tre_mean_mm"):
            yield from evaluated.landmark_errors(found, errors)
        self._errors = errors
        self._show_cumulative(self.ui.cumulativeButton.checked)

    def _show_found(self) -> None:
        found, measure = self.found, self.measure
        if found is None or measure is None:
            self.tables.clear()
            return
        self.tables.show(found, measure)
        self._show_boxes(self.ui.boxesButton.checked)

    def show_case(self, row: int, column: int) -> None:
        """Look at a case of the table, registered by the method of the column."""
        found, measure = self.found, self.measure
        if found is None or measure is None or not (0 <= row < len(found.cases)) or column < 1:
            return
        method = found.compared(measure.name)[column - 1]
        if method == BEFORE:
            method = next((name for name in ("none",) if name in found.methods), "")
        if not method:
            self._tell_case(_("Click the figure of a method: the images as they lie were no method here."), True)
            return
        with self.panel.telling():
            title = f"{found.cases[row]} ({found.titles[method]})"
            self.look.show(found.folder, found.cases[row], method, title)
        self._show_buttons()

    def close_case(self) -> None:
        """Take the case out of the scene again."""
        self.look.close()
        self._tell_case("", False)

    def _tell_case(self, sentence: str, failed: bool) -> None:
        widgets.set_text(self.ui.lookedAtNote, sentence, widgets.BAD if failed else widgets.QUIET)
        self.panel.update_soon()

    def _show_cumulative(self, shown: bool) -> None:
        if not shown:
            self.charts.hide_cumulative()
        elif self.found is not None and self._errors:
            self._clear_views()
            self.charts.show_cumulative(self._errors, self.found.titles)

    def _show_boxes(self, shown: bool) -> None:
        found, measure = self.found, self.measure
        if not shown:
            self.charts.hide_boxes()
        elif found is not None and measure is not None:
            self._clear_views()
            values = {method: found.of(measure.name, method) for method in (BEFORE, *found.methods)}
            self.charts.show_boxes(values, measure, found.titles)

    def _clear_views(self) -> None:
        """The curves of a run would change the layout again and again."""
        self.ui.curvesButton.setChecked(False)

    def report(self) -> None:
        """Write the evaluation as one HTML page, and open it."""
        if self.folder is None or self._report.busy:
            return
        with self.panel.telling():
            words = ["report", str(self.folder), "-o", str(self.folder / _REPORT)]
            self._report.start(iter(()), library_command(*words))
            self.panel.say(_("Writing the report …"), widgets.QUIET)
        self._show_buttons()

    def _reported(self, _events: list[dict[str, Any]], problem: str) -> None:
        self.panel.say(problem)
        if not problem and self.folder is not None:
            path = self.folder / _REPORT
            self.panel.say(_("The report is {path}.").format(path=path), widgets.GOOD)
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))
        self._show_buttons()

    def scene_closes(self) -> None:
        """What was shown goes with the scene; evaluations go on."""
        self.look.forget()
        for button in (self.ui.cumulativeButton, self.ui.boxesButton):
            button.setChecked(False)
        self._tell_case("", False)

    def close(self) -> None:
        """Let go: evaluations go on."""
        self._timer.stop()
        self._report.stop()
        self.look.close()
        self.charts.hide_cumulative()
        self.charts.hide_boxes()
