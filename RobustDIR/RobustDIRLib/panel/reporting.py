"""The report of the Check section: whether there can be one, and what of the panel goes into it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import qt
import slicer

from RobustDIRLib import mrml
from RobustDIRLib.panel import checking
from RobustDIRLib.panel.origins import INPUTS, OUTPUTS
from RobustDIRLib.panelparts import environment, widgets
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.launching import library_command


class Reporting(Section):
    """Writes reports of what a panel shows.

    Args:
        panel: All of it.
        background: That measures or writes for the Check section, one thing at a time.
    """

    def __init__(self, panel: Any, background: Background) -> None:
        super().__init__(panel)
        self._background = background

    def update(self) -> None:
        """The button, and what it says."""
        problem = self.problem
        self.ui.reportButton.enabled = not problem
        self.ui.reportButton.toolTip = problem or _("Writes a report of what is shown here, to read in a browser.")

    @property
    def problem(self) -> str:
        """Why there is nothing to report; empty if there is."""
        if self.panel.standing.stale:
            return str(self.panel.standing.sentence())
        if self._background.busy:
            return str(_("Something is being measured or written; wait for it."))
        if self.panel.run.last_folder is not None:
            return ""
        return str(
            _("A report needs the files of a registration of this parameter set in this session: register first.")
        )

    def write(self, shown: Mapping[str, Any], limits: Mapping[str, Any]) -> None:
        """Write the report of the last run, where the user says.

        Args:
            shown: What the panel shows now, as `robustdir report --shown` takes it.
            limits: Of the user, by the criteria's names.
        """
        from RobustDIRLib.panel.request import RESULT

        folder = self.panel.run.last_folder
        if folder is None or self.problem:
            return
        path = qt.QFileDialog.getSaveFileName(None, _("Report"), "registration.html", _("Report (*.html *.json *.csv)"))
        if not path or not self._can_be_made(str(path)):
            return
        with self.panel.telling():
            file = self._background.new_folder(Path(slicer.app.temporaryPath)) / "shown.json"
            checking.write_shown(file, shown)
            words = ["report", str(folder / RESULT), "-o", str(path), "--shown", str(file)]
            words += [f"--tolerance={name}={limit}" for name, limit in limits.items()]
            self._background.start(iter(()), library_command(*words))
            self.panel.say(_("Writing the report …"), widgets.QUIET)

    def _can_be_made(self, path: str) -> bool:
        """Whether what pages and pictures need is there, or could be installed after asking."""
        return not path.lower().endswith(".html") or self.panel.environment.provide(environment.REPORT_REQUIREMENTS)

    def told_of(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Whose figures are, and of which nodes.

        Args:
            figures: `landmarks` and `structures` as they stand in the tables.
        """
        p, standing = self.parameters, self.panel.standing
        pair = standing.fixed, standing.moving
        roles = {_("Parameter set"): p.parameterNode}
        of_run = {"fixedVolume": pair[0], "movingVolume": pair[1]}
        for name, (_reference, what) in (*INPUTS.items(), *OUTPUTS.items()):
            roles[what[:1].upper() + what[1:]] = of_run[name] if name in of_run else getattr(p, name)
        if figures["landmarks"]:
            roles.update({_("Fixed landmarks"): p.fixedLandmarks, _("Moving landmarks"): p.movingLandmarks})
        if figures["structures"]:
            roles[_("Fixed segmentation")], roles[_("Moving segmentation")] = p.fixedSegmentation, p.movingSegmentation
        return {
            "patients": [mrml.patient_of(node) for node in pair],
            "volumes": [node.GetName() for node in pair],
            "nodes": [[role, node.GetName(), node.GetID()] for role, node in roles.items() if node is not None],
        }
