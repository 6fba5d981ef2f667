"""The strip on top: green when everything is there; otherwise what is missing, and the way to install it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import qt

from RobustDIRLib.panelparts import environment, widgets
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _

_SECONDS_SINCE = 1.0  # in which nobody installs anything
_COLOURS = {environment.DECLINED: widgets.QUIET, environment.RESTART: widgets.CAREFUL}


class EnvironmentStrip(Section):
    """What a registration needs of the application's Python."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._look()
        self.ui.installButton.connect("clicked()", self.install)
        self.ui.wheelsButton.connect("clicked()", self.install_from_folder)
        self.ui.checkAgainButton.connect("clicked()", self.examine)

    def update(self) -> None:
        """Show what was found."""
        state = self.state
        widgets.set_text(self.ui.environmentDot, "●", widgets.GOOD if state.ready else widgets.BAD)
        widgets.set_text(self.ui.environmentLabel, state.sentence())
        self.ui.environmentLabel.toolTip = ", ".join(r.words for r in state.wanted)
        for button in (self.ui.installButton, self.ui.wheelsButton, self.ui.checkAgainButton):
            button.setVisible(bool(state.wanted))
        self.ui.installButton.enabled = state.offers_extension or not state.needs_extension

    def _look(self) -> None:
        self.state, self._looked = environment.examine(), time.monotonic()

    def entered(self) -> None:
        """Look again, unless the panel was made just now."""
        if time.monotonic() - self._looked > _SECONDS_SINCE:
            self._look()
        self.panel.update()

    def examine(self) -> None:
        """Look again."""
        self._look()
        self.panel.update()

    def provide(self, packages: Sequence[str]) -> bool:
        """Whether packages beyond those of a registration are there, or were installed after asking."""
        if environment.examine(environment.requirements(packages)).ready:
            return True
        problem = environment.installed(lambda: environment.ensure(packages))
        self.examine()
        self._say(problem)
        return not problem

    def _say(self, problem: str | None) -> None:
        """Why nothing was installed; what the user wished is no fault."""
        if problem:
            self.panel.say(problem, _COLOURS.get(problem, widgets.BAD))

    def install(self) -> None:
        """From the registry, after asking."""
        self._install(None)

    def install_from_folder(self) -> None:
        """From a folder of wheels, after asking."""
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder of wheel files (.whl)"))
        if folder:
            self._install(Path(folder))

    def _install(self, wheels: Path | None) -> None:
        problem = environment.installed(lambda: environment.install(self.state, wheels))
        self.examine()
        self._say(problem)
        if not problem and self.state.ready:
            self.panel.say(_("Everything is installed."), widgets.GOOD)
