"""`make screenshots`: the real panel with a really registered pair beside real slice views, into Resources/Screenshots.

The pair is the panel's own sample data; what is clicked is what a user clicks. The pictures show the stand-ins of Qt's
widgets, not the desktop application's style.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from SlicerHeadless import availability

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "Resources" / "Screenshots"
THUMBNAIL = ROOT / "RobustDIR" / "Resources" / "Icons" / "BrainPair.png"
PANEL_WIDTH = 440
VIEW = (430, 400)
SECTIONS = ("inputs", "method", "outputs", "look", "check", "apply")
RUN_SECONDS = 1800.0


class Session:
    """A user at the panel, with the sample data registered."""

    def __init__(self) -> None:
        from SlicerHeadless import desktop

        self.opened = desktop.open_panel(ROOT / "RobustDIR" / "RobustDIR.py")
        self.ui = self.opened.ui
        self.parameters = self.opened.widget.panel.parameters
        self._wait = desktop.wait_until
        self._process_events = desktop.process_events

    def load_sample(self) -> None:
        """Loads the sample data.

        Raises:
            RuntimeError: If they cannot be made, with what the panel says.
        """
        self.ui.sampleButton.click()
        self._wait(lambda: self.ui.sampleButton.enabled, RUN_SECONDS)
        if self.parameters.movingLandmarks is None:
            raise RuntimeError(f"there are no sample data: {self.ui.messageLabel.text}")

    def register_sample(self) -> None:
        """Registers it.

        Raises:
            RuntimeError: If the run fails, with what the panel says.
        """
        self._wait(lambda: self.ui.registerButton.enabled, 30)
        self.ui.registerButton.click()
        self._wait(lambda: not self.ui.cancelButton.enabled and self.ui.registerButton.enabled, RUN_SECONDS)
        if self.parameters.warpedNode is None:
            raise RuntimeError(f"the sample was not registered: {self.ui.messageLabel.text}")

    def set(self, **parameters: Any) -> None:
        """Sets parameters, which the panel shows and acts on."""
        for name, value in parameters.items():
            setattr(self.parameters, name, value)
        self.settle()

    def settle(self) -> None:
        """Lets the panel catch up."""
        import time

        end = time.monotonic() + 0.3
        self._wait(lambda: time.monotonic() > end, 5)

    def panel_picture(self, *sections: str, height: int | None = None) -> Any:
        """The panel with only these sections unfolded."""
        from SlicerHeadless import pictures

        for name in SECTIONS:
            getattr(self.ui, f"{name}CollapsibleButton").collapsed = name not in sections
        self.settle()
        return pictures.panel_picture(self.opened.parent, PANEL_WIDTH, height)

    def slice_picture(self, name: str, size: tuple[int, int] = VIEW, *, middle: bool = True) -> Any:
        """One slice view, fitted, and moved to the middle of the fixed volume if it is to be."""
        import slicer

        from SlicerHeadless import pictures

        widget = slicer.app.layoutManager().sliceWidget(name)
        view, logic = widget.sliceView().offscreen, widget.sliceLogic()
        view.window.SetSize(*size)
        logic.ResizeSliceNode(*size)
        offset = logic.GetSliceOffset()
        logic.FitSliceToBackground()
        if middle:
            self._middle(logic)
        else:
            logic.SetSliceOffset(offset)
        return pictures.view_picture(view)

    def _middle(self, logic: Any) -> None:
        bounds = [0.0] * 6
        self.parameters.fixedVolume.GetRASBounds(bounds)
        middle = [(low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True)]
        logic.GetSliceNode().JumpSliceByOffsetting(*middle)

    def close(self) -> None:
        """Leaves the panel."""
        self.opened.close()


def register_picture(session: Session) -> Any:
    """Inputs, method, outputs and the finished run, beside three slices with the deformation grid."""
    from SlicerHeadless import pictures

    session.set(compare="blend", blend=100.0, deformation="grid", deformationSpacing=12.0)
    panel = session.panel_picture("inputs", "method", "outputs")
    tall = (panel.height() - 2 * pictures.GAP) // 3
    views = [session.slice_picture(name, (560, tall)) for name in ("Red", "Yellow", "Green")]
    return pictures.beside(panel, pictures.below(*views))


def look_picture(session: Session) -> Any:
    """The ways to look at a result: grid, arrows, contours; checkerboard, red and cyan, Jacobian map."""
    from SlicerHeadless import pictures

    panel = session.panel_picture("look", height=2 * VIEW[1] + pictures.GAP)
    rows = []
    for modes in (("grid", "glyph", "contour"), ("checkerboard", "red-cyan", "jacobian")):
        row = []
        for mode in modes:
            drawn = mode in ("grid", "glyph", "contour")
            session.set(
                compare="blend" if drawn else mode, deformation=mode if drawn else "off", blend=100.0 if drawn else 50.0
            )
            row.append(session.slice_picture("Red"))
        rows.append(pictures.beside(*row))
    return pictures.beside(panel, pictures.below(*rows))


def check_picture(session: Session) -> Any:
    """The figures against their tolerances, beside the cumulative curve and a slice through the worst landmark."""
    import slicer

    from SlicerHeadless import pictures

    session.set(compare="blend", blend=50.0, deformation="off")
    session.parameters.fixedLandmarks.GetDisplayNode().SetVisibility(True)
    session.ui.curveButton.click()
    panel = session.panel_picture("check")
    session.ui.landmarkTable.cellClicked.emit(0, 0)
    session.settle()
    charts = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    tall = (panel.height() - pictures.GAP) // 2
    chart = pictures.chart_picture(charts[-1], (560, tall))
    return pictures.beside(panel, pictures.below(session.slice_picture("Red", (560, tall), middle=False), chart))


def thumbnail(session: Session) -> Any:
    """The sample pair side by side, for its button in the module Sample Data, 260 x 280."""
    import slicer

    from SlicerHeadless import pictures

    p, sides = session.parameters, []
    for volume in (p.fixedVolume, p.movingVolume):
        slicer.util.setSliceViewerLayers(background=volume, foreground=None)
        sides.append(session.slice_picture("Red", (128, 280)))
    return pictures.beside(*sides)


PICTURES: dict[str, Callable[[Session], Any]] = {
    "register.png": register_picture,
    "look.png": look_picture,
    "check.png": check_picture,
}


def main(folder: Path = FOLDER) -> int:
    """Draws all pictures.

    Returns:
        0; 1 if this machine cannot draw them.
    """
    reason = availability.why_no_desktop() or availability.why_no_rendering()
    if reason:
        print(f"screenshots: {reason}", file=sys.stderr)
        return 1
    from SlicerHeadless import pictures

    session = Session()
    try:
        session.load_sample()
        if folder == FOLDER:
            print(pictures.save(thumbnail(session), THUMBNAIL))
        session.register_sample()
        for name, draw in PICTURES.items():
            print(pictures.save(draw(session), folder / name))
    finally:
        session.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
