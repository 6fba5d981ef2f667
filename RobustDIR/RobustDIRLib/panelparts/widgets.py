"""Small helpers for the panel's Qt widgets, as PythonQt has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import qt

GOOD, BAD, CAREFUL, QUIET = "good", "bad", "careful", "quiet"
# Colours of text on light and on dark backgrounds: none reads on both. Each has a contrast of at least 4.5 there.
SHADES = {GOOD: ("#18702e", "#6fd08c"), BAD: ("#b71c1c", "#ff9c94"), CAREFUL: ("#865000", "#f2b45c"),
          QUIET: ("#666666", "#b4b4b4")}  # fmt: skip

_HALF = 128  # lightness, of 255
_WIDEST = 160  # pixels
_LOOKED_AT = _AT_ONCE = 100  # rows
_ROW, _BORDERS = 24, 6  # pixels; rows are as high in the .ui file


def timer(milliseconds: int, act: Callable[[], object]) -> Any:
    """A timer that calls again and again once it is started."""
    made = qt.QTimer()
    made.setInterval(milliseconds)
    made.connect("timeout()", act)
    return made


class Choice:
    """A combo box whose entries have words for people and keys for parameters.

    Args:
        combo: The widget.
        options: Text by key.
        chosen: Called with the key when the user chooses one.
    """

    def __init__(self, combo: Any, options: Mapping[str, str], chosen: Callable[[str], None]) -> None:
        self.combo, self._chosen = combo, chosen
        self.keys: list[str] = []
        self.set_options(options)
        combo.connect("currentIndexChanged(int)", self._changed)

    def set_options(self, options: Mapping[str, str]) -> None:
        """Other entries; the chosen one stays if it is among them."""
        if list(options) == self.keys:
            return
        current = self.key
        self._quietly(lambda: (self.combo.clear(), self.combo.addItems(list(options.values()))))
        self.keys = list(options)
        self.show(current)

    @property
    def key(self) -> str:
        """Of the chosen entry; nothing if there is none."""
        index = self.combo.currentIndex
        return self.keys[index] if 0 <= index < len(self.keys) else ""

    def show(self, key: str) -> None:
        """Show a choice without calling anybody: the first entry for no key, none for one that is not among them."""
        known = key or (self.keys[0] if self.keys else "")
        index = self.keys.index(known) if known in self.keys else -1
        self._quietly(lambda: self.combo.setCurrentIndex(index))

    def _quietly(self, action: Callable[[], object]) -> None:
        blocked = self.combo.blockSignals(True)
        action()
        self.combo.blockSignals(blocked)

    def _changed(self, index: int) -> None:
        if 0 <= index < len(self.keys):
            self._chosen(self.keys[index])


def fill_table(table: Any, columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> None:
    """Fill a table widget; numbers, which are in all columns but the first, stand right.

    Args:
        table: The widget.
        columns: What each column means, by its title.
        rows: Texts.
    """
    blocked = table.blockSignals(True)
    table.setRowCount(0)
    _head_table(table, columns)
    _add_rows(table, columns, rows)
    fit_columns(table)
    table.blockSignals(blocked)


def fill_table_in_parts(
    table: Any,
    columns: Mapping[str, str],
    rows: Sequence[Sequence[str]],
    added: Callable[[range], object] = lambda _rows: None,
) -> Iterator[None]:
    """As `fill_table`, for many rows, of which a thousand at once would be felt.

    Args:
        table: The widget.
        columns: What each column means, by its title.
        rows: Texts.
        added: Called with the numbers of the rows that have just been added.
    Returns:
        Steps that add the others; the first rows are there already.
    """
    fill_table(table, columns, rows[:_AT_ONCE])
    added(range(len(rows[:_AT_ONCE])))

    def others() -> Iterator[None]:
        for first in range(_AT_ONCE, len(rows), _AT_ONCE):
            part = rows[first : first + _AT_ONCE]
            _add_rows(table, columns, part)
            added(range(first, first + len(part)))
            yield

    return others()


def _head_table(table: Any, columns: Mapping[str, str]) -> None:
    table.setColumnCount(len(columns))
    table.setHorizontalHeaderLabels(list(columns))
    for c, tip in enumerate(columns.values()):
        table.horizontalHeaderItem(c).setToolTip(tip)


def _add_rows(table: Any, columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> None:
    first = table.rowCount
    table.setRowCount(first + len(rows))
    for r, row in enumerate(rows, first):
        for c, (text, (title, tip)) in enumerate(zip(row, columns.items(), strict=True)):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(f"{title}: {text}. {tip}")
            if c:
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            table.setItem(r, c, item)


def update_table(table: Any, columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> None:
    """Change what of a table is not so already: what is selected stays, and little is done where little changes.

    Args:
        table: The widget.
        columns: What each column means, by its title.
        rows: Texts.
    """
    blocked = table.blockSignals(True)
    if table.columnCount != len(columns):
        _head_table(table, columns)
    other_sizes = table.rowCount != len(rows)
    table.setRowCount(len(rows))
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            item = table.item(r, c)
            if item is None:
                item = qt.QTableWidgetItem()
                table.setItem(r, c, item)
            if item.text() != text:
                other_sizes = other_sizes or len(item.text()) != len(text)
                item.setText(text)
                item.setToolTip(text)
    if other_sizes:
        fit_columns(table)
    table.blockSignals(blocked)


def paint_cell(table: Any, row: int, column: int, colour: str) -> None:
    """Of a cell's text, if it is not so already."""
    item, wanted = table.item(row, column), shade(colour, table)
    if item.foreground().color().name() != wanted:
        item.setForeground(qt.QBrush(qt.QColor(wanted)))


def fit_columns(table: Any) -> None:
    """As wide as their contents, of which many rows need not be looked at; the first one takes what is left.

    A long title is cut in the middle where it would leave the first column no room.
    """
    table.horizontalHeader().setResizeContentsPrecision(_LOOKED_AT)
    table.horizontalHeader().textElideMode = qt.Qt.ElideMiddle
    table.resizeColumnsToContents()
    for column in range(1, table.columnCount):
        if table.columnWidth(column) > _WIDEST:
            table.setColumnWidth(column, _WIDEST)
    if table.columnCount:
        table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)


def shade(colour: str, widget: Any) -> str:
    """The colour of a text in a widget, on the background that the application's theme gives it.

    Args:
        colour: `GOOD`, `BAD`, `CAREFUL` or `QUIET`; nothing for the theme's own.
        widget: Where it stands.
    """
    if not colour:
        return ""
    dark = widget.palette.color(qt.QPalette.Window).lightness() < _HALF
    return SHADES[colour][dark]


def colour_cell(table: Any, row: int, column: int, colour: str) -> None:
    """Of a cell's text, in bold where it says something."""
    item = table.item(row, column)
    item.setForeground(qt.QBrush(qt.QColor(shade(colour, table))))
    font = item.font()
    font.setBold(colour != QUIET)
    item.setFont(font)


def fit_height(table: Any, most_rows: int) -> None:
    """As high as its rows need, and no higher than so many."""
    table.horizontalHeader().setFixedHeight(_ROW)
    table.setFixedHeight(_ROW * (1 + min(table.rowCount, most_rows)) + _BORDERS)


def set_text(label: Any, text: str, colour: str = "") -> None:
    """Of a label, which hides where there is nothing to say."""
    if label.text != text:
        label.text = text
    style = f"color: {shade(colour, label)}" if colour else ""
    if label.styleSheet != style:  # to set it, even to what it is, makes Qt lay the label out anew
        label.setStyleSheet(style)
    label.setVisible(bool(text))
