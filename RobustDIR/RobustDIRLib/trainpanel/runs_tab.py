"""The tab *Runs*: the runs in the runs folder: their curves, and what can be done with them.

Runs belong to their folders, not to this panel: it may be closed, and 3D Slicer quit, and they go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qt
import slicer

from RobustDIRLib.errors import InputError
from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.folders import read_note
from RobustDIRLib.runner.lines import as_object
from RobustDIRLib.runner.registry import RunEntry
from RobustDIRLib.runner.states import RunState
from RobustDIRLib.runner.watching import last_words
from RobustDIRLib.trainpanel import run_words
from RobustDIRLib.trainpanel.board import Board
from RobustDIRLib.trainpanel.curves import RunCurves
from RobustDIRLib.trainpanel.home import runs_home
from RobustDIRLib.trainpanel.models_box import ModelsBox

_TICK_MILLISECONDS = 150
_SHARE_SECONDS = 0.02  # of each part of a tick
_LISTED_EVERY = 8  # ticks
_STATE_COLUMN = 1
_LOG_LINES = 200


class RunsTab(Section):
    """The runs in the runs folder: their curves, and what can be done with them."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.board, self.curves = Board(), RunCurves()
        self.selected: Path | None = None
        self.models = ModelsBox(self)
        self._rows: list[Path] = []
        self._compared = widgets.Choice(self.ui.compareSelector, {"": _("none")}, self._compare)
        self._ticks = 0
        ui = self.ui
        ui.runsTable.connect("itemSelectionChanged()", self._select_row)
        ui.stopRunButton.connect("clicked()", self._asking(self.board.stop))
        ui.resumeRunButton.connect("clicked()", self._asking(self.board.resume))
        ui.pauseRunButton.connect("clicked(bool)", self._pause)
        ui.deleteRunButton.connect("clicked()", self.delete)
        ui.openRunFolderButton.connect("clicked()", self._open_folder)
        ui.curvesButton.connect("toggled(bool)", self._show_curves)
        ui.runLogCollapsibleButton.connect("contentsCollapsed(bool)", lambda _collapsed: self._show_log())
        self._timer = widgets.timer(_TICK_MILLISECONDS, self._tick)
        self._timer.start()

    def begin(self, folder: Path, words: Sequence[str], watch: bool = True) -> None:
        """Start a subcommand of `robustdir` as the run of a folder.

        Args:
            folder: Of the run; empty, or made if needed.
            words: Subcommand and arguments; they name the folder.
            watch: Whether it is watched here from now on, where another run was; if none was, it is in any case.
        Raises:
            InputError: If someone is at work there, or it cannot be started.
        """
        self.board.use(runs_home())
        self.board.start(folder, words)
        self.select(folder if watch or self.entry is None else self.selected)

    def select(self, folder: Path | None) -> None:
        """Make a run the one that is watched."""
        self.selected = folder
        self._follow()
        self.update()
        self._show_log()

    @property
    def entry(self) -> RunEntry | None:
        """Of the selected run; None if none is, or it has gone."""
        return self.board.entry(self.selected)

    def update(self) -> None:
        """Table, buttons and sentences."""
        self.board.use(runs_home())
        entries = sorted(self.board.entries, key=lambda entry: (-(entry.began or 0.0), str(entry.folder)))
        self._show_table(entries)
        names = {str(e.folder): e.folder.name for e in entries if e.folder != self.selected}
        self._compared.set_options({"": _("none"), **names})
        self._show_buttons()
        self.models.update()

    def _show_table(self, entries: Sequence[RunEntry]) -> None:
        table = self.ui.runsTable
        self._rows = [entry.folder for entry in entries]
        states = run_words.states()
        words = [run_words.cells(entry, states[entry.state][0]) for entry in entries]
        widgets.update_table(table, run_words.columns(), words)
        for row, entry in enumerate(entries):
            widgets.paint_cell(table, row, _STATE_COLUMN, states[entry.state][1])
            table.item(row, 0).setToolTip(f"{entry.folder.name}. {run_words.about(entry)}")
        blocked = table.blockSignals(True)
        if self.selected in self._rows:
            if table.currentRow() != self._rows.index(self.selected):
                table.selectRow(self._rows.index(self.selected))
        else:
            table.clearSelection()
            table.setCurrentCell(-1, -1)
        table.blockSignals(blocked)

    def _show_buttons(self) -> None:
        entry, ui = self.entry, self.ui
        ready = self.panel.environment.state.ready
        ui.stopRunButton.enabled = entry is not None and self.board.can_stop(entry)
        ui.pauseRunButton.enabled = entry is not None and self.board.can_pause(entry)
        paused = entry is not None and entry.state is RunState.PAUSED
        waits = paused or (entry is not None and entry.alive and (entry.folder / "pause").exists())
        ui.pauseRunButton.setChecked(waits)
        ui.resumeRunButton.enabled = entry is not None and entry.resumable and ready
        ui.deleteRunButton.enabled = entry is not None and not entry.alive
        ui.openRunFolderButton.enabled = entry is not None
        ui.curvesButton.enabled = self.selected is not None or self.curves.shown
        widgets.set_text(ui.runNote, *self._told(entry))
        widgets.set_text(ui.compareNote, self.curves.sentence(), widgets.QUIET)

    def _told(self, entry: RunEntry | None) -> tuple[str, str]:
        """What there is to say of the selected run, and its colour."""
        if not self._rows:
            return _("There are no runs in this folder yet: start one in the tab Train."), widgets.QUIET
        if entry is None:
            return _("Click a run to watch it."), widgets.QUIET
        resumable = _("It can be resumed.") if entry.resumable else ""
        message = f"{entry.message.rstrip('.')}." if entry.message else ""
        words = " ".join(filter(None, [run_words.about(entry), message, resumable]))
        failed = entry.state in (RunState.FAILED, RunState.KILLED)
        return words, widgets.BAD if failed else widgets.QUIET

    def delete(self) -> None:
        """Delete the selected run, once the user has said so."""
        entry = self.entry
        if entry is None:
            return
        question = _("Delete the run “{name}” with its records, checkpoint and model? This cannot be undone.")
        if not slicer.util.confirmYesNoDisplay(question.format(name=entry.folder.name), windowTitle="RobustDIR"):
            return
        with self._acting():
            left = self.board.delete(entry.folder)
            self.select(None)
            if left:
                kept = _("What the run did not write was left: {names}.").format(names=", ".join(left))
                self.panel.say(kept, widgets.CAREFUL)

    def _asking(self, act: Any) -> Any:
        def clicked() -> None:
            if self.selected is not None:
                with self._acting():
                    act(self.selected)

        return clicked

    def _pause(self, wait: bool) -> None:
        if self.selected is not None:
            with self._acting():
                self.board.pause(self.selected, wait)

    @contextmanager
    def _acting(self) -> Iterator[None]:
        """What is done within it may be refused in a sentence; then all is shown anew."""
        self.panel.say("")
        try:
            with self.panel.telling():
                yield
        finally:
            self.panel.update_soon()

    def _open_folder(self) -> None:
        if self.selected is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.selected)))

    def _select_row(self) -> None:
        row = self.ui.runsTable.currentRow()
        if 0 <= row < len(self._rows) and self._rows[row] != self.selected:
            self.select(self._rows[row])

    def _compare(self, _key: str) -> None:
        self._follow()
        self._show_buttons()

    def _follow(self) -> None:
        other = Path(self._compared.key) if self._compared.key else None
        self.curves.follow(self.selected, None if self.selected is None else other)

    def _show_curves(self, shown: bool) -> None:
        if shown:
            for button in (self.ui.cumulativeButton, self.ui.boxesButton):  # they would change the layout in turn
                button.setChecked(False)
            self.curves.show()
        else:
            self.curves.hide()

    def _show_log(self) -> None:
        if self.ui.runLogCollapsibleButton.collapsed:
            return
        text = "\n".join(_log_of(self.selected)) if self.selected is not None else ""
        if text != self.ui.runLogText.plainText:
            self.ui.runLogText.setPlainText(text)

    def _tick(self) -> None:
        """A little of everything, so that nothing else has to wait."""
        self._ticks += 1
        watched = bool(self.board.watched)
        self.board.poll(_SHARE_SECONDS)
        self.curves.read()
        due = self._ticks % _LISTED_EVERY == 0 or self.board.listing
        listed = due and self.board.look(_SHARE_SECONDS)
        if self.panel.parameters is not None and (listed or watched):
            self.update()
            evaluate = self.panel.evaluate  # evaluations are runs, too, and runs have models to be evaluated
            evaluate.update() if listed else evaluate.follow()
        if listed:
            self._show_log()
            self.models.look()

    def scene_closes(self) -> None:
        """Runs go on; what showed them goes with the scene."""
        self.ui.curvesButton.setChecked(False)

    def close(self) -> None:
        """Let go: runs go on."""
        self._timer.stop()
        self.curves.hide()
        self.models.close()


def _log_of(folder: Path) -> list[str]:
    """The last lines of a run's output that are for people."""
    try:
        note = read_note(folder)
    except InputError:  # of another version
        note = None
    lines = []
    for line in last_words(folder, note):
        record = as_object(line)
        text = line if record is None else str(record.get("message", ""))
        lines += [text] if text else []
    return lines[-_LOG_LINES:]
