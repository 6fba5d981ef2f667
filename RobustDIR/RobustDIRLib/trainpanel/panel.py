"""The panel as a whole: its four tabs, the parameters they share, and the folder that holds the runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from RobustDIRLib.panelparts.environment_strip import EnvironmentStrip
from RobustDIRLib.panelparts.panel import BasePanel
from RobustDIRLib.panelparts.workplaces import purge
from RobustDIRLib.trainpanel.data_tab import DataTab
from RobustDIRLib.trainpanel.evaluate_tab import EvaluateTab
from RobustDIRLib.trainpanel.home import runs_home, set_runs_home
from RobustDIRLib.trainpanel.runs_tab import RunsTab
from RobustDIRLib.trainpanel.train_tab import TrainTab

TABS = ("dataTab", "trainTab", "runsTab", "evaluateTab")


class TrainPanel(BasePanel):
    """All tabs.

    Args:
        ui: The panel's widgets by name, those of the tabs among them.
        logic: The module's; see `BasePanel`.
    """

    def __init__(self, ui: Any, logic: Any) -> None:
        purge(Path(slicer.app.temporaryPath))
        super().__init__(ui, logic)
        self.environment = EnvironmentStrip(self)
        self.data = DataTab(self)
        self.train = TrainTab(self)
        self.runs = RunsTab(self)
        self.evaluate = EvaluateTab(self)
        self.sections = (self.environment, self.data, self.train, self.runs, self.evaluate)
        ui.runsFolderButton.directory = str(runs_home())
        ui.runsFolderButton.connect("directoryChanged(QString)", self._choose_home)

    def _choose_home(self, folder: str) -> None:
        if Path(folder) == runs_home():
            return
        with self.telling():
            set_runs_home(Path(folder))
        self.ui.runsFolderButton.directory = str(runs_home())
        self.update()

    def _is_blank(self) -> bool:
        return not (self.parameters.dataPath or self.parameters.scenePairs)

    def show_tab(self, name: str) -> None:
        """Bring a tab to the front.

        Args:
            name: One of `TABS`.
        """
        self.ui.trainTabs.setCurrentIndex(TABS.index(name))
