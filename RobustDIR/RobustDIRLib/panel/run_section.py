"""Register and Cancel: the run, its progress, its log and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from RobustDIRLib.panel import inputs, outputs
from RobustDIRLib.panel.forecast import Size, spoken
from RobustDIRLib.panel.origins import Origin, begin
from RobustDIRLib.panel.parameters import Parameters, kept_object
from RobustDIRLib.panel.runs import RegistrationRun, RegistrationState, new_folder
from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.panelparts.workplaces import remove_workplace

POLL_MILLISECONDS = 50
_DONE = _("Registered. Look at it, then check the figures.")
_STAGES = {
    "hand over": _("Handing the volumes over"),
    "start": _("Starting"),
    "read": _("Reading"),
    "normalise": _("Normalising intensities"),
    "align": _("Aligning linearly"),
    "network": _("Registering"),
    "refine": _("Refining"),
    "resample": _("Warping"),
    "measure": _("Measuring"),
    "write": _("Writing"),
    "take over": _("Taking the results over"),
}


class RunSection(Section):
    """One registration at a time."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.run: RegistrationRun | None = None
        self._folders: dict[str, tuple[str, Path]] = {}  # by parameter set: which run, and where its files are
        self._buffers = outputs.Buffers()
        self._needed: dict[str, str] = {}
        self._set_id = ""
        self._origin = Origin()
        self._size: Size | None = None
        self.ui.registerButton.connect("clicked()", self.start)
        self.ui.cancelButton.connect("clicked()", self.cancel)
        self.ui.keepButton.connect("clicked()", self.keep)
        self._timer = widgets.timer(POLL_MILLISECONDS, self._poll)
        widgets.set_text(self.ui.messageLabel, "")

    def update(self) -> None:
        """Buttons, bar and log."""
        if self.panel.standing.stale and self.ui.messageLabel.text == _DONE:
            self.panel.say("")
        running = self.run is not None
        problem = "" if running else self._problem()
        self.ui.registerButton.enabled = not running and not problem
        self.ui.registerButton.toolTip = problem or _("Starts the registration.")
        self.ui.cancelButton.enabled = running and not (self.run and self.run.stopping)
        self.ui.keepButton.enabled = bool(self.run and self.run.can_keep)
        self.ui.progressBar.setVisible(running)
        if not running:
            widgets.set_text(self.ui.statusLabel, problem, widgets.QUIET)

    def _problem(self) -> str:
        """Why nothing can be registered yet, as far as a glance can tell."""
        if not self.panel.environment.state.ready:
            return _("Some Python packages are missing; see the top of this panel.")
        if self.parameters.fixedVolume is None or self.parameters.movingVolume is None:
            return _("Select a fixed and a moving volume under Inputs.")
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
        request, self._origin = begin(self.parameters)
        temporary = Path(slicer.app.temporaryPath)
        folder = new_folder(temporary, request.fixed.grid, request.moving.grid)
        self._buffers = outputs.Buffers()
        wanted = outputs.wanted(self.parameters)
        buffers = self._buffers
        self.run = RegistrationRun(request, folder, self.panel.method.outlook, wanted, buffers.allocate, buffers.sum_up)
        self._needed = {
            node.GetID(): what
            for node, what in (
                (self.parameters.fixedVolume, _("The fixed volume")),
                (self.parameters.movingVolume, _("The moving volume")),
                (self.parameters.parameterNode, _("The parameter set")),
            )
        }
        self._set_id = self.parameters.parameterNode.GetID()
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
            widgets.set_text(self.ui.statusLabel, _("Stopping …"), widgets.QUIET)
            self.update()

    def keep(self) -> None:
        """End the refinement with what it has; the run goes on and ends as ever."""
        if self.run is not None:
            with self.panel.telling():
                self.run.keep()
            self.update()

    def _poll(self) -> None:
        if self.run is None:
            self._timer.stop()
            return
        state = self.run.advance()
        self._show_progress()
        if state is not RegistrationState.RUNNING:
            self._finish(state)

    def _show_progress(self) -> None:
        run = self.run
        assert run is not None
        self.ui.progressBar.setValue(int(1000 * run.fraction))
        self.ui.keepButton.enabled = run.can_keep
        what = _("Stopping") if run.stopping else _STAGES.get(run.stage, run.stage)
        left = "" if run.stopping else _(", about {spoken} left").format(spoken=spoken(run.seconds_left))
        widgets.set_text(self.ui.statusLabel, f"{what}{left} …", widgets.QUIET)
        self._show_log()

    def _show_log(self) -> None:
        assert self.run is not None
        text = "\n".join(self.run.log)
        if text != self.ui.logText.plainText:
            self.ui.logText.setPlainText(text)

    def _finish(self, state: RegistrationState) -> None:
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

    def _end(self, run: RegistrationRun, state: RegistrationState) -> None:
        if state is RegistrationState.DONE:
            with self.panel.telling():
                self._take(run)
        elif state is RegistrationState.STOPPED:
            self.panel.say(_("Cancelled; the scene is as it was."), widgets.QUIET)
        else:
            self.panel.say(run.message)
            self.ui.logCollapsibleButton.collapsed = not run.log

    def _take(self, run: RegistrationRun) -> None:
        results = run.results
        assert results is not None
        parameters = self.panel.parameters_of(self._set_id)
        try:
            outputs.take(parameters, self.panel.origins, self._origin, self._buffers, results)
        except Exception:
            remove_workplace(run.folder)
            raise
        self._buffers = outputs.Buffers()
        self._keep_folder(parameters, run.folder)
        self.panel.update()
        if self._size:
            self.panel.method.learn({**run.took, **results.record.get("timings_s", {})}, self._size, results.record)
        self._say_done(run)
        if self._set_id == self.parameters.parameterNode.GetID():
            self.panel.look.registered()
            self.panel.check.registered()

    @property
    def last_folder(self) -> Path | None:
        """Of the run that made this parameter set's results, with all its files; None once it is gone."""
        run, folder = self._folders.get(self.parameters.parameterNode.GetID(), ("", None))
        return folder if run and run == self.panel.standing.record.get("run") else None

    def _say_done(self, run: RegistrationRun) -> None:
        sentences = [*run.warnings]
        if self._set_id == self.parameters.parameterNode.GetID() and self.panel.standing.stale:
            sentences.append(self.panel.standing.sentence())
        if sentences:
            text = _("Registered, with warnings: ") + " ".join(s[:1].upper() + s[1:] for s in sentences)
            self.panel.say(text, widgets.CAREFUL)
        else:
            self.panel.say(_DONE, widgets.GOOD)

    def _keep_folder(self, parameters: Parameters, folder: Path) -> None:
        """For the report; that of the set's run before is no longer needed."""
        self._forget(self._set_id)
        self._folders[self._set_id] = kept_object(parameters.record)["run"], folder

    def _forget(self, set_id: str) -> None:
        if set_id in self._folders:
            remove_workplace(self._folders.pop(set_id)[1])

    def node_removed(self, node: Any) -> None:
        """A run whose volumes are gone has nothing to end in."""
        self._forget(node.GetID())
        what = self._needed.get(node.GetID())
        if self.run is not None and what:
            self._abandon(
                _("{what} was deleted during the registration, which was stopped; nothing was changed.").format(
                    what=what
                )
            )

    def scene_closes(self) -> None:
        """A run ends with its scene."""
        if self.run is not None:
            self._abandon(_("The scene was closed during the registration, which was stopped."))
        for set_id in list(self._folders):
            self._forget(set_id)

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
        for set_id in list(self._folders):
            self._forget(set_id)
