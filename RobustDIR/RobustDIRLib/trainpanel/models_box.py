"""Models in the tab *Runs*: a run's published with its card; files brought in and given away; models removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer

from RobustDIRLib.panelparts import models, widgets
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.trainpanel.board import model_of

_NOTES = ("anatomy", "modality", "licence", "notes")


class ModelsBox(Section):
    """What is done with models; one thing at a time, in a process of its own, as checking one takes torch."""

    def __init__(self, tab: Any) -> None:
        super().__init__(tab.panel)
        self._tab = tab
        self._background = Background(self._finished)
        self._done = ""  # what to say at the end
        self._brought = ""  # the file that is being brought in
        self._entries: list[Any] = []  # as the table shows them
        ui = self.ui
        ui.publishButton.connect("clicked()", self.publish)
        ui.importModelButton.connect("clicked()", self.bring_in)
        ui.exportModelButton.connect("clicked()", self.export)
        ui.removeModelButton.connect("clicked()", self.remove)
        ui.publishNameEdit.connect("textChanged(QString)", lambda _text: self._show_buttons())
        ui.modelsTable.connect("itemSelectionChanged()", self._show_buttons)
        ui.modelsCollapsibleButton.connect("contentsCollapsed(bool)", lambda _collapsed: self.refresh())
        self.refresh()

    @property
    def busy(self) -> bool:
        """Whether something is being done."""
        return self._background.busy

    def update(self) -> None:
        """Buttons; the list of models changes only by what is done here, or when the section is opened."""
        self._show_buttons()

    def look(self) -> None:
        """List the models anew where others have come or gone, in the panel of RobustDIR or by the command line."""
        if [entry.path for entry in models.listed()] != [entry.path for entry in self._entries]:
            self.refresh()

    def refresh(self) -> None:
        """List the models anew."""
        self._entries = models.listed()
        tips = _("What it is asked for by."), _("Came with RobustDIR, or is your own."), _("Size of its file.")
        columns = dict(zip((_("Model"), _("Origin"), _("MB")), tips, strict=True))
        rows = [
            [entry.name, _("shipped") if entry.shipped else _("yours"), f"{entry.path.stat().st_size / 1e6:.1f}"]
            for entry in self._entries
        ]
        widgets.update_table(self.ui.modelsTable, columns, rows)
        self._show_buttons()

    def _show_buttons(self) -> None:
        ui, entry = self.ui, self._tab.entry
        free = not self.busy and self.panel.environment.state.ready
        model = None if entry is None else model_of(entry.folder)
        ui.publishButton.enabled = free and model is not None and bool(ui.publishNameEdit.text.strip())
        ui.publishButton.toolTip = (
            _("Checks the best epoch's model of the selected run and copies it, with its card, among your models.")
            if model is not None
            else _("Select a run that has a model: one that was pretrained or fine-tuned.")
        )
        chosen = self._chosen()
        ui.importModelButton.enabled = free
        ui.exportModelButton.enabled = free and chosen is not None
        ui.removeModelButton.enabled = free and chosen is not None and not chosen.shipped

    def _chosen(self) -> Any:
        row = self.ui.modelsTable.currentRow()
        return self._entries[row] if 0 <= row < len(self._entries) else None

    def publish(self) -> None:
        """Make the selected run's model one of the user's own, with a card."""
        entry = self._tab.entry
        model = None if entry is None else model_of(entry.folder)
        if model is None or self.busy:
            return
        name = self.ui.publishNameEdit.text.strip()
        if not self._is_free(name):
            return
        words = ["models", "add", str(model), f"--name={name}"]
        for note in _NOTES:
            text = getattr(self.ui, f"publish{note.capitalize()}Edit").text.strip()
            words += [f"--{note}={text}"] if text else []
        self._start(words, _("Checking the model …"), _("“{name}” is one of your models now.").format(name=name))

    def _is_free(self, name: str) -> bool:
        """Whether a model can be called so; else that is said, without loading anything first."""
        from RobustDIRLib.model_store import free_name

        free = False
        with self.panel.telling():
            free = bool(free_name(name))
        return free

    def bring_in(self) -> None:
        """Check a file of a model and copy it among the user's own."""
        title, kinds = _("Model file"), _("Model files (*.pt *.pth)")
        path = qt.QFileDialog.getOpenFileName(None, title, "", kinds)
        if path and not self.busy:
            self._bring(str(path))

    def _bring(self, path: str, name: str = "") -> None:
        """Under the name that its card says, or another one."""
        self._brought, file = path, Path(path).name
        words = ["models", "add", path, *([f"--name={name}"] if name else [])]
        done = _("The model of {name} is one of yours now.").format(name=file)
        self._start(words, _("Checking {name} …").format(name=file), done)

    def _bring_otherwise(self, path: str) -> None:
        """The name of a model that was checked is taken: the user may give another one."""
        title = _("Import a model")
        question = _("A model of the name in {name} is there already. Call this one:").format(name=Path(path).name)
        name = str(qt.QInputDialog.getText(None, title, question)).strip()
        if name and self._is_free(name):
            self._bring(path, name)

    def export(self) -> None:
        """Copy the selected model to a file."""
        chosen = self._chosen()
        if chosen is None or self.busy:
            return
        path = qt.QFileDialog.getSaveFileName(None, _("Model file"), f"{chosen.name}.pt", _("Model files (*.pt)"))
        if path:
            done = _("“{name}” was copied to {path}.").format(name=chosen.name, path=path)
            words = ["models", "export", chosen.name, str(path), "--overwrite"]  # the dialog has asked
            self._start(words, _("Copying the model …"), done)

    def remove(self) -> None:
        """Delete the selected model, once the user has said so."""
        from RobustDIRLib.model_store import remove_model

        chosen = self._chosen()
        if chosen is None or chosen.shipped or self.busy:
            return
        question = _("Delete the model “{name}” from your models? This cannot be undone.").format(name=chosen.name)
        if not slicer.util.confirmYesNoDisplay(question, windowTitle="RobustDIR"):
            return
        with self.panel.telling():
            remove_model(chosen.name)
            self._say(_("“{name}” was deleted.").format(name=chosen.name), widgets.GOOD)
        self._changed()

    def close(self) -> None:
        """Nothing may run on."""
        self._background.stop()

    def _start(self, words: list[str], meanwhile: str, done: str) -> None:
        self._done = done
        with self.panel.telling():
            self._background.start(iter(()), library_command(*words))
            self._say(meanwhile, widgets.QUIET)
        self._show_buttons()

    def _finished(self, _events: list[dict[str, Any]], problem: str) -> None:
        from RobustDIRLib.model_store import TAKEN

        self._say(problem or self._done, widgets.BAD if problem else widgets.GOOD)
        self._changed()
        path, self._brought = self._brought, ""
        if path and TAKEN in problem:
            self._bring_otherwise(path)

    def _say(self, sentence: str, colour: str) -> None:
        widgets.set_text(self.ui.modelNote, sentence, colour)
        self.panel.say(sentence, colour)

    def _changed(self) -> None:
        """The list is another one now: here, and in the panel of RobustDIR if that is open."""
        self.refresh()
        other = getattr(slicer.modules, "RobustDIRWidget", None)
        if other is not None and getattr(other, "panel", None) is not None:
            other.panel.update_soon()
        self.panel.update_soon()
