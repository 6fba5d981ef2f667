"""Pairs of the scene that become a data set, in the tab *Data*."""

from __future__ import annotations

from typing import Any

from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.trainpanel.scene_pairs import ROLES, ScenePair, checked_pair, pairs_in, put_pairs

_ROWS = 6
_PARAMETERS = {
    "fixed": "pairFixedVolume", "moving": "pairMovingVolume", "fixed_segmentation": "pairFixedSegmentation",
    "moving_segmentation": "pairMovingSegmentation", "fixed_landmarks": "pairFixedLandmarks",
    "moving_landmarks": "pairMovingLandmarks",
}  # fmt: skip


class PairsBox(Section):
    """Lists the pairs, adds and removes them."""

    def __init__(self, tab: Any) -> None:
        super().__init__(tab.panel)
        self._tab = tab
        self._rows: list[list[str]] | None = None
        self.ui.addPairButton.connect("clicked()", self.add)
        self.ui.removePairButton.connect("clicked()", self.remove)
        self.ui.pairsTable.connect("itemSelectionChanged()", self._show_buttons)

    def update(self) -> None:
        """Show the pairs."""
        rows = [_row(pair) for pair in pairs_in(self.parameters)]
        if rows != self._rows:
            self._rows = rows
            widgets.fill_table(self.ui.pairsTable, _columns(), rows)
            widgets.fit_height(self.ui.pairsTable, _ROWS)
        self._show_buttons()

    def _show_buttons(self) -> None:
        self.ui.removePairButton.enabled = 0 <= self.ui.pairsTable.currentRow() < len(self._rows or [])

    def add(self) -> None:
        """The pair that is selected."""
        self.panel.say("")
        with self.panel.telling():
            p, pairs = self.parameters, pairs_in(self.parameters)
            nodes = {role: getattr(p, _PARAMETERS[role]) for role in ROLES}
            pairs.append(checked_pair(nodes, self.ui.pairPatientEdit.text, len(pairs) + 1))
            put_pairs(p, pairs)
            self._tab.forget()

    def remove(self) -> None:
        """The selected one; its nodes stay."""
        row, pairs = self.ui.pairsTable.currentRow(), pairs_in(self.parameters)
        if 0 <= row < len(pairs):
            put_pairs(self.parameters, [*pairs[:row], *pairs[row + 1 :]])
            self._tab.forget()


def _row(pair: ScenePair) -> list[str]:
    words = {"segmentation": _("segments"), "landmarks": _("landmarks")}
    return [pair.title, pair.subject, ", ".join(word for what, word in words.items() if _has(pair, what))]


def _has(pair: ScenePair, what: str) -> bool:
    return f"fixed_{what}" in pair.nodes and f"moving_{what}" in pair.nodes


def _columns() -> dict[str, str]:
    """What each column means, by its title."""
    return {
        _("Pair"): _("Fixed and moving volume."),
        _("Patient"): _("Whose scans they are."),
        _("Comes with"): _("What both volumes have."),
    }
