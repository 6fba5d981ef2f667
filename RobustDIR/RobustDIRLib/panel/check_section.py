"""Check: the figures of a registration, each against a tolerance; landmarks, structures, export and report."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import qt
import slicer

from RobustDIRLib import mrml
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.run_figures import NEAR_MM
from RobustDIRLib.evaluation.tolerances import Judgement, Tolerances, Verdict, summary
from RobustDIRLib.panel import checking, environment, inputs, views, widgets
from RobustDIRLib.panel.background import Background
from RobustDIRLib.panel.section import Section

_JUDGEMENT_COLUMNS = ("Measure", "Before", "After", "Limit", "Verdict")
_TOLERANCE_COLUMN = 3
# Short enough for the panel's width; the full title is the tooltip.
_TITLES = {
    "tre_max_mm": "TRE, worst",
    "tre_p95_mm": "TRE, 95 %",
    "tre_near_percent": f"TRE < {NEAR_MM:g} mm",
    "mda_mm": "Distance",
    "hd95_mm": "HD95",
    "dice": "Dice",
    "folding_percent": "Folding",
    "inverse_p95_mm": "Inverse",
}
_VERDICTS = {
    Verdict.WITHIN: "within",
    Verdict.OUTSIDE: "outside",
    Verdict.UNDEFINED: "undefined",
    Verdict.NOT_JUDGED: "not judged",
}
_LANDMARK_COLUMNS = ("Name", "Before, mm", "After, mm", "Improvement, mm")
_STRUCTURE_COLUMNS = ("Structure", "Dice", "HD95, mm", "Distance, mm")
_STRUCTURE_FIGURES = (("before", "after"), ("hd95_before_mm", "hd95_mm"), ("mda_before_mm", "mda_mm"))
_COLOURS = {
    Verdict.WITHIN: widgets.GOOD,
    Verdict.OUTSIDE: widgets.BAD,
    Verdict.UNDEFINED: widgets.QUIET,
    Verdict.NOT_JUDGED: widgets.QUIET,
}
_CURVE = "RobustDIR.Curve"
_EVENTS = ("PointModifiedEvent", "PointAddedEvent", "PointRemovedEvent", "PointPositionDefinedEvent")


class CheckSection(Section):
    """The figures, as they are now."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.landmarks: list[checking.LandmarkError] = []
        self.judgements: tuple[Judgement, ...] = ()
        self.measured: dict[str, Any] = {}
        self._seen: Any = None
        self._observed: list[tuple[Any, int]] = []
        self._background = Background(self._finished)
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
        return _loaded(self.parameters.record, {})

    @property
    def structures(self) -> list[dict[str, Any]]:
        """Rows of the last measurement of structures."""
        rows: list[dict[str, Any]] = _loaded(self.parameters.structures, [])
        return rows

    @property
    def tolerances(self) -> Tolerances:
        """Of this parameter set; the defaults where nothing sensible is stored."""
        try:
            return Tolerances.from_json(_loaded(self.parameters.tolerances, {}))
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
        self._observe(p.fixedLandmarks, p.movingLandmarks, p.transformNode)
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
        nodes = p.fixedLandmarks, p.movingLandmarks, p.transformNode, p.fixedVolume
        times = tuple(None if node is None else (node.GetID(), node.GetMTime()) for node in nodes)
        transform = None if p.transformNode is None else p.transformNode.GetTransformToWorldMTime()
        segmentations = p.fixedSegmentation is not None, p.movingSegmentation is not None
        return times, transform, p.record, p.structures, p.tolerances, segmentations, self._background.busy

    def _observe(self, *nodes: Any) -> None:
        wanted = [node for node in nodes if node is not None]
        if [node for node, _ in self._observed[:: len(_EVENTS) + 1]] == wanted:
            return
        self._release()
        for node in wanted:
            for event in ("ModifiedEvent", *_EVENTS):
                number = getattr(node, event, event)
                self._observed.append((node, node.AddObserver(number, self._changed)))

    def _changed(self, *_: Any) -> None:
        """A point or a transform was moved, which its node's own time may not tell."""
        self._seen = None
        self.panel.update_soon()

    def _release(self) -> None:
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []

    def _measure_landmarks(self) -> None:
        p = self.parameters
        self.landmarks = []
        text = "Select landmarks of both volumes under Inputs to measure the error at them."
        colour = widgets.QUIET
        if p.fixedLandmarks is not None and p.movingLandmarks is not None:
            try:
                fixed, moving = inputs.paired_landmarks(p)
                if p.transformNode is None:
                    text = "Register, with the transform ticked under Outputs, to measure the error after it."
                else:
                    points = mrml.transform_points(p.transformNode, fixed.points)
                    self.landmarks = checking.landmark_errors(fixed.names, fixed.points, moving.points, points)
                    text = colour = ""
            except InputError as error:
                text, colour = str(error), widgets.BAD
        widgets.set_text(self.ui.landmarksLabel, text, colour)

    def _judge(self) -> None:
        p = self.parameters
        known = bool(self.record) or p.transformNode is not None
        self.measured = checking.measures(self.record, self.landmarks, self.structures)
        voxel = max(p.fixedVolume.GetSpacing()) if p.fixedVolume is not None else 1.0
        self.judgements = checking.judged(self.measured, self.tolerances, voxel) if known else ()

    def _fill(self) -> None:
        self._fill_judgements()
        rows = [[r.name, *(f"{v:.2f}" for v in (r.before, r.after, r.improvement))] for r in self.landmarks]
        widgets.fill_table(self.ui.landmarkTable, _LANDMARK_COLUMNS, rows)
        widgets.fit_height(self.ui.landmarkTable, 8)
        structures = self.structures
        widgets.fill_table(self.ui.structureTable, _STRUCTURE_COLUMNS, [_structure_cells(row) for row in structures])
        widgets.fit_height(self.ui.structureTable, 8)
        self.ui.landmarkTable.setVisible(bool(rows))
        self.ui.structureTable.setVisible(bool(structures))
        self.ui.curveButton.enabled = bool(rows)
        p = self.parameters
        both = p.fixedSegmentation is not None and p.movingSegmentation is not None
        self.ui.measureButton.enabled = both and p.transformNode is not None and not self._background.busy
        self.ui.exportButton.enabled = bool(self.judgements)
        self.ui.reportButton.enabled = self.panel.run.last_folder is not None and not self._background.busy

    def _fill_judgements(self) -> None:
        before = checking.before_figures(self.measured)
        rows = [
            [
                _TITLES.get(one.criterion.name, one.criterion.title),
                checking.value_text(before.get(one.criterion.name), one.criterion.unit),
                checking.value_text(one.figure.value, one.criterion.unit),
                _limit(one),
                f"{one.verdict.symbol} {_VERDICTS[one.verdict]}",
            ]
            for one in self.judgements
        ]
        table = self.ui.judgementTable
        widgets.fill_table(table, _JUDGEMENT_COLUMNS, rows)
        blocked = table.blockSignals(True)
        for row in range(len(rows)):
            for column in range(len(_JUDGEMENT_COLUMNS)):
                self._dress(row, column, self.judgements[row])
        table.blockSignals(blocked)
        widgets.fit_columns(table)  # anew: verdicts are bold
        table.setVisible(bool(rows))
        widgets.fit_height(table, len(rows))
        text = summary(self.judgements) if rows else "Register first, then the figures appear here."
        pair = self.record.get("pair")
        widgets.set_text(self.ui.verdictLabel, f"{pair[1]} on {pair[0]}: {text}" if pair and rows else text)

    def _dress(self, row: int, column: int, judgement: Judgement) -> None:
        """Only tolerances can be edited; verdicts have their colour; what is undefined says why."""
        item = self.ui.judgementTable.item(row, column)
        editable = column == _TOLERANCE_COLUMN
        flags = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
        item.setFlags(flags | qt.Qt.ItemIsEditable if editable else flags)
        if column == len(_JUDGEMENT_COLUMNS) - 1:
            widgets.colour_cell(self.ui.judgementTable, row, column, _COLOURS[judgement.verdict])
        note = f"{judgement.criterion.title}: {judgement.figure.note}" if judgement.figure.note else ""
        if editable:
            note = f"{judgement.limit_text}; double-click to change it"
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
        chart = mrml.cumulative_chart(errors, "Landmark errors", chart=known[0] if known else None)
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
            folder = self._background.new_folder(Path(slicer.app.temporaryPath))
            steps = itertools.chain(steps, structures.hand_over(folder, *given))
            self._background.start(steps, structures.command(folder))
            widgets.set_text(self.ui.measureLabel, "Measuring …", widgets.QUIET)
        self._seen = None
        self.panel.update()

    def report(self) -> None:
        """Write the report of the last run."""
        from RobustDIRLib.panel.jobs import library_command
        from RobustDIRLib.panel.runs import RESULT

        folder = self.panel.run.last_folder
        if folder is None or self._background.busy:
            return
        path = qt.QFileDialog.getSaveFileName(None, "Report", "registration.html", "Report (*.html *.json *.csv)")
        if not path or not self._report_can_be_made(str(path)):
            return
        words = [f"--tolerance={name}={limit}" for name, limit in self.tolerances.to_json().items()]
        with self.panel.telling():
            self._background.start(iter(()), library_command("report", str(folder / RESULT), "-o", str(path), *words))
            self.panel.say("Writing the report …", widgets.QUIET)
        self._seen = None
        self.panel.update()

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
            self.parameters.structures = json.dumps(rows)
        else:
            self.panel.say("The report was written.", widgets.GOOD)
        self._seen = None
        self.panel.update()

    def export(self) -> None:
        """Write all figures to a CSV file."""
        path = qt.QFileDialog.getSaveFileName(None, "Export figures", "registration.csv", "CSV (*.csv)")
        if not path:
            return
        with self.panel.telling():
            checking.write_csv(Path(str(path)), self.judgements, self.measured, self.structures)
            self.panel.say(f"Written to {path}.", widgets.GOOD)

    def scene_closes(self) -> None:
        """Let go of its nodes."""
        self._release()
        self._background.stop()
        self._seen = None

    def close(self) -> None:
        """Nothing may run on."""
        self._release()
        self._background.stop()


def _loaded(text: str, otherwise: Any) -> Any:
    """JSON of a parameter; something else where it is empty or damaged."""
    try:
        value = json.loads(text) if text else otherwise
    except ValueError:
        return otherwise
    return value if isinstance(value, type(otherwise)) else otherwise


def _limit(one: Judgement) -> str:
    if one.limit is None:
        return "off"
    unit = f" {one.criterion.unit}" if one.criterion.unit else ""
    return f"{'≥' if one.criterion.at_least else '≤'} {one.limit:.3g}{unit}"


def _structure_cells(row: dict[str, Any]) -> list[str]:
    """Name, and each figure before and after."""
    if row.get("only_in"):
        return [f"{row['label']} ({row['note']})", *("–" for _ in _STRUCTURE_FIGURES)]
    pairs = [[row.get(key) for key in keys] for keys in _STRUCTURE_FIGURES]
    texts = [["–" if value is None else f"{value:.2f}" for value in pair] for pair in pairs]
    return [str(row["label"]), *(f"{before} → {after}" for before, after in texts)]
