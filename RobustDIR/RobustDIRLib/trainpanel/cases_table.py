"""The table of cases in the tab *Data*, with a small picture of each, drawn by a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import qt
import slicer

from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.trainpanel.opened import PARTS, Opened, OpenedCase

_ICON = (96, 48)  # pixels
_PART = 2  # column
_CASE_WIDTH, _PART_WIDTH = _ICON[0] + 54, 80


class CasesTable(Section):
    """Shows what a data set holds."""

    def __init__(self, tab: Any) -> None:
        super().__init__(tab.panel)
        self._tab = tab
        self._cases: tuple[OpenedCase, ...] = ()
        self._drawing = Background(lambda _events, _problem: None, self._drawn)
        table = self.ui.casesTable
        table.setIconSize(qt.QSize(*_ICON))
        table.connect("itemSelectionChanged()", self._select)
        table.connect("itemDoubleClicked(QTableWidgetItem*)", lambda _item: tab.show_case())

    @property
    def selected(self) -> OpenedCase | None:
        """The case whose row is selected."""
        row = self.ui.casesTable.currentRow()
        return self._cases[row] if 0 <= row < len(self._cases) else None

    def forget(self) -> None:
        """An empty table."""
        self._drawing.stop()
        self._cases = ()
        self.ui.casesTable.setRowCount(0)

    def fill(self, opened: Opened) -> None:
        """Show the cases of a data set, and have them drawn."""
        self._cases = opened.cases
        rows = [self._row(case) for case in opened.cases]
        others = widgets.fill_table_in_parts(self.ui.casesTable, _columns(), rows)
        self._fit()
        folder = self._drawing.new_folder(Path(slicer.app.temporaryPath))
        words = ["check", *opened.words, "--progress", "json", "--thumbnails", str(folder / "pictures")]
        self._drawing.start(self._filled(others), library_command("dataset", *words))

    def _filled(self, others: Iterator[None]) -> Iterator[None]:
        """The rest of many cases, which then are told their parts."""
        yield from others
        self.panel.update_soon()

    def _fit(self) -> None:
        """Room for a picture and a name, and for the parts of two people below one another; patients take the rest."""
        table = self.ui.casesTable
        table.resizeColumnsToContents()
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Interactive)
        header.setSectionResizeMode(_PART, qt.QHeaderView.Interactive)
        header.setSectionResizeMode(1, qt.QHeaderView.Stretch)
        for column, width in ((0, _CASE_WIDTH), (_PART, _PART_WIDTH)):
            table.setColumnWidth(column, width)

    def _row(self, case: OpenedCase) -> list[str]:
        whose = " – ".join(dict.fromkeys(case.subjects))
        labels = _("yes") if case.labelled else ""
        return [case.name, whose, "", labels, str(case.landmarks or "")]

    def _drawn(self, events: list[dict[str, Any]]) -> None:
        rows = {case.name: row for row, case in enumerate(self._cases)}
        table = self.ui.casesTable
        for event in events:
            if event.get("event") == "thumbnail" and event["case"] in rows:
                row = rows[event["case"]]
                table.item(row, 0).setIcon(qt.QIcon(qt.QPixmap(event["file"])))
                table.setRowHeight(row, _ICON[1] + 4)

    def update(self) -> None:
        """The part of every case."""
        shared, names, changed = self._tab.split.shared, part_names(), False
        held = shared.subjects.items() if shared is not None else ()
        part_of = {who: names[part] for part, people in held for who in people}
        for row, case in enumerate(self._cases):
            item = self.ui.casesTable.item(row, _PART)
            parts = dict.fromkeys(part_of.get(who, _("none")) for who in case.subjects)
            text = " – ".join(parts) if shared is not None else ""
            if item is not None and item.text() != text:
                item.setText(text)
                changed = True
        if changed:
            self._fit()

    def _select(self) -> None:
        self.panel.update_soon()

    def close(self) -> None:
        """Nothing may run on."""
        self._drawing.stop()


def part_names() -> dict[str, str]:
    """Words for the parts of a split."""
    return dict(zip(PARTS, (_("Training"), _("Validation"), _("Test")), strict=True))


def _columns() -> dict[str, str]:
    """What each column means, by its title."""
    return {
        _("Case"): _("Name of the pair, with its fixed and moving image."),
        _("Patient"): _("Whose scans they are; two where the pair is of two people."),
        _("Part"): _("What its patients are for: to learn from, to choose the best epoch, or for the final test."),
        _("Labels"): _("Whether both images have label maps."),
        _("Points"): _("How many pairs of landmarks it has."),
    }
