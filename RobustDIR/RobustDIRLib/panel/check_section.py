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
from RobustDIRLib.evaluation.measures import BY_NAME
from RobustDIRLib.evaluation.tolerances import JudgedFigure, Tolerances, Verdict, summary
from RobustDIRLib.panel import checking, figure_words, inputs
from RobustDIRLib.panel.origins import INPUTS, OUTPUTS, loaded
from RobustDIRLib.panelparts import environment, views, widgets
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.watching import NodeWatch
from RobustDIRLib.panelparts.words import _

_JUDGEMENT_COLUMNS = tuple(figure_words.JUDGEMENT_COLUMNS)
_TOLERANCE_COLUMN = 3
_ROWS_OF_FIGURES, _ROWS_OF_LISTS = 9, 5  # seen at once: the section is to fit a screen of 1080 pixels
_VERDICTS = {
    Verdict.WITHIN: _("within"),
    Verdict.OUTSIDE: _("outside"),
    Verdict.UNDEFINED: _("undefined"),
    Verdict.NOT_JUDGED: _("not judged"),
}
_COLOURS = {
    Verdict.WITHIN: widgets.GOOD,
    Verdict.OUTSIDE: widgets.BAD,
    Verdict.UNDEFINED: widgets.QUIET,
    Verdict.NOT_JUDGED: widgets.QUIET,
}
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
        self.ui.landmarkTable.connect("cellClicked(int,int)", self.jump)
        self.ui.judgementTable.connect("cellChanged(int,int)", self._tolerance_edited)
        self.ui.curveButton.connect("clicked()", self.show_curve)
        self.ui.measureButton.connect("clicked()", self.measure_structures)
        self.ui.exportButton.connect("clicked()", self.export)
        self.ui.reportButton.connect("clicked()", self.report)
        self.ui.judgementTable.setEditTriggers(qt.QAbstractItemView.DoubleClicked | qt.QAbstractItemView.EditKeyPressed)

    @property
    def record(self) -> dict[str, Any]:
        """What is known of the run that made the results; empty if none has."""
        found: dict[str, Any] = self.panel.standing.record
        return found

    @property
    def structures(self) -> list[dict[str, Any]]:
        """Rows of the last measurement of structures, as long as nothing that they rest on has changed."""
        return [] if self.panel.standing.stale else self.panel.origins.structures(self.parameters)

    @property
    def tolerances(self) -> Tolerances:
        """Of this parameter set; the defaults where nothing sensible is stored."""
        try:
            return Tolerances.from_json(loaded(self.parameters.tolerances))
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
                fixed, moving = inputs.landmarks_to_measure(p)
                if p.transformNode is None:
                    text = _("Register, with the transform ticked under Outputs, to measure the error after it.")
                else:
                    transform = partial(mrml.transform_points, p.transformNode)
                    points = transform(fixed.points)
                    self.landmarks = checking.landmark_errors(fixed.names, fixed.points, moving.points, points)
                    hints = checking.pairing_warnings(self.landmarks, transform, inputs.grids_of(p))
                    self.landmark_warnings = [*inputs.of_landmarks(p), *hints]
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
        problem = self._no_report()
        self.ui.reportButton.enabled = not problem
        self.ui.reportButton.toolTip = problem or _("Writes a report of what is shown here, to read in a browser.")

    def _no_report(self) -> str:
        """Why there is nothing to report; empty if there is."""
        if self.panel.standing.stale:
            found: str = self.panel.standing.sentence()
            return found
        if self._background.busy:
            return _("Something is being measured or written; wait for it.")
        return (
            ""
            if self.panel.run.last_folder is not None
            else (
                _("A report needs the files of a registration of this parameter set in this session: register first.")
            )
        )

    def _fill_judgements(self) -> None:
        before = checking.before_figures(self.measured)
        rows = [
            [
                BY_NAME[one.criterion.name].short or one.criterion.title,
                checking.value_text(before.get(one.criterion.name), one.criterion.unit),
                checking.value_text(one.figure.value, one.criterion.unit),
                _limit(one),
                f"{one.verdict.symbol} {_VERDICTS[one.verdict]}",
            ]
            for one in self.judgements
        ]
        table = self.ui.judgementTable
        widgets.fill_table(table, figure_words.JUDGEMENT_COLUMNS, rows)
        blocked = table.blockSignals(True)
        for row in range(len(rows)):
            for column in range(len(_JUDGEMENT_COLUMNS)):
                self._dress(row, column, self.judgements[row])
        table.blockSignals(blocked)
        widgets.fit_columns(table)  # anew: verdicts are bold
        table.setVisible(bool(rows))
        widgets.fit_height(table, _ROWS_OF_FIGURES)
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

    def _dress(self, row: int, column: int, judgement: JudgedFigure) -> None:
        """Only tolerances can be edited; verdicts have their colour; what is undefined says why."""
        item = self.ui.judgementTable.item(row, column)
        editable = column == _TOLERANCE_COLUMN
        flags = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
        item.setFlags(flags | qt.Qt.ItemIsEditable if editable else flags)
        if column == len(_JUDGEMENT_COLUMNS) - 1:
            widgets.colour_cell(self.ui.judgementTable, row, column, _COLOURS[judgement.verdict])
        note = f"{judgement.criterion.title}: {figure_words.meaning(judgement.criterion.name)}"
        if judgement.figure.note:
            note = _("{meaning} Here: {note}.").format(meaning=note, note=judgement.figure.note)
        if editable:
            note = _("{limit_text}; double-click to change it").format(limit_text=judgement.limit_text)
        item.setToolTip(note[:1].upper() + note[1:])

    def _tolerance_edited(self, row: int, column: int) -> None:
        if column != _TOLERANCE_COLUMN or row >= len(self.judgements):
            return
        text = self.ui.judgementTable.item(row, column).text().strip().lower()
        name = self.judgements[row].criterion.name
        number = text.lstrip("≤≥ ").removesuffix("mm").removesuffix("%").strip().replace(",", ".")
        word = "voxel" if "voxel" in text else "off" if text in ("", "off", "none") else number
        with self.panel.telling():
            self.parameters.tolerances = json.dumps(self.tolerances.edited([f"{name}={word}"]).to_json())
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
        errors = {"before": [x.before for x in self.landmarks], "after": [x.after for x in self.landmarks]}
        known = [n for n in slicer.util.getNodesByClass("vtkMRMLPlotChartNode") if n.GetAttribute(_CURVE)]
        chart = mrml.cumulative_chart(errors, _("Landmark errors"), chart=known[0] if known else None)
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
            self._measured_of = self.panel.origins.of_structures(self.parameters)
            folder = self._background.new_folder(Path(slicer.app.temporaryPath))
            steps = itertools.chain(steps, structures.hand_over(folder, *given))
            self._background.start(steps, structures.command(folder, self.panel.run.last_folder))
            widgets.set_text(self.ui.measureLabel, _("Measuring …"), widgets.QUIET)
        self._seen = None
        self.panel.update()

    def report(self) -> None:
        """Write the report of the last run."""
        from RobustDIRLib.panel.runs import RESULT
        from RobustDIRLib.runner.launching import library_command

        self.panel.update()
        folder = self.panel.run.last_folder
        if folder is None or self._no_report():
            return
        path = qt.QFileDialog.getSaveFileName(None, _("Report"), "registration.html", _("Report (*.html *.json *.csv)"))
        if not path or not self._report_can_be_made(str(path)):
            return
        words = [f"--tolerance={name}={limit}" for name, limit in self.tolerances.to_json().items()]
        with self.panel.telling():
            shown = self._background.new_folder(Path(slicer.app.temporaryPath)) / "shown.json"
            checking.write_shown(shown, self._shown())
            words = ["report", str(folder / RESULT), "-o", str(path), "--shown", str(shown), *words]
            self._background.start(iter(()), library_command(*words))
            self.panel.say(_("Writing the report …"), widgets.QUIET)
        self._seen = None
        self.panel.update()

    def _shown(self) -> dict[str, Any]:
        """What the report is to hold: whose, of which nodes, and the figures that stand here now."""
        p, standing = self.parameters, self.panel.standing
        pair = standing.fixed, standing.moving
        roles = {_("Parameter set"): p.parameterNode}
        of_run = {"fixedVolume": pair[0], "movingVolume": pair[1]}
        for name, (_reference, what) in (*INPUTS.items(), *OUTPUTS.items()):
            roles[what[:1].upper() + what[1:]] = of_run[name] if name in of_run else getattr(p, name)
        if self.landmarks:
            roles.update({_("Fixed landmarks"): p.fixedLandmarks, _("Moving landmarks"): p.movingLandmarks})
        if self.structures:
            roles[_("Fixed segmentation")], roles[_("Moving segmentation")] = p.fixedSegmentation, p.movingSegmentation
        return {
            "patients": [mrml.patient_of(node) for node in pair],
            "volumes": [node.GetName() for node in pair],
            "nodes": [[role, node.GetName(), node.GetID()] for role, node in roles.items() if node is not None],
            "landmarks": [row.as_shown() for row in self.landmarks],
            "structures": self.structures,
            "warnings": self.landmark_warnings,
        }

    def _report_can_be_made(self, path: str) -> bool:
        """Whether what pages and pictures need is there, or could be installed after asking."""
        return not path.lower().endswith(".html") or self.panel.environment.provide(environment.REPORT_REQUIREMENTS)

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


def _limit(one: JudgedFigure) -> str:
    if one.limit is None:
        return "off"
    unit = f" {one.criterion.unit}" if one.criterion.unit else ""
    return f"{'≥' if one.criterion.at_least else '≤'} {one.limit:.3g}{unit}"


def _structure_cells(row: dict[str, Any]) -> list[str]:
    """Name, and each figure before and after."""
    if row.get("only_in"):
        return [f"{row['label']} ({row['note']})", *("–" for _figure in checking.STRUCTURE_FIGURES)]
    pairs = [[row.get(key) for key in keys] for keys in checking.STRUCTURE_FIGURES]
    texts = [["–" if value is None else f"{value:.2f}" for value in pair] for pair in pairs]
    return [str(row["label"]), *(f"{before} → {after}" for before, after in texts)]
