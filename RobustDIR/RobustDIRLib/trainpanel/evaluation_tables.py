"""Tables of an evaluation: a measure case by case, and what tests say of the differences between methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from RobustDIRLib.cohort.files import BEFORE
from RobustDIRLib.evaluation.measures import Measure
from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.trainpanel.evaluated import Evaluated, Test


class EvaluationTables:
    """Two tables, of which that of the cases fills little by little: there may be thousands."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._filling: Iterator[None] = iter(())

    def clear(self) -> None:
        """Show nothing."""
        self._filling = iter(())
        for table in (self.ui.caseTable, self.ui.testsTable):
            table.setRowCount(0)
        widgets.set_text(self.ui.testsNote, "")

    def show(self, found: Evaluated, measure: Measure) -> None:
        """Show a measure; the cases need `go_on`."""
        self._fill_cases(found, measure)
        self._fill_tests(found, measure)

    def go_on(self) -> bool:
        """Fill in some more cases; false if all are there."""
        return next(self._filling, self) is not self

    def _fill_cases(self, found: Evaluated, measure: Measure) -> None:
        methods, titles = found.compared(measure.name), found.titles
        columns: dict[str, str] = {_("Case"): _("Click a figure to look at the case.")}
        columns |= {titles[method]: f"{titles[method]}: {measure.heading}" for method in methods}
        rows = [[case, *(_cell(found, case, method, measure) for method in methods)] for case in found.cases]
        medians = [found.median(measure.name, method) for method in methods]
        rows.append([_("median"), *("" if m is None else f"{m:.{measure.digits}f}" for m in medians)])
        self._filling = widgets.fill_table_in_parts(
            self.ui.caseTable, columns, rows, lambda added: self._tell_reasons(found, methods, added)
        )

    def _tell_reasons(self, found: Evaluated, methods: Sequence[str], rows: range) -> None:
        """Why there is no figure, in the cells of some rows; the last one has the medians."""
        for row in rows[: max(len(found.cases) - rows.start, 0)]:
            for column, method in enumerate(methods, 1):
                if reason := found.reasons.get((found.cases[row], method)):
                    self.ui.caseTable.item(row, column).setToolTip(reason)

    def _fill_tests(self, found: Evaluated, measure: Measure) -> None:
        tests, titles = found.tests.get(measure.name, []), found.titles
        columns = {
            _("Compared"): _("The first less the second."),
            _("Patients"): _("That both have a value of; the cases of one are averaged."),
            _("Difference"): _("Median over patients."),
            _("p"): _(
                "Of Wilcoxon's signed-rank test, two-sided. Empty where there are too few patients, or no differences."
            ),
            _("p, corrected"): _("By Bonferroni, for all tests of this evaluation alike."),
        }
        rows = [
            [
                f"{titles.get(one.first, one.first)} − {titles.get(one.second, one.second)}",
                str(one.subjects),
                "" if one.difference is None else f"{one.difference:+.{measure.digits}f}",
                *(_p_text(p) for p in (one.p, one.corrected)),
            ]
            for one in tests
        ]
        widgets.fill_table(self.ui.testsTable, columns, rows)
        for row, one in enumerate(tests):
            if one.significant:
                widgets.colour_cell(self.ui.testsTable, row, len(columns) - 1, widgets.GOOD)
        widgets.set_text(self.ui.testsNote, _note(tests, several=len(found.methods) > 1), widgets.QUIET)


def _cell(found: Evaluated, case: str, method: str, measure: Measure) -> str:
    value = found.values.get((case, method, measure.name))
    if value is None:
        return str(_("failed")) if (case, method) in found.reasons else ""
    return f"{value:.{measure.digits}f}"


def _note(tests: Sequence[Test], several: bool) -> str:
    """What the table of tests does not say itself."""
    if not tests:
        return str(_("This measure is not tested: the paper's are, so that chance has fewer goes."))
    between = any(BEFORE not in (one.first, one.second) for one in tests)
    if between or not several:
        return ""
    return str(_("No method differs from another by this measure, as far as these patients can tell."))


def _p_text(p: float | None) -> str:
    if p is None:
        return ""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"
