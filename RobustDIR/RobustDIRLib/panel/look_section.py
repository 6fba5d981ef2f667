"""Look: fixed and warped volume over each other, the deformation drawn, and the way back."""

from __future__ import annotations

from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.panel import comparisons
from RobustDIRLib.panelparts import deformations, views, widgets
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _

_LAY_MILLISECONDS, _ZOOM_MILLISECONDS = 10, 500
_ZOOMED = 1.2  # times the area that the drawing was made for
_DRAWING = ("deformation", "deformationSpacing", "deformationInSlices", "deformationIn3D", "deformationColoured")


class LookSection(Section):
    """What the views show of a registration."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.comparison = comparisons.ViewComparison()
        self.compare = widgets.Choice(self.ui.compareSelector, comparisons.MODES, self.choose_comparison)
        self.deformation = widgets.Choice(self.ui.deformationSelector, deformations.MODES, self.choose_deformation)
        self.ui.backButton.connect("clicked()", self.back)
        self._shown: tuple[Any, ...] = ()
        self._drawn: tuple[Any, ...] = ()
        self._area = self._spacing = 0.0  # that the deformation was drawn for, mm^2, and its lines' distance, mm
        self._linked = False
        self._flicker = widgets.timer(comparisons.FLICKER_MILLISECONDS, self.comparison.flick)
        self._lay = widgets.timer(_LAY_MILLISECONDS, self._go_on)
        self._zoom = widgets.timer(_ZOOM_MILLISECONDS, self._follow_zoom)

    def choose_comparison(self, mode: str) -> None:
        """Lay fixed and warped volume over each other, in one of the ways of `comparisons.MODES`."""
        self.parameters.compare = mode
        self.panel.update()

    def choose_deformation(self, mode: str) -> None:
        """Draw the deformation, in one of the ways of `deformations.MODES`."""
        self.parameters.deformation = mode
        self.panel.update()

    def registered(self) -> None:
        """A run has ended well: show what came of it."""
        self._shown = self._drawn = ()
        if self.parameters.compare == comparisons.OFF and self.parameters.warpedNode is not None:
            self.parameters.compare = comparisons.BLEND
            self.comparison.remember()
            views.show(self._fixed)
            views.fit()
        for section in (self.ui.lookCollapsibleButton, self.ui.checkCollapsibleButton):
            section.collapsed = False

    def _go_on(self) -> None:
        """The rest of a checkerboard."""
        if not self.comparison.go_on():
            self._lay.stop()

    def parameters_changed(self) -> None:
        """Another set has other views."""
        self._shown = self._drawn = ()

    def update(self) -> None:
        """Show what the parameters say; what has not changed is left alone."""
        self.compare.show(self.parameters.compare)
        self.deformation.show(self.parameters.deformation)
        widgets.set_text(self.ui.lookLabel, *self.panel.told_standing())
        self._compare()
        self._draw()
        if self.parameters.linkSlices != self._linked:
            self.comparison.remember()
            self._linked = self.parameters.linkSlices
            views.link_slices(self._linked)
        mode = self.parameters.compare
        slides = mode in (comparisons.BLEND, comparisons.CHECKERBOARD, comparisons.JACOBIAN)
        self.ui.blendSlider.enabled = slides
        self.ui.blendSliderLabel.text = _("Field si&ze:") if mode == comparisons.CHECKERBOARD else _("&Blend:")
        for widget in (
            self.ui.spacingSlider, self.ui.deformationSlicesCheckBox, self.ui.deformation3DCheckBox,
            self.ui.deformationColourCheckBox,
        ):  # fmt: skip
            widget.enabled = self.parameters.deformation != deformations.OFF
        drawn = self.parameters.deformation != deformations.OFF
        (self._zoom.start if drawn else self._zoom.stop)()
        widgets.set_text(self.ui.drawingLabel, self._of_drawing() if drawn else "", widgets.QUIET)
        self.ui.backButton.enabled = self.comparison.before is not None or drawn

    def _compare(self) -> None:
        p = self.parameters
        blend, fixed = p.blend / 100, self._fixed
        if p.compare == comparisons.OFF and self.comparison.mode == comparisons.OFF:
            return
        volumes = (p.compare, fixed, p.warpedNode, p.jacobianNode)
        if (*volumes, blend) == self._shown:
            return
        same, self._shown = self._shown[:-1] == volumes, (*volumes, blend)
        try:
            if same:
                self.comparison.blend(p.compare, blend)
            else:
                self.comparison.show(*volumes, blend)
        except InputError as error:
            self._refuse("compare", comparisons.OFF, error)
        self._lay.start()
        flickers = p.compare == comparisons.FLICKER
        (self._flicker.start if flickers else self._flicker.stop)()

    @property
    def _fixed(self) -> Any:
        """What the results are shown with: the fixed volume of their own run, whatever is selected now."""
        return self.panel.standing.fixed if self.panel.standing.record else self.parameters.fixedVolume

    def _draw(self) -> None:
        p = self.parameters
        wanted = p.transformNode, *(getattr(p, name) for name in _DRAWING), self._fixed
        if wanted == self._drawn:
            return
        last = self._drawn[0] if self._drawn else None
        if last is not None and last is not p.transformNode and last.GetScene() is not None:
            self._take_away(last)
        self._drawn, self._area = wanted, deformations.area_shown()
        try:
            self._spacing = deformations.show(
                p.transformNode,
                p.deformation,
                region=self._fixed,
                spacing=p.deformationSpacing,
                slices=p.deformationInSlices,
                in_3d=p.deformationIn3D,
                coloured=p.deformationColoured,
            )
        except InputError as error:
            self._refuse("deformation", deformations.OFF, error)

    def _of_drawing(self) -> str:
        """Where the views show too much for the spacing that was chosen."""
        if self._spacing <= self.parameters.deformationSpacing:
            return ""
        return _("So far out the lines are {spacing:.0f} mm apart; zoom in for closer ones.").format(
            spacing=self._spacing
        )

    def _follow_zoom(self) -> None:
        """Draw anew where the views were zoomed: how finely follows how much they show."""
        area = deformations.area_shown()
        if not self._area / _ZOOMED <= area <= self._area * _ZOOMED:
            self._drawn = ()
            self.panel.update()

    def _take_away(self, transform: Any) -> None:
        """The drawing of a transform that is no longer the one looked at."""
        if transform.GetDisplayNode() is not None:
            transform.GetDisplayNode().SetVisibility(False)

    def _refuse(self, name: str, off: str, error: InputError) -> None:
        self.panel.say(str(error))
        setattr(self.parameters, name, off)
        {"compare": self.compare, "deformation": self.deformation}[name].show(off)

    def back(self) -> None:
        """Everything this section changed, taken back by one click."""
        p = self.parameters
        p.compare, p.deformation, p.linkSlices = comparisons.OFF, deformations.OFF, False
        self._flicker.stop()
        self._linked = False
        self._shown = ()
        self.comparison.back()
        self._draw()
        self.panel.update()

    def scene_closes(self) -> None:
        """Nothing of the scene is to be remembered."""
        self.close()
        self.comparison.forget()
        self._shown = self._drawn = ()
        self._linked = False

    def node_removed(self, node: object) -> None:
        """A node that was shown is gone: show anew."""
        if any(node is shown for shown in (*self._shown, *self._drawn)):
            self._shown = self._drawn = ()

    def close(self) -> None:
        """Nothing may flicker on."""
        for timer in (self._flicker, self._lay, self._zoom):
            timer.stop()
