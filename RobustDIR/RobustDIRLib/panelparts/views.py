"""What the slice views show: volumes laid over each other, and the way back to what was there before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import slicer

from RobustDIRLib.mrml.nodes import ChartNode, CompositeNode, LayoutNode, VolumeDisplayNode, VolumeNode

_CHARTS_LAYOUT, _MOST_CHARTS = 20250, 3  # numbers of layouts that nobody else uses
_CHART_VIEW = "RobustDIRPlot"


@dataclass(frozen=True)
class Layers:
    """What one slice view shows, by node IDs; None for nothing."""

    background: str | None
    foreground: str | None
    label: str | None
    opacity: float
    compositing: int
    linked: bool
    hot_linked: bool

    @classmethod
    def of(cls, composite: CompositeNode) -> Layers:
        """Of a slice view's composite node."""
        return cls(
            composite.GetBackgroundVolumeID(),
            composite.GetForegroundVolumeID(),
            composite.GetLabelVolumeID(),
            composite.GetForegroundOpacity(),
            composite.GetCompositing(),
            bool(composite.GetLinkedControl()),
            bool(composite.GetHotLinkedControl()),
        )

    def put(self, composite: CompositeNode) -> None:
        """Into a slice view's composite node; volumes that are gone leave their layer empty."""
        with slicer.util.NodeModify(composite):  # each change by itself would be drawn
            composite.SetBackgroundVolumeID(_present(self.background))
            composite.SetForegroundVolumeID(_present(self.foreground))
            composite.SetLabelVolumeID(_present(self.label))
            composite.SetForegroundOpacity(self.opacity)
            composite.SetCompositing(self.compositing)
            composite.SetLinkedControl(self.linked)
            composite.SetHotLinkedControl(self.hot_linked)


@dataclass(frozen=True)
class Colours:
    """How one volume is coloured."""

    table: str | None
    window: float
    level: float
    automatic: bool

    @classmethod
    def of(cls, display: VolumeDisplayNode) -> Colours:
        """Of a scalar volume's display node."""
        return cls(
            display.GetColorNodeID(), display.GetWindow(), display.GetLevel(), bool(display.GetAutoWindowLevel())
        )

    def put(self, display: VolumeDisplayNode) -> None:
        """Into a scalar volume's display node."""
        display.SetAndObserveColorNodeID(_present(self.table) or "")  # None is no string to it
        display.SetAutoWindowLevel(self.automatic)
        if not self.automatic:
            display.SetWindowLevel(self.window, self.level)


@dataclass(frozen=True)
class Snapshot:
    """Everything the Look section changes, as it was before.

    Attributes:
        layout: Number of the layout.
        layers: By the IDs of the slice views' composite nodes.
        colours: By the IDs of volumes' display nodes.
    """

    layout: int
    layers: dict[str, Layers]
    colours: dict[str, Colours]

    @classmethod
    def take(cls) -> Snapshot:
        """Of the scene as it is."""
        layers = {node.GetID(): Layers.of(node) for node in composites()}
        displays = slicer.util.getNodesByClass("vtkMRMLScalarVolumeDisplayNode")
        return cls(layout_node().GetViewArrangement(), layers, {node.GetID(): Colours.of(node) for node in displays})

    def restore(self) -> None:
        """Put everything back that is still there."""
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeDisplayNode"):
            if node.GetID() in self.colours:
                self.colours[node.GetID()].put(node)
        for node in composites():
            if node.GetID() in self.layers:
                self.layers[node.GetID()].put(node)
        layout_node().SetViewArrangement(self.layout)


def composites() -> list[CompositeNode]:
    """The composite nodes of all slice views."""
    return list(slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"))


def layout_node() -> LayoutNode:
    """The node that says which views there are."""
    node: LayoutNode = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    return node


def show(
    background: VolumeNode | None,
    foreground: VolumeNode | None = None,
    opacity: float = 0.0,
    compositing: int | None = None,
) -> None:
    """Show volumes in all slice views.

    Args:
        background: Volume node, or None.
        foreground: Volume node laid over it, or None.
        opacity: Of the foreground, 0 to 1.
        compositing: How they are mixed, of `vtkMRMLSliceCompositeNode`; by opacity if not given.
    """
    mixed = slicer.vtkMRMLSliceCompositeNode.Alpha if compositing is None else compositing
    for node in composites():
        _show_in(node, (background, foreground, None), opacity, mixed)


def show_in_steps(
    volumes: tuple[VolumeNode | None, VolumeNode | None, VolumeNode | None], opacity: float, label_opacity: float
) -> Iterator[None]:
    """Show volumes in all slice views and fit these to them, one view between two yields.

    Args:
        volumes: Background, foreground and labels.
        opacity: Of the foreground, 0 to 1.
        label_opacity: Of the labels, 0 to 1.
    """
    for node in composites():
        with slicer.util.NodeModify(node):
            node.SetLabelOpacity(label_opacity)
            _show_in(node, volumes, opacity, slicer.vtkMRMLSliceCompositeNode.Alpha)
        # At once: a view that reaches far beyond a deformed volume takes long to draw.
        if (widget := slicer.app.layoutManager().sliceWidget(node.GetLayoutName())) is not None:
            widget.fitSliceToBackground()
        yield


def _show_in(
    node: CompositeNode,
    volumes: tuple[VolumeNode | None, VolumeNode | None, VolumeNode | None],
    opacity: float,
    mixed: int,
) -> None:
    link = bool(node.GetLinkedControl()), bool(node.GetHotLinkedControl())
    background, foreground, label = (None if volume is None else volume.GetID() for volume in volumes)
    Layers(background, foreground, label, opacity, mixed, *link).put(node)


def set_foreground_opacity(opacity: float) -> None:
    """Of all slice views."""
    for node in composites():
        node.SetForegroundOpacity(opacity)


def link_slices(linked: bool) -> None:
    """Whether moving one slice view moves the others of its orientation."""
    for node in composites():
        node.SetLinkedControl(linked)
        node.SetHotLinkedControl(linked)


def let_go(nodes: Sequence[Any]) -> None:
    """Show none of some nodes any more, in any slice view."""
    gone = {node.GetID() for node in nodes}
    for composite in composites():
        with slicer.util.NodeModify(composite):
            for layer in ("Background", "Foreground", "Label"):
                if getattr(composite, f"Get{layer}VolumeID")() in gone:
                    getattr(composite, f"Set{layer}VolumeID")(None)


def fit() -> None:
    """Zoom all slice views so that their background fills them."""
    slicer.app.layoutManager().resetSliceViews()


def show_plot(chart: ChartNode) -> None:
    """Change to a layout with a plot and show a chart in it."""
    layout_node().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView)
    for node in slicer.util.getNodesByClass("vtkMRMLPlotViewNode"):
        node.SetPlotChartNodeID(chart.GetID())


def show_charts(charts: Sequence[ChartNode]) -> None:
    """Change to a layout of a slice view beside plots one above the other, and show a chart in each.

    Args:
        charts: Chart nodes, three at most.
    """
    node, number = layout_node(), _CHARTS_LAYOUT + len(charts)
    if not node.IsLayoutDescription(number):
        node.AddLayoutDescription(number, _charts_layout(len(charts)))
    if node.GetViewArrangement() != number:
        node.SetViewArrangement(number)
    places = {f"{_CHART_VIEW}{k}": chart for k, chart in enumerate(charts, 1)}
    for view in slicer.util.getNodesByClass("vtkMRMLPlotViewNode"):
        chart = places.get(view.GetLayoutName())
        if chart is not None and view.GetPlotChartNodeID() != chart.GetID():
            view.SetPlotChartNodeID(chart.GetID())


def shows_charts() -> bool:
    """Whether the layout is one of `show_charts`."""
    return bool(_CHARTS_LAYOUT < layout_node().GetViewArrangement() <= _CHARTS_LAYOUT + _MOST_CHARTS)


class ChartLayout:
    """Charts in a layout of their own, and the way back to that of before."""

    def __init__(self) -> None:
        self._before: int | None = None

    def show(self, charts: Sequence[ChartNode]) -> None:
        """Show charts, three at most; the first time, remember what was there."""
        if self._before is None:
            self._before = layout_node().GetViewArrangement()
        show_charts(charts)

    def leave(self) -> None:
        """Go back to the layout of before, unless the user has left this one already."""
        back, self._before = self._before, None
        if back is not None and shows_charts():
            layout_node().SetViewArrangement(back)


def _charts_layout(count: int) -> str:
    slices = '<view class="vtkMRMLSliceNode" singletontag="Red"/>'
    plots = "".join(
        f'<item><view class="vtkMRMLPlotViewNode" singletontag="{_CHART_VIEW}{k}">'
        f'<property name="viewlabel" action="default">{k}</property></view></item>'
        for k in range(1, count + 1)
    )
    return (
        f'<layout type="horizontal" split="true"><item>{slices}</item>'
        f'<item><layout type="vertical" split="true">{plots}</layout></item></layout>'
    )


def _present(node_id: str | None) -> str | None:
    return node_id if node_id and slicer.mrmlScene.GetNodeByID(node_id) else None
