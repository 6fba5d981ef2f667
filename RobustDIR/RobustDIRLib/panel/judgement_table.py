"""The table of figures in the Check section: each beside its limit, which the user may change, with its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import qt

from RobustDIRLib.evaluation.measures import BY_NAME
from RobustDIRLib.evaluation.tolerances import JudgedFigure, Verdict
from RobustDIRLib.panel import checking, figure_words
from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.words import _

_COLUMNS = tuple(figure_words.JUDGEMENT_COLUMNS)
_TOLERANCE_COLUMN = 3
_ROWS = 9  # seen at once: the section is to fit a screen of 1080 pixels
_VERDICTS = {
    Verdict.WITHIN: _("within"),
    Verdict.OUTSIDE: _("outside"),
    Verdict.UNDEFINED: _("undefined"),
    Verdict.NOT_JUDGED: _("not judged"),
}
_COLOURS = {
    Verdict.WITHIN: widgets.GOOD,
    Verdict.OUTSIDE: widgets.BAD,
    Verdict.UNDEFINED: widgets.QUIET,
    Verdict.NOT_JUDGED: widgets.QUIET,
}


class JudgementTable:
    """Figures, and limits that can be edited.

    Args:
        table: The widget.
        edited: Called with a criterion's name and its new limit, as `Tolerances.edited` takes them.
    """

    def __init__(self, table: Any, edited: Callable[[str, str], None]) -> None:
        self._table, self._edited = table, edited
        self._judgements: Sequence[JudgedFigure] = ()
        table.setEditTriggers(qt.QAbstractItemView.DoubleClicked | qt.QAbstractItemView.EditKeyPressed)
        table.connect("cellChanged(int,int)", self._cell_changed)

    def show(self, judgements: Sequence[JudgedFigure], before: Mapping[str, float]) -> None:
        """Show figures.

        Args:
            judgements: After the registration.
            before: Those that there were before it, by the criteria's names.
        """
        self._judgements = judgements
        table = self._table
        widgets.fill_table(table, figure_words.JUDGEMENT_COLUMNS, [_cells(one, before) for one in judgements])
        blocked = table.blockSignals(True)
        for row, judgement in enumerate(judgements):
            for column in range(len(_COLUMNS)):
                self._dress(row, column, judgement)
        table.blockSignals(blocked)
        widgets.fit_columns(table)  # anew: verdicts are bold
        table.setVisible(bool(judgements))
        widgets.fit_height(table, _ROWS)

    def _dress(self, row: int, column: int, judgement: JudgedFigure) -> None:
        """Only tolerances can be edited; verdicts have their colour; what is undefined says why."""
        item = self._table.item(row, column)
        editable = column == _TOLERANCE_COLUMN
        flags = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
        item.setFlags(flags | qt.Qt.ItemIsEditable if editable else flags)
        if column == len(_COLUMNS) - 1:
            widgets.colour_cell(self._table, row, column, _COLOURS[judgement.verdict])
        note = _tip(judgement, editable)
        item.setToolTip(note[:1].upper() + note[1:])

    def _cell_changed(self, row: int, column: int) -> None:
        if column != _TOLERANCE_COLUMN or row >= len(self._judgements):
            return
        text = self._table.item(row, column).text().strip().lower()
        number = text.lstrip("≤≥ ").removesuffix("mm").removesuffix("%").strip().replace(",", ".")
        word = "voxel" if "voxel" in text else "off" if text in ("", "off", "none") else number
        self._edited(self._judgements[row].criterion.name, word)


def _cells(one: JudgedFigure, before: Mapping[str, float]) -> list[str]:
    return [
        BY_NAME[one.criterion.name].short or one.criterion.title,
        checking.value_text(before.get(one.criterion.name), one.criterion.unit),
        checking.value_text(one.figure.value, one.criterion.unit),
        _limit(one),
        f"{one.verdict.symbol} {_VERDICTS[one.verdict]}",
    ]


def _limit(one: JudgedFigure) -> str:
    if one.limit is None:
        return "off"
    unit = f" {one.criterion.unit}" if one.criterion.unit else ""
    return f"{'≥' if one.criterion.at_least else '≤'} {one.limit:.3g}{unit}"


def _tip(judgement: JudgedFigure, editable: bool) -> str:
    if editable:
        return str(_("{limit_text}; double-click to change it").format(limit_text=judgement.limit_text))
    meaning = f"{judgement.criterion.title}: {figure_words.meaning(judgement.criterion.name)}"
    if judgement.figure.note:
        return str(_("{meaning} Here: {note}.").format(meaning=meaning, note=judgement.figure.note))
    return meaning
