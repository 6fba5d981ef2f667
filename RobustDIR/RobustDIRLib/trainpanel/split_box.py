"""How the patients of a data set are shared out, in the tab *Data*; drawn and checked by a process of its own.

`robustdir dataset split` refuses who is on two sides, and scans of one content under two names; its sentence is shown,
and nothing can be trained until it is mended.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import qt
import slicer

from RobustDIRLib.configuration import read_json
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import write_json
from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.run_files import SPLIT
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.trainpanel.cases_table import part_names
from RobustDIRLib.trainpanel.opened import PARTS, Shared, shared_from

_NOBODY, _SEVERAL = "none", "several"  # the latter is none that can be chosen
_DRAWN_BY = ("trainPercent", "validationPercent", "splitSeed")


class SplitBox(Section):
    """Shares patients out.

    Attributes:
        shared: Who is in which part; None while that is not known, or refused.
    """

    def __init__(self, tab: Any) -> None:
        super().__init__(tab.panel)
        self._tab = tab
        self.shared: Shared | None = None
        self._asked: tuple[Any, ...] = ()  # what the last split was made of
        self._background = Background(self._told)
        self.part = widgets.Choice(self.ui.casePartSelector, {**part_names(), _NOBODY: _("nothing")}, self._assign)
        self.ui.drawSplitButton.connect("clicked()", self.draw)
        self.ui.splitFileButton.connect("clicked()", self.read_file)

    def forget(self) -> None:
        """There is no data set."""
        self._background.stop()
        self.shared, self._asked = None, ()
        widgets.set_text(self.ui.splitNote, "")

    def update(self) -> None:
        """Show the part of the selected case; share out anew where the shares were changed."""
        ui, opened, case = self.ui, self._tab.opened, self._tab.cases.selected
        ui.splitFrame.setVisible(opened is not None)
        ui.casePartSelector.enabled = self.shared is not None and case is not None
        drawn = not self.parameters.assigned
        ui.trainPercentBox.enabled = ui.validationPercentBox.enabled = ui.splitSeedBox.enabled = drawn
        ui.drawSplitButton.enabled = not drawn
        if case is not None and self.shared is not None:
            nobody = "" if self.shared.anywhere(case.subjects) else _NOBODY
            self.part.show(self.shared.part_of(case.subjects) or nobody or _SEVERAL)
        if opened is not None and self._asked != self._wanted():
            self.share()

    def _wanted(self) -> tuple[Any, ...]:
        p = self.parameters
        return p.assigned or tuple(getattr(p, name) for name in _DRAWN_BY), self._tab.opened

    def share(self) -> None:
        """Draw by the shares, or check who was assigned."""
        opened = self._tab.opened
        self._background.stop()
        self.shared, self._asked = None, self._wanted()
        with self.panel.telling():
            folder = self._background.new_folder(Path(slicer.app.temporaryPath))
            words = ["split", *opened.words, "--progress", "json"]
            if self.parameters.assigned:
                write_json(folder / SPLIT, json.loads(self.parameters.assigned))
                words += ["--subjects", str(folder / SPLIT)]
            else:
                words += ["--seed", str(self.parameters.splitSeed), "--shares", *map(str, self._shares())]
            widgets.set_text(self.ui.splitNote, _("Sharing the patients out …"), widgets.QUIET)
            self._background.start(iter(()), library_command("dataset", *words))

    def _shares(self) -> tuple[float, float, float]:
        train = self.parameters.trainPercent / 100
        validation = min(self.parameters.validationPercent / 100, 1 - train)
        return train, validation, max(0.0, round(1 - train - validation, 6))

    def _told(self, events: list[dict[str, Any]], problem: str) -> None:
        self.shared = None if problem else shared_from(events)
        if self.shared is None:
            widgets.set_text(self.ui.splitNote, problem, widgets.BAD)
        else:
            names = part_names()
            counts = [f"{names[part]}: {len(self.shared.subjects[part])}" for part in PARTS]
            told = _("Patients by part: {counts}. Nobody is on two sides.").format(counts=", ".join(counts))
            if self._tab.opened is not None and self._tab.opened.two_people:
                told = " ".join([told, _("Pairs of two people are made anew within each part.")])
            widgets.set_text(self.ui.splitNote, told, widgets.QUIET)
        self.panel.update_soon()

    def _assign(self, part: str) -> None:
        """Put all patients of the selected case into a part."""
        case = self._tab.cases.selected
        if case is None or self.shared is None:
            return
        parts = self.shared.as_settings()
        for held in parts.values():
            held[:] = [subject for subject in held if subject not in case.subjects]
        if part != _NOBODY:
            parts[part] += list(dict.fromkeys(case.subjects))
        self.parameters.assigned = json.dumps(parts)
        self.panel.update_soon()

    def draw(self) -> None:
        """By the shares again."""
        self.parameters.assigned = ""
        self.panel.update_soon()

    def read_file(self) -> None:
        """Take the parts of a file."""
        path = qt.QFileDialog.getOpenFileName(None, _("Parts of the data set"), "", _("JSON files (*.json)"))
        if not path:
            return
        with self.panel.telling():
            self.parameters.assigned = json.dumps(_parts_of(Path(str(path))))
            self.panel.say("")
        self.panel.update_soon()

    def close(self) -> None:
        """Nothing may run on."""
        self._background.stop()


def _parts_of(path: Path) -> dict[str, list[str]]:
    held = read_json(path)
    lists = isinstance(held, dict) and bool(held) and set(held) <= set(PARTS)
    if not lists or not all(isinstance(v, list) and all(isinstance(s, str) for s in v) for v in held.values()):
        raise InputError(
            _("{path} holds no parts: give {example}.").format(path=path, example='{"train": [names], "test": [names]}')
        )
    return {part: list(names) for part, names in held.items()}
