"""Check: the figures of a registration, each against a tolerance; landmarks, structures, export and report."""

from __future__ import annotations

import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import qt
import slicer

from RobustDIRLib import mrml
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.tolerances import JudgedFigure, Tolerances, summary
from RobustDIRLib.panel import checking, figure_words, inputs, landmark_inputs
from RobustDIRLib.panel.judgement_table import JudgementTable
from RobustDIRLib.panel.parameters import kept_object
from RobustDIRLib.panel.reporting import Reporting
from RobustDIRLib.panelparts import views, widgets
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.watching import NodeWatch
from RobustDIRLib.panelparts.words import _

_ROWS_OF_LISTS = 5  # seen at once: the section is to fit a screen of 1080 pixels
_CURVE = "RobustDIR.Curve"


class CheckSection(Section):
    """The figures, as they are now."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.landmarks: list[checking.LandmarkError] = []
        self.landmark_warnings: list[str] = []
        self.judgements: tuple[JudgedFigure, ...] = ()
        self.measured: dict[str, Any] = {}
        self._seen: Any = None
        self._watch = NodeWatch(self._changed)
        self._background = Background(self._finished)
        self._measured_set = ""  # what a measurement under way is of
        self._measured_of: dict[str, Any] = {}
        self._table = JudgementTable(self.ui.judgementTable, self._limit_edited)
        self._reporting = Reporting(panel, self._background)
        self.ui.landmarkTable.connect("cellClicked(int,int)", self.jump)
        self.ui.curveButton.connect("clicked()", self.show_curve)
        self.ui.measureButton.connect("clicked()", self.measure_structures)
        self.ui.exportButton.connect("clicked()", self.export)
        self.ui.reportButton.connect("clicked()", self.report)

    @property
    def record(self) -> dict[str, Any]:
        """What is known of the run that made the results; empty if none has."""
        found: dict[str, Any] = self.panel.standing.record
        return found

    @property
    def structures(self) -> list[dict[str, Any]]:
        """Rows of the last measurement of structures, as long as nothing that they rest on has changed."""
        return [] if self.panel.standing.stale else self.panel.origins.structures.rows(self.parameters)

    @property
    def tolerances(self) -> Tolerances:
        """Of this parameter set; the defaults where nothing sensible is stored."""
        try:
            return Tolerances.from_json(kept_object(self.parameters.tolerances))
        except InputError:
            return Tolerances({})

    def registered(self) -> None:
        """A run has ended well: measure its structures if there are any."""
        self._seen = None
        if self.parameters.fixedSegmentation is not None and self.parameters.movingSegmentation is not None:
            self.measure_structures()

    def parameters_changed(self) -> None:
        """Other landmarks, other figures."""
        self._seen = None

    def update(self) -> None:
        """Measure the landmarks and fill the tables, if anything they rest on has changed."""
        p = self.parameters
        self._watch.on((p.fixedLandmarks, p.movingLandmarks))  # the panel watches the transform
        basis = self._basis()
        if basis == self._seen:
            return
        self._seen = basis
        self._measure_landmarks()
        self._judge()
        self._fill()

    def _basis(self) -> Any:
        """All that the figures rest on, to tell whether they must be made anew."""
        p = self.parameters
        nodes = p.fixedLandmarks, p.movingLandmarks, p.fixedVolume, p.movingVolume
        times = tuple(None if node is None else (node.GetID(), node.GetMTime()) for node in nodes)
        node, transform = p.transformNode, None
        if node is not None:  # its own time tells of its drawing, too
            transform = node.GetID(), node.GetName(), node.GetTransformToWorldMTime()
        segmentations = p.fixedSegmentation is not None, p.movingSegmentation is not None
        told = self.panel.standing.sentence(), self.panel.standing.title, self.panel.run.last_folder
        return times, transform, p.record, self.structures, p.tolerances, segmentations, self._background.busy, told

    def _changed(self, *_: object) -> None:
        """A point was moved, which its node's own time may not tell."""
        self._seen = None
        self.panel.update_soon()

    def _measure_landmarks(self) -> None:
        p = self.parameters
        self.landmarks, self.landmark_warnings = [], []
        text = _("Select landmarks of both volumes under Inputs to measure the error at them.")
        colour = widgets.QUIET
        if self.panel.standing.stale:
            text = ""
        elif p.fixedLandmarks is not None and p.movingLandmarks is not None:
            try:
                fixed, moving = landmark_inputs.to_measure(p)
                if p.transformNode is None:
                    text = _("Register, with the transform ticked under Outputs, to measure the error after it.")
                else:
                    transform = partial(mrml.transform_points, p.transformNode)
                    points = transform(fixed.points)
                    self.landmarks = checking.landmark_errors(fixed.names, fixed.points, moving.points, points)
                    hints = checking.pairing_warnings(self.landmarks, transform, landmark_inputs.grids_of(p))
                    self.landmark_warnings = [*landmark_inputs.outside_warnings(p), *hints]
                    text, colour = " ".join(self.landmark_warnings), widgets.CAREFUL
            except InputError as error:
                text, colour = str(error), widgets.BAD
        widgets.set_text(self.ui.landmarksLabel, text, colour)

    def _judge(self) -> None:
        p = self.parameters
        known = (bool(self.record) or p.transformNode is not None) and not self.panel.standing.stale
        self.measured = checking.measures(self.record, self.landmarks, self.structures)
        try:
            voxel = max(mrml.grid_of_volume(p.fixedVolume).spacing)
        except InputError:  # none is selected
            voxel = 1.0
        self.judgements = checking.judged(self.measured, self.tolerances, voxel) if known else ()

    def _fill(self) -> None:
        self._fill_judgements()
        rows = [[r.name, *(f"{v:.2f}" for v in (r.before, r.after, r.improvement))] for r in self.landmarks]
        widgets.fill_table(self.ui.landmarkTable, figure_words.LANDMARK_COLUMNS, rows)
        widgets.fit_height(self.ui.landmarkTable, _ROWS_OF_LISTS)
        structures = self.structures
        cells = [_structure_cells(row) for row in structures]
        widgets.fill_table(self.ui.structureTable, figure_words.STRUCTURE_COLUMNS, cells)
        widgets.fit_height(self.ui.structureTable, _ROWS_OF_LISTS)
        self.ui.landmarkTable.setVisible(bool(rows))
        self.ui.structureTable.setVisible(bool(structures))
        self.ui.curveButton.enabled = bool(rows)
        p = self.parameters
        both = p.fixedSegmentation is not None and p.movingSegmentation is not None
        self.ui.measureButton.enabled = both and p.transformNode is not None and not self._background.busy
        self.ui.exportButton.enabled = bool(self.judgements)
        self.ui.measureButton.enabled = self.ui.measureButton.enabled and not self.panel.standing.stale
        self._reporting.update()

    def _fill_judgements(self) -> None:
        self._table.show(self.judgements, checking.before_figures(self.measured))
        widgets.set_text(self.ui.verdictLabel, *self._verdict())
        warnings = " ".join(str(sentence) for sentence in self.record.get("warnings") or ())
        widgets.set_text(
            self.ui.warningsLabel,
            _("Warnings of the run: {warnings}").format(warnings=warnings) if warnings else "",
            widgets.CAREFUL,
        )

    def _verdict(self) -> tuple[str, str]:
        """What came of the figures, and of which pair; that nothing is judged, and why; and the colour for it."""
        if self.panel.standing.stale:
            return self.panel.standing.sentence(), widgets.CAREFUL
        if not self.judgements:
            return _("Register first, then the figures appear here."), ""
        transform = self.parameters.transformNode
        of = self.panel.standing.title or _("“{transform}”, which was not registered here").format(
            transform=transform.GetName()
        )
        return f"{of}: {summary(self.judgements)}", ""

    def _limit_edited(self, name: str, limit: str) -> None:
        with self.panel.telling():
            self.parameters.tolerances = json.dumps(self.tolerances.edited([f"{name}={limit}"]).to_json())
            self.panel.say("")
        self._seen = None
        self.panel.update_soon()

    def jump(self, row: int, _column: int = 0) -> None:
        """Move the slices to a landmark of the table."""
        if row < len(self.landmarks):
            mrml.show_point(self.landmarks[row].point)

    def show_curve(self) -> None:
        """The cumulative curve of errors, in a plot view of Slicer."""
        self.panel.look.comparison.remember()
        errors = {_("before"): [x.before for x in self.landmarks], _("after"): [x.after for x in self.landmarks]}
        known = [n for n in slicer.util.getNodesByClass("vtkMRMLPlotChartNode") if n.GetAttribute(_CURVE)]
        chart = mrml.cumulative_chart(errors, _("Landmark errors"), chart=known[0] if known else None)
        chart.SetXAxisTitle(_("TRE (mm)"))
        chart.SetYAxisTitle(_("Landmarks (%)"))
        chart.SetAttribute(_CURVE, "yes")
        views.show_plot(chart)
        self.panel.update()

    def measure_structures(self) -> None:
        """Dice and distances of the structures, in a process of its own."""
        from RobustDIRLib.panel import structures

        if self._background.busy:
            return
        with self.panel.telling():
            given, steps = inputs.structures(self.parameters)
            self._measured_set = self.parameters.parameterNode.GetID()
            self._measured_of, looking = self.panel.origins.structures.begin(self.parameters)
            folder = self._background.new_folder(Path(slicer.app.temporaryPath))
            steps = itertools.chain(looking, steps, structures.hand_over(folder, *given))
            self._background.start(steps, structures.command(folder, self.panel.run.last_folder))
            widgets.set_text(self.ui.measureLabel, _("Measuring …"), widgets.QUIET)
            self.ui.measureButton.enabled = False
        self._seen = None
        self.panel.update_soon()

    def report(self) -> None:
        """Write the report of the last run."""
        self.panel.update()
        self._reporting.write(self.shown(), self.tolerances.to_json())
        self._seen = None
        self.panel.update()

    def shown(self) -> dict[str, Any]:
        """What stands here now: for the report, the patients, volumes and nodes that it is of among it."""
        figures = {
            "landmarks": [row.as_shown() for row in self.landmarks],
            "structures": self.structures,
            "warnings": self.landmark_warnings,
        }
        return {**self._reporting.told_of(figures), **figures}

    def _finished(self, events: list[dict[str, Any]], problem: str) -> None:
        """Structures were measured or a report was written, or not."""
        widgets.set_text(self.ui.measureLabel, "")
        rows = next((event["rows"] for event in events if event["event"] == "structures"), None)
        if problem:
            self.panel.say(problem)
        elif rows is not None:
            if slicer.mrmlScene.GetNodeByID(self._measured_set) is not None:
                parameters = self.panel.parameters_of(self._measured_set)
                parameters.structures = json.dumps({"rows": rows, "of": self._measured_of})
        else:
            self.panel.say(_("The report was written."), widgets.GOOD)
        self._seen = None
        self.panel.update()

    def export(self) -> None:
        """Write all figures to a CSV file."""
        if not self.judgements:
            return
        path = qt.QFileDialog.getSaveFileName(None, _("Export figures"), "registration.csv", _("CSV (*.csv)"))
        if not path:
            return
        with self.panel.telling():
            checking.write_csv(Path(str(path)), self.judgements, self.measured, self.structures)
            self.panel.say(_("Written to {path}.").format(path=path), widgets.GOOD)

    def scene_closes(self) -> None:
        """Let go of its nodes."""
        self._watch.off()
        self._background.stop()
        self._seen = None

    def close(self) -> None:
        """Nothing may run on."""
        self._watch.off()
        self._background.stop()


def _structure_cells(row: dict[str, Any]) -> list[str]:
    """Name, and each figure before and after."""
    if row.get("only_in"):
        return [f"{row['label']} ({row['note']})", *("–" for _figure in checking.STRUCTURE_FIGURES)]
    pairs = [[row.get(key) for key in keys] for keys in checking.STRUCTURE_FIGURES]
    texts = [["–" if value is None else f"{value:.2f}" for value in pair] for pair in pairs]
    return [str(row["label"]), *(f"{before} → {after}" for before, after in texts)]
