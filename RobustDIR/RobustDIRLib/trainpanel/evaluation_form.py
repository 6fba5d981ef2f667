"""The form of the tab *Evaluate*: what a new evaluation compares, and on what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qt

from RobustDIRLib.baselines.optional import version
from RobustDIRLib.errors import InputError
from RobustDIRLib.model_store import DEFAULT_MODEL
from RobustDIRLib.panelparts import models, widgets
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.run_files import SPLIT
from RobustDIRLib.runner.folders import RECORDED
from RobustDIRLib.trainpanel.board import model_of
from RobustDIRLib.trainpanel.home import new_run

# Rivals and the packages they come in, as `baselines.rivals` has them; importing that would load torch.
RIVALS = {
    "elastix": "itk-elastix", "elastix-quick": "itk-elastix", "ants": "antspyx", "ants-quick": "antspyx",
    "convexadam": "convexAdam", "convexadam-quick": "convexAdam", "bspline": "SimpleITK", "bspline-quick": "SimpleITK",
    "demons": "SimpleITK", "demons-quick": "SimpleITK",
}  # fmt: skip
_TICKED = ("none", "linear", DEFAULT_MODEL)


class EvaluationForm(Section):
    """Data set, patients and methods of an evaluation to come."""

    def __init__(self, tab: Any) -> None:
        super().__init__(tab.panel)
        self.subjects = widgets.Choice(self.ui.evaluationSubjectsSelector, {"": _("all")}, lambda _key: None)
        self._methods: list[str] = []
        self._ticked = set(_TICKED)
        self.ui.evaluationMethodsList.connect("itemChanged(QListWidgetItem*)", self._tick)
        self.ui.evaluationDataEdit.connect("currentPathChanged(QString)", lambda _path: self.panel.update_soon())

    def update(self) -> None:
        """Offer the models and the test patients that there are now."""
        entries = self.panel.runs.board.entries
        taught = {str(path): e.folder.name for e in entries if e.kind in RECORDED and (path := model_of(e.folder))}
        methods = {
            "none": _("none: the images as they lie"),
            "linear": _("linear alignment alone"),
            **{entry.name: _("model “{name}”").format(name=entry.name) for entry in models.listed()},
            **{path: _("model of the run “{name}”").format(name=name) for path, name in taught.items()},
            **{name: name for name, package in RIVALS.items() if version(package)},
        }
        if list(methods) != self._methods:
            self._offer(methods)
        splits = {str(e.folder / SPLIT): e.folder.name for e in entries if (e.folder / SPLIT).is_file()}
        tested = {file: _("test patients of “{name}”").format(name=name) for file, name in splits.items()}
        self.subjects.set_options({"": _("all"), **tested})

    def _offer(self, methods: dict[str, str]) -> None:
        box = self.ui.evaluationMethodsList
        blocked = box.blockSignals(True)
        box.clear()
        for name, title in methods.items():
            item = qt.QListWidgetItem(title)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable | qt.Qt.ItemIsUserCheckable)
            item.setCheckState(qt.Qt.Checked if name in self._ticked else qt.Qt.Unchecked)
            item.setToolTip(name)
            box.addItem(item)
        box.blockSignals(blocked)
        self._methods = list(methods)

    def _tick(self, item: Any) -> None:
        name = self._methods[self.ui.evaluationMethodsList.row(item)]
        if item.checkState() == qt.Qt.Checked:
            self._ticked.add(name)
        else:
            self._ticked.discard(name)
        self.panel.update_soon()

    def tick(self, *names: str) -> None:
        """Compare these methods and no others, as far as they are offered."""
        self._ticked = set(names)
        self._methods = []
        self.update()

    @property
    def methods(self) -> list[str]:
        """Those that are ticked, in order."""
        return [name for name in self._methods if name in self._ticked]

    @property
    def problem(self) -> str:
        """Why nothing can be evaluated yet; empty if it can."""
        if not self.panel.environment.state.ready:
            return str(_("Some Python packages are missing; see the top of this panel."))
        if not self.ui.evaluationDataEdit.currentPath and getattr(self.panel.data, "opened", None) is None:
            return str(_("Choose a data set, here or in the tab Data."))
        return "" if self.methods else str(_("Tick at least one method."))

    @contextmanager
    def request(self) -> Iterator[tuple[Path, list[str]]]:
        """A new folder for the evaluation, and the words that start it there; see `home.new_run`.

        Raises:
            InputError: If something is missing, or the folder cannot be made.
        """
        if self.problem:
            raise InputError(self.problem)
        if unlike := [name for name in self.methods if "," in name]:
            raise InputError(_("{path} has a comma in its name; move the runs folder.").format(path=unlike[0]))
        dataset, name = self._dataset()
        what = ["--subjects", self.subjects.key] if self.subjects.key else []
        limit = int(self.ui.evaluationLimitSpinBox.value)
        what += ["--limit", str(limit)] if limit else []
        with new_run("evaluate", name) as folder:
            methods = f"--methods={','.join(self.methods)}"
            yield folder, ["evaluate", *dataset, "--output", str(folder), methods, *what, "--progress", "json"]

    def _dataset(self) -> tuple[list[str], str]:
        """The data set for the command, and its name."""
        chosen = self.ui.evaluationDataEdit.currentPath
        if chosen:
            path = Path(chosen)
            if not path.exists():
                raise InputError(_("{path} is not there; choose the data set's folder anew.").format(path=path))
            return [str(path.absolute())], path.stem
        opened = self.panel.data.opened
        return list(opened.words), str(opened.name)
