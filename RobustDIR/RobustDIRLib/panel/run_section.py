"""Register and Cancel: the run, its progress, its log and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer

from RobustDIRLib.panel import inputs, outputs, widgets
from RobustDIRLib.panel.forecast import Size, spoken
from RobustDIRLib.panel.runs import Run, State, new_folder, remove_folder
from RobustDIRLib.panel.section import Section

POLL_MILLISECONDS = 50
_STAGES = {
    "hand over": "Handing the volumes over",
    "start": "Starting",
    "read": "Reading",
    "normalise": "Normalising intensities",
    "align": "Aligning linearly",
    "network": "Registering",
    "resample": "Warping",
    "measure": "Measuring",
    "write": "Writing",
    "take over": "Taking the results over",
}


class RunSection(Section):
    """One registration at a time."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.run: Run | None = None
        self.last_folder: Path | None = None
        self._buffers = outputs.Buffers()
        self._needed: dict[str, str] = {}
        self._set_id = ""
        self._pair: tuple[Any, Any] = (None, None)
        self._size: Size | None = None
        self.ui.registerButton.connect("clicked()", self.start)
        self.ui.cancelButton.connect("clicked()", self.cancel)
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self._poll)
        widgets.set_text(self.ui.messageLabel, "")

    def update(self) -> None:
        """Buttons, bar and log."""
        running = self.run is not None
        problem = "" if running else self._problem()
        self.ui.registerButton.enabled = not running and not problem
        self.ui.registerButton.toolTip = problem or "Starts the registration."
        self.ui.cancelButton.enabled = running and not (self.run and self.run.stopping)
        self.ui.progressBar.setVisible(running)
        if not running:
            widgets.set_text(self.ui.statusLabel, problem, widgets.QUIET)

    def _problem(self) -> str:
        """Why nothing can be registered yet, as far as a glance can tell."""
        if not self.panel.environment.state.ready:
            return "Some Python packages are missing; see the top of this panel."
        if self.parameters.fixedVolume is None or self.parameters.movingVolume is None:
            return "Select a fixed and a moving volume under Inputs."
        return ""

    def start(self) -> None:
        """Begin a registration; while one runs, nothing."""
        if self.run is not None or self.parameters is None:
            return
        self.panel.say("")
        try:
            with self.panel.telling():
                self._start()
        finally:
            self.panel.update()

    def _start(self) -> None:
        request = inputs.request(self.parameters)
        temporary = Path(slicer.app.temporaryPath)
        folder = new_folder(temporary, request.fixed.grid, request.moving.grid)
        self._buffers = outputs.Buffers()
        wanted = outputs.wanted(self.parameters)
        self.run = Run(request, folder, self.panel.method.outlook, wanted, self._buffers.allocate)
        self._needed = {
            node.GetID(): what
            for node, what in (
                (self.parameters.fixedVolume, "The fixed volume"),
                (self.parameters.movingVolume, "The moving volume"),
                (self.parameters.parameterNode, "The parameter set"),
            )
        }
        self._set_id = self.parameters.parameterNode.GetID()
        self._pair = self.parameters.fixedVolume, self.parameters.movingVolume
        outlook = self.panel.method.outlook
        self._size = outlook.size if outlook else None
        self.ui.logText.setPlainText("")
        for warning in inputs.warnings(self.parameters):
            self.run.warnings.append(warning)
            self.panel.say(warning, widgets.CAREFUL)
        self._timer.start()

    def cancel(self) -> None:
        """Ask the run to end; the panel says so once it has."""
        if self.run is not None:
            self.run.stop()
            widgets.set_text(self.ui.statusLabel, "Stopping …", widgets.QUIET)
            self.update()

    def _poll(self) -> None:
        if self.run is None:
            self._timer.stop()
            return
        state = self.run.advance()
        self._show_progress()
        if state is not State.RUNNING:
            self._finish(state)

    def _show_progress(self) -> None:
        run = self.run
        assert run is not None
        self.ui.progressBar.setValue(int(1000 * run.fraction))
        what = "Stopping" if run.stopping else _STAGES.get(run.stage, run.stage)
        left = "" if run.stopping else f", about {spoken(run.seconds_left)} left"
        widgets.set_text(self.ui.statusLabel, f"{what}{left} …", widgets.QUIET)
        self._show_log()

    def _show_log(self) -> None:
        assert self.run is not None
        text = "\n".join(self.run.log)
        if text != self.ui.logText.plainText:
            self.ui.logText.setPlainText(text)

    def _finish(self, state: State) -> None:
        """The run has ended: take its results, or say why there are none."""
        run, self.run = self.run, None
        assert run is not None
        self._timer.stop()
        if run.log:
            self.ui.logText.setPlainText("\n".join(run.log))
        try:
            self._end(run, state)
        finally:
            self.panel.update()

    def _end(self, run: Run, state: State) -> None:
        if state is State.DONE:
            with self.panel.telling():
                self._take(run)
        elif state is State.STOPPED:
            self.panel.say("Cancelled; the scene is as it was.", widgets.QUIET)
        else:
            self.panel.say(run.message)
            self.ui.logCollapsibleButton.collapsed = not run.log

    def _take(self, run: Run) -> None:
        results = run.results
        assert results is not None
        parameters = self.panel.parameters_of(self._set_id)
        try:
            outputs.take(parameters, self._pair, self._buffers, results)
        except Exception:
            remove_folder(run.folder)
            raise
        self._buffers = outputs.Buffers()
        self._keep_folder(run.folder)
        if self._size:
            self.panel.method.learn({**run.took, **results.record.get("timings_s", {})}, self._size, results.record)
        self._say_done(run)
        if self._set_id == self.parameters.parameterNode.GetID():
            self.panel.look.registered()
            self.panel.check.registered()

    def _say_done(self, run: Run) -> None:
        sentences = [*run.warnings]
        if sentences:
            text = "Registered, with warnings: " + " ".join(s[:1].upper() + s[1:] for s in sentences)
            self.panel.say(text, widgets.CAREFUL)
        else:
            self.panel.say("Registered. Look at it, then check the figures.", widgets.GOOD)

    def _keep_folder(self, folder: Path) -> None:
        """For the report; that of the run before is no longer needed."""
        if self.last_folder is not None:
            remove_folder(self.last_folder)
        self.last_folder = folder

    def node_removed(self, node: Any) -> None:
        """A run whose volumes are gone has nothing to end in."""
        what = self._needed.get(node.GetID())
        if self.run is not None and what:
            self._abandon(f"{what} was deleted during the registration, which was stopped; nothing was changed.")

    def scene_closes(self) -> None:
        """A run ends with its scene."""
        if self.run is not None:
            self._abandon("The scene was closed during the registration, which was stopped.")

    def _abandon(self, sentence: str) -> None:
        run, self.run = self.run, None
        assert run is not None
        self._timer.stop()
        run.kill()
        self.panel.say(sentence)
        self.ui.progressBar.setVisible(False)

    def close(self) -> None:
        """Nothing may run on, and no files may stay."""
        self._timer.stop()
        if self.run is not None:
            self.run.kill()
            self.run = None
        if self.last_folder is not None:
            remove_folder(self.last_folder)
            self.last_folder = None
